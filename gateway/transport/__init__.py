"""The only opener of sockets: connections to upstreams, HTTP/1.1, and the watch over the client's socket meanwhile.

It knows URLs, headers and bytes; of models, vendors and JSON nothing.
"""
