"""What happens around every view: the request's id, the end of its call, and its line in the log."""

import random
import re
import time
from collections.abc import Mapping
from typing import Any

import structlog
from flask import Flask, Response, g, request
from flask.globals import app_ctx

from gateway.config.settings import Settings
from gateway.observability.request_log import error_fields
from gateway.web import rate_limit
from gateway.web.body import discard_body
from gateway.web.services import current_services

WELL_FORMED = re.compile(r"[A-Za-z0-9._:-]{1,128}")
PATH_SHOWN = 200
"""Characters of a path in the log."""


def identify_requests(app: Flask, settings: Settings) -> None:
    """Every request has an id, the client's own where it is well-formed, and every response says it."""

    @app.before_request
    def begin() -> None:
        request_id = request.environ.get("HTTP_X_REQUEST_ID")
        g.began = time.monotonic()
        if request_id is None or not WELL_FORMED.fullmatch(request_id):
            request_id = f"{random.getrandbits(128):032x}"
        g.request_id = request_id

    @app.after_request
    def end(response: Response) -> Response:
        response.headers.add("x-request-id", g.request_id)
        rate_limit.add_headers(response)
        call = g.get("call")
        if call is not None:
            # On close, not in a generator's `finally`: one that was never read runs none.
            response.call_on_close(call.close)
        if response.status_code >= 400:
            discard_body(request.environ, settings.max_body, current_services().deadlines, settings.body_timeout)
        return response


def log_requests(app: Flask) -> None:
    """One line a request, when its response is closed: a stream has its outcome by then."""
    log = structlog.get_logger().bind()

    @app.after_request
    def log_when_sent(response: Response) -> Response:
        seen, environ, status = vars(app_ctx.g), request.environ, response.status_code

        @response.call_on_close
        def write() -> None:
            key, error, call, began = seen.get("key"), seen.get("error"), seen.get("call"), seen["began"]
            line = {
                "request_id": seen["request_id"],
                "method": environ["REQUEST_METHOD"],
                "path": request_path(environ)[:PATH_SHOWN],
                "key": key.prefix if key else None,
                "status": status,
                "seconds": round(time.monotonic() - began, 6),
            }
            if call:
                line |= call.log_fields(began)
                error = call.error or error
            if error is not None:
                line |= error_fields(error)
            log.info("request", **{name: value for name, value in line.items() if value is not None})

        return response


def request_path(environ: Mapping[str, Any]) -> str:
    """The path as the client wrote it; WSGI hands its bytes over as Latin-1 (PEP 3333)."""
    path: str = environ.get("PATH_INFO", "")
    return path if path.isascii() else path.encode("latin-1").decode("utf-8", "replace")
