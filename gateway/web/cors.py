"""What a page of another origin is told: flask-cors, asked only by requests that have an `Origin`."""

from flask import Flask, Response, request
from flask_cors.core import get_cors_options, set_cors_headers

from gateway.config.settings import Settings
from gateway.web.respond import EXPOSED


def init_app(app: Flask, settings: Settings) -> None:
    options = get_cors_options(
        app,
        {
            "origins": list(settings.cors_origins),
            "expose_headers": list(EXPOSED),
            "always_send": False,
            "max_age": 86400,
        },
    )

    @app.after_request
    def add_headers(response: Response) -> Response:
        return set_cors_headers(response, options) if "HTTP_ORIGIN" in request.environ else response
