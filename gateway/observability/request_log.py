"""The log: one structured line a request. Never a prompt, a key, or anything that a client or an upstream wrote in words."""

import re
from typing import Any

import orjson
import structlog

from gateway.errors import GatewayError, InvalidRequest, Untranslatable, UpstreamLimited, UpstreamRejected

FIELD = re.compile(r"[a-z_]+(\[\d+\])?")
"""A top-level field of ours, and which of its items: what follows in a path may be a client's own key."""
MIRRORED = (UpstreamRejected, UpstreamLimited)
"""Errors whose code is the upstream's word."""


def configure(level: str, log_format: str) -> None:
    """Log to standard output, as JSON or for a person at a console."""
    readable = log_format == "console"
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.dev.ConsoleRenderer(colors=False)
            if readable
            else structlog.processors.JSONRenderer(serializer=lambda event, **_: orjson.dumps(event)),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory() if readable else structlog.BytesLoggerFactory(),
        cache_logger_on_first_use=False,
    )


def error_fields(error: GatewayError) -> dict[str, Any]:
    """An error without any words of a client or an upstream."""
    fields = {"error": type(error).__name__, "code": None if isinstance(error, MIRRORED) else error.code}
    if isinstance(error, InvalidRequest) and not isinstance(error, Untranslatable) and error.param:
        field = FIELD.match(error.param)
        fields["param"] = field[0] if field else None
    return fields
