"""Who may call, and how much: clients' keys, and counters of requests and tokens.

It knows keys and targets; of HTTP nothing.
"""
