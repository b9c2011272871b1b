"""gunicorn's workers, the writer of responses, and the process's shutdown.

It knows sockets and WSGI; of Flask, routes and calls nothing but the deadline that bounds a send.
"""
