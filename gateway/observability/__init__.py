"""What an operator reads: the log's lines and Prometheus' metrics. Never a prompt, a key, or anybody's words.

It is handed values; it asks nobody for them.
"""
