"""What an operator reads: the log and Prometheus' metrics. Neither contains prompts, keys or texts of clients or upstreams.

It is given values, and calls nothing to get them.
"""
