"""Which target is tried next, and its response: order, attempts and their timeouts, retries, fallbacks, hedging, resuming.

It calls dialects and the transport. It knows nothing of Flask, of clients' HTTP requests or of their server-sent events.
"""
