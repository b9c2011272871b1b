"""What happens before and after every view: the request's id, the end of its call, and its line in the log."""

import random
import re
import time
from collections.abc import Mapping
from typing import Any

import structlog
from flask import Flask, Response, g, request
from flask.globals import app_ctx

from gateway.observability.request_log import error_fields
from gateway.web import rate_limit

# What a client may send as x-request-id; anything else is replaced, so that it can forge no line of the log.
REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
# Characters of a path in the log.
MAX_PATH_LENGTH = 200


def identify_requests(app: Flask) -> None:
    """Give every request an id, the client's own if it is well-formed, and every response its headers."""

    @app.before_request
    def start() -> None:
        request_id = request.environ.get("HTTP_X_REQUEST_ID")
        g.started = time.monotonic()
        if request_id is None or not REQUEST_ID.fullmatch(request_id):
            # The length of a UUID, and faster to make; it is no secret.
            request_id = f"{random.getrandbits(128):032x}"
        g.request_id = request_id

    @app.after_request
    def finish(response: Response) -> Response:
        response.headers.add("x-request-id", g.request_id)
        rate_limit.add_headers(response)
        call = g.get("call")
        if call is not None:
            # PEP 3333: the server calls close() in any case. A generator that it never iterated would run no `finally`.
            response.call_on_close(call.close)
        return response


def log_requests(app: Flask) -> None:
    """Log a line per request when its response is closed: a stream has its outcome then."""
    log = structlog.get_logger().bind()

    @app.after_request
    def log_on_close(response: Response) -> Response:
        # The values of `g`: Flask has popped the application context when a stream is closed.
        context, environ, status = vars(app_ctx.g), request.environ, response.status_code

        @response.call_on_close
        def write() -> None:
            key, error, call = context.get("key"), context.get("error"), context.get("call")
            started = context["started"]
            fields = {
                "request_id": context["request_id"],
                "method": environ["REQUEST_METHOD"],
                "path": request_path(environ)[:MAX_PATH_LENGTH],
                "key": key.prefix if key else None,
                "status": status,
                "seconds": round(time.monotonic() - started, 6),
            }
            if call:
                fields |= call.log_fields(started)
                error = call.error or error
            if error is not None:
                fields |= error_fields(error)
            log.info("request", **{name: value for name, value in fields.items() if value is not None})

        return response


def request_path(environ: Mapping[str, Any]) -> str:
    """The decoded path: PEP 3333 has its bytes in a string of Latin-1 characters."""
    path: str = environ.get("PATH_INFO", "")
    return path if path.isascii() else path.encode("latin-1").decode("utf-8", "replace")
