"""One call in a straight line: the router's response, its usage, and the body or event stream for the client.

It knows the router and the client's dialect, and nothing of Flask.
"""
