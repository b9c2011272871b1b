"""The WSGI callable (PEP 3333), `wsgi:app`, for gunicorn and every other server."""

import sys

from app import create_app
from gateway.config.settings import ConfigurationError

try:
    app = create_app()
except ConfigurationError as error:
    sys.exit(f"The configuration is wrong:\n{error}")
