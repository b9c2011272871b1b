"""Who may call, and how often: clients' keys, and counters of requests and tokens.

It knows keys and targets, and nothing of HTTP.
"""
