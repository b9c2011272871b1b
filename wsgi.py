"""The WSGI callable, for gunicorn and every other server: `wsgi:app`."""

import sys

from app import create_app
from gateway.config.settings import ConfigurationError

try:
    app = create_app()
except ConfigurationError as error:
    sys.exit(f"The configuration has faults:\n{error}")
