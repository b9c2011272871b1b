"""What can be called: vendors, what is known of their models, and the targets of a model name.

Tables and look-ups. Nothing here knows of requests, sockets or health.
"""
