"""The built-in provider: a model that responds at once, and a transport that serves it without a socket.

It knows the interface of transports and OpenAI's types; nothing of routing or of the web.
"""
