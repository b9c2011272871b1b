"""The log: one structured line per request, without prompts, keys, and texts of clients or upstreams."""

import contextlib
import re
import sys
import threading
from collections.abc import MutableMapping
from typing import Any

import orjson
import structlog

from gateway.errors import GatewayError, InvalidRequest, Untranslatable, UpstreamLimited, UpstreamRejected

# The top-level field of a path, with its index: what follows may be a key that the client made up.
FIELD = re.compile(r"[a-z_]+(\[\d+\])?")
# Errors whose code is text of the upstream.
MIRRORED = (UpstreamRejected, UpstreamLimited)


class StandardOutput:
    """The logger that structlog hands each line to. A line that cannot be written is lost: no request fails because of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def write_line(self, line: str | bytes) -> None:
        data = line if isinstance(line, bytes) else line.encode(errors="backslashreplace")
        # ENOSPC where the output is a file on a full disk, EPIPE where the program that reads it has ended.
        with self._lock, contextlib.suppress(OSError):
            sys.stdout.buffer.write(data + b"\n")
            sys.stdout.buffer.flush()

    debug = info = warning = error = critical = write_line


def configure(level: str, log_format: str) -> None:
    """Log to standard output, as JSON or as text for a console."""
    as_text, output = log_format == "console", StandardOutput()
    render: tuple[Any, ...] = (structlog.processors.JSONRenderer(serializer=lambda event, **_: orjson.dumps(event)),)
    if as_text:
        render = escape_controls, structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            *render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: output,
        cache_logger_on_first_use=False,
    )


def escape_controls(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:  # noqa: ARG001
    """
    A processor that escapes what a terminal could obey or take for a new line, in names and texts such as a client's path.

    JSON escapes its own; ConsoleRenderer prints text as it is, and other values by repr().
    """
    return {printable(name): printable(value) if isinstance(value, str) else value for name, value in event.items()}


def printable(text: str) -> str:
    """The text with Python's escapes for characters that are not printable: controls, line separators, bidirectional marks."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def error_fields(error: GatewayError) -> dict[str, Any]:
    """An error without the texts of a client or an upstream."""
    fields = {"error": type(error).__name__, "code": None if isinstance(error, MIRRORED) else error.code}
    if isinstance(error, InvalidRequest) and not isinstance(error, Untranslatable) and error.param:
        field = FIELD.match(error.param)
        fields["param"] = field[0] if field else None
    return fields
