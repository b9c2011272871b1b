"""Which target is asked next, and what its answer is: order, attempts, retries, fallbacks, hedges, resumed streams.

It calls dialects and the transport; of HTTP clients, Flask and server-sent events nothing.
"""
