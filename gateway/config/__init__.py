"""The configuration: read once, from the environment and one YAML file, checked, and handed on as one frozen object.

Nothing here may import ssl or requests: gunicorn reads the configuration before gevent patches the standard library.
"""
