"""Every error as JSON, in one place."""

import math
from typing import cast

import structlog
from flask import Flask, Response, g
from werkzeug.exceptions import HTTPException

from gateway.errors import (
    ClientDisconnected,
    GatewayError,
    InternalError,
    InvalidRequest,
    error_location,
    without_traceback,
)
from gateway.web.respond import as_json, gateway_headers

log = structlog.get_logger()


def init_app(app: Flask) -> None:
    app.register_error_handler(GatewayError, render_error)
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(Exception, internal_error)


def render_error(error: GatewayError) -> Response:
    """The envelope, and what a client should know before it tries again."""
    g.error = without_traceback(error)
    if "call" in g:
        g.call.finish(error)
    response = as_json(error.envelope(), error.status)
    if error.retry_after is not None:
        seconds = max(error.retry_after, 0.001)
        response.headers["Retry-After"] = str(math.ceil(seconds))
        response.headers["retry-after-ms"] = str(math.ceil(seconds * 1000))
    if "insufficient_quota" in (error.code, error.type) or not error.client_may_retry:
        response.headers["x-should-retry"] = "false"
    if error.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if error.status in (408, 413):
        response.headers["Connection"] = "close"
    if "call" in g and not isinstance(error, ClientDisconnected):
        gateway_headers(response, g.call)
    return response


def http_error(error: HTTPException) -> Response:
    """What Flask itself refuses: an unknown URL, a method, a body."""
    status = error.code or 500
    if status < 400:
        return cast("Response", Response.force_type(error.get_response()))  # a redirect is no error
    if status >= 500:
        return internal_error(error)
    response = render_error(InvalidRequest(error.description or error.name, status=status))
    for name, value in error.get_headers():
        if name.lower() == "allow":
            response.headers[name] = value
    return response


def internal_error(error: Exception) -> Response:
    """A fault of the gateway: the client learns nothing of the inside, the log does."""
    cause = getattr(error, "original_exception", None) or error
    log.error("internal_error", request_id=g.get("request_id"), **error_location(cause))
    return render_error(InternalError("The gateway failed. Its log knows this request by its x-request-id."))
