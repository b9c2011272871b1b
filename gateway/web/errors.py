"""Error responses: every exception becomes OpenAI's error object, here alone."""

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
    app.register_error_handler(HTTPException, render_http_error)
    app.register_error_handler(Exception, render_internal_error)


def render_error(error: GatewayError) -> Response:
    """The error's body and status, with the headers that say whether and when the client should retry."""
    g.error = without_traceback(error)
    if "call" in g:
        g.call.finish(error)
    response = as_json(error.envelope(), error.status)
    if error.retry_after is not None:
        seconds = max(error.retry_after, 0.001)
        # RFC 9110 section 10.2.3: whole seconds. OpenAI's SDKs read milliseconds first.
        response.headers["Retry-After"] = str(math.ceil(seconds))
        response.headers["retry-after-ms"] = str(math.ceil(seconds * 1000))
    if "insufficient_quota" in (error.code, error.type) or not error.client_may_retry:
        # OpenAI's SDKs retry every 429 unless this header forbids it.
        response.headers["x-should-retry"] = "false"
    if error.status == 401:
        # RFC 9110 section 15.5.2: a 401 must have a challenge; RFC 6750 section 3 has its form.
        response.headers["WWW-Authenticate"] = "Bearer"
    if error.status in (408, 413):
        # What is unread of the body must not be taken for the next request.
        response.headers["Connection"] = "close"
    if "call" in g and not isinstance(error, ClientDisconnected):
        gateway_headers(response, g.call)
    return response


def render_http_error(error: HTTPException) -> Response:
    """What Flask and werkzeug refuse themselves: an unknown URL, a wrong method."""
    status = error.code or 500
    if status < 400:
        return cast("Response", Response.force_type(error.get_response()))  # werkzeug raises redirects, too
    if status >= 500:
        return render_internal_error(error)
    response = render_error(InvalidRequest(error.description or error.name, status=status))
    for name, value in error.get_headers():
        if name.lower() == "allow":  # RFC 9110 section 15.5.6: a 405 must have it
            response.headers[name] = value
    return response


def render_internal_error(error: Exception) -> Response:
    """The response to a fault of the gateway: the details are in the log alone."""
    # Flask wraps an exception that is raised after the view, in a hook, in an InternalServerError.
    cause = getattr(error, "original_exception", None) or error
    log.error("internal_error", request_id=g.get("request_id"), **error_location(cause))
    return render_error(InternalError("The gateway failed. Its log has the details under this x-request-id."))
