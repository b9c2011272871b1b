"""gunicorn's workers, the writer of responses, and the worker's shutdown. Written for gunicorn 27.0.

It knows sockets and WSGI; of Flask, routes and calls nothing but the deadline that bounds a send.
"""
