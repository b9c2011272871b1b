"""One structured line a request. Never a prompt, a key, or anything that a client or an upstream wrote in words."""

import re
import time
from collections.abc import Mapping
from typing import Any

import orjson
import structlog
from flask import Flask, Response, request
from flask.globals import app_ctx

from gateway.call import Call
from gateway.errors import GatewayError, InvalidRequest, Untranslatable, UpstreamLimited, UpstreamRejected
from gateway.settings import Settings

FIELD = re.compile(r"[a-z_]+(\[\d+\])?")
"""A top-level field of ours, and which of its items: what follows in a path may be a client's own key."""
MIRRORED = (UpstreamRejected, UpstreamLimited)
"""Errors whose code is the upstream's word."""
MODEL_SHOWN = 200
COUNTS = ("prompt_tokens", "completion_tokens")


def configure(settings: Settings) -> None:
    """Log to standard output, as JSON or for a person at a console."""
    readable = settings.log_format == "console"
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.dev.ConsoleRenderer(colors=False)
            if readable
            else structlog.processors.JSONRenderer(serializer=lambda event, **_: orjson.dumps(event)),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level),
        logger_factory=structlog.PrintLoggerFactory() if readable else structlog.BytesLoggerFactory(),
        cache_logger_on_first_use=False,
    )


def init_app(app: Flask) -> None:
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
                "path": request_path(environ)[:MODEL_SHOWN],
                "key": key.prefix if key else None,
                "status": status,
                "seconds": round(time.monotonic() - began, 6),
            }
            if call:
                line |= of_call(call, began)
                error = call.error or error
            if error is not None:
                line |= of_error(error)
            log.info("request", **{name: value for name, value in line.items() if value is not None})

        return response


def request_path(environ: Mapping[str, Any]) -> str:
    """The path as it was asked for; WSGI hands its bytes over as Latin-1."""
    path: str = environ.get("PATH_INFO", "")
    return path if path.isascii() else path.encode("latin-1").decode("utf-8", "replace")


def of_call(call: Call, began: float) -> dict[str, Any]:
    """What became of a call."""
    used = call.usage or {}
    target = call.answered
    told = {
        "model": call.chat["model"][:MODEL_SHOWN],
        "served": str(call.model)[:MODEL_SHOWN] if call.model else None,
        "provider": target.provider.name if target else None,
        "attempts": [
            {
                "target": f"{tried.provider}/{tried.model}"[:MODEL_SHOWN],
                "status": tried.status,
                "ms": round(1000 * tried.seconds, 1),
            }
            for tried in call.attempts
        ]
        or None,
        "stream": bool(call.chat.get("stream")),
        "outcome": call.outcome,
        **{name: used[name] for name in COUNTS if isinstance(used.get(name), int)},
        "first_content_seconds": round(call.first_content - began, 6) if call.first_content else None,
    }
    if call.outcome == "abandoned":
        told["status"] = 499
    return {**told, **(call.fault or {})}


def of_error(error: GatewayError) -> dict[str, Any]:
    """An error without any words of a client or an upstream."""
    told = {"error": type(error).__name__, "code": None if isinstance(error, MIRRORED) else error.code}
    if isinstance(error, InvalidRequest) and not isinstance(error, Untranslatable) and error.param:
        field = FIELD.match(error.param)
        told["param"] = field[0] if field else None
    return told
