"""The log: one structured line per request, without prompts, keys, and texts of clients or upstreams."""

import re
from typing import Any

import orjson
import structlog

from gateway.errors import GatewayError, InvalidRequest, Untranslatable, UpstreamLimited, UpstreamRejected

# The top-level field of a path, with its index: what follows may be a key that the client made up.
FIELD = re.compile(r"[a-z_]+(\[\d+\])?")
# Errors whose code is text of the upstream.
MIRRORED = (UpstreamRejected, UpstreamLimited)


def configure(level: str, log_format: str) -> None:
    """Log to standard output, as JSON or as text for a console."""
    as_text = log_format == "console"
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.dev.ConsoleRenderer(colors=False)
            if as_text
            else structlog.processors.JSONRenderer(serializer=lambda event, **_: orjson.dumps(event)),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory() if as_text else structlog.BytesLoggerFactory(),
        cache_logger_on_first_use=False,
    )


def error_fields(error: GatewayError) -> dict[str, Any]:
    """An error without the texts of a client or an upstream."""
    fields = {"error": type(error).__name__, "code": None if isinstance(error, MIRRORED) else error.code}
    if isinstance(error, InvalidRequest) and not isinstance(error, Untranslatable) and error.param:
        field = FIELD.match(error.param)
        fields["param"] = field[0] if field else None
    return fields
