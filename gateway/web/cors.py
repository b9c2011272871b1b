"""Requests of browsers: CORS headers, by flask-cors, and, without API keys, the refusal of foreign hosts and web pages."""

from dataclasses import replace

from flask import Flask, Response, request
from flask_cors.core import get_cors_options, set_cors_headers

from gateway.config.checks import is_loopback_address
from gateway.config.settings import Settings
from gateway.errors import MisdirectedRequest, OriginNotAllowed
from gateway.web.origins import ANY, host_is_allowed, is_own_origin, origin_is_allowed, page_is_allowed
from gateway.web.respond import EXPOSED_HEADERS

# Seconds for which a browser may cache a preflight response: Firefox's maximum; Chromium reduces them to two hours.
MAX_AGE = 86400
# Where werkzeug's ProxyFix keeps what it replaced: https://werkzeug.palletsprojects.com/en/stable/middleware/proxy_fix/
BEFORE_PROXY_FIX = "werkzeug.proxy_fix.orig"


def init_app(app: Flask, settings: Settings) -> None:
    if not settings.auth:
        refuse_foreign(app, settings)
    allowed, any_origin, keyless = settings.cors_origins, ANY in settings.cors_origins, not settings.auth
    options = get_cors_options(
        app, {"origins": ANY, "expose_headers": list(EXPOSED_HEADERS), "always_send": False, "max_age": MAX_AGE}
    )

    # Not flask_cors.CORS: its hook matches the path of each request against patterns before it looks for an Origin.
    @app.after_request
    def add_headers(response: Response) -> Response:
        origin = request.environ.get("HTTP_ORIGIN")
        if origin is None:
            return response
        if any_origin:
            return set_cors_headers(response, options)
        # https://fetch.spec.whatwg.org/#cors-protocol-and-http-caches: also where this origin gets no headers.
        response.headers.add("Vary", "Origin")
        if origin_is_allowed(origin, allowed) or (keyless and is_own_origin(origin, request.environ.get("HTTP_HOST"))):
            # flask-cors takes an origin of the settings with a `*` or `[` for a regular expression: it gets this one alone.
            return set_cors_headers(response, replace(options, origins=[origin], allow_all_origins=False))
        return response


def refuse_foreign(app: Flask, settings: Settings) -> None:
    """
    Refuse, before the body is read, requests to hosts that are not this machine and of web pages of other origins.

    Where GATEWAY_AUTH=off opens the gateway to a network, only the operator knows its names: ALLOWED_HOSTS.
    """
    check_host = bool(settings.allowed_hosts) or is_loopback_address(settings.host)

    @app.before_request
    def check() -> None:
        environ = request.environ
        host = environ.get(BEFORE_PROXY_FIX, environ).get("HTTP_HOST")
        if check_host and not host_is_allowed(host, settings.allowed_hosts):
            raise MisdirectedRequest(
                "Without an API key this gateway serves only the names of its own machine. Use localhost or 127.0.0.1, add the "
                "host name to ALLOWED_HOSTS, or set VALID_API_KEYS."
            )
        origin, site = environ.get("HTTP_ORIGIN"), environ.get("HTTP_SEC_FETCH_SITE")
        if not page_is_allowed(origin, site, environ.get("HTTP_HOST"), settings.cors_origins):
            raise OriginNotAllowed(
                "Without an API key this gateway serves no web pages of other origins. Add the page's origin to CORS_ORIGINS, "
                "or set VALID_API_KEYS."
            )
