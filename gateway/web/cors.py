"""CORS headers, by flask-cors, for the requests that a browser makes from another origin."""

from flask import Flask, Response, request
from flask_cors.core import get_cors_options, set_cors_headers

from gateway.config.settings import Settings
from gateway.web.respond import EXPOSED_HEADERS

# Seconds for which a browser may cache a preflight response: Firefox's maximum; Chromium reduces them to two hours.
MAX_AGE = 86400


def init_app(app: Flask, settings: Settings) -> None:
    options = get_cors_options(
        app,
        {
            "origins": list(settings.cors_origins),
            "expose_headers": list(EXPOSED_HEADERS),
            "always_send": False,
            "max_age": MAX_AGE,
        },
    )

    # Not flask_cors.CORS: its hook matches the path of each request against patterns before it looks for an Origin.
    @app.after_request
    def add_headers(response: Response) -> Response:
        return set_cors_headers(response, options) if "HTTP_ORIGIN" in request.environ else response
