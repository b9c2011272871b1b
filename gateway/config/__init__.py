"""The configuration: read from the environment and a YAML file, checked once, and passed on as one frozen object.

Nothing here may import ssl or requests: gunicorn reads the configuration before gevent patches the standard library.
"""
