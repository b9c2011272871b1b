"""Responses: JSON, and what the gateway did in their headers."""

from collections.abc import Iterable, Iterator
from typing import Any

from flask import Response
from werkzeug.datastructures import Headers

from gateway.json_codec import dumps
from gateway.routing.call import Call

EXPOSED = (
    "x-request-id",
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
    *(f"x-ratelimit-{what}-{unit}" for what in ("limit", "remaining", "reset") for unit in ("requests", "tokens")),
    *(f"x-gateway-{what}" for what in ("provider", "model", "attempts", "cache", "dropped-params")),
)
"""The headers that a page of another origin may read."""

STREAM_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
}
MOST = 8000
"""Characters of a header: clients read no more than some tens of thousands in all."""


class GatewayResponse(Response):
    """A response of ours: its headers are as they have to be, and its body is bytes, so that nothing is looked through."""

    default_mimetype = None

    def get_wsgi_headers(self, environ: Any) -> Headers:  # noqa: ARG002
        return self.headers

    def get_app_iter(self, environ: Any) -> Iterable[bytes]:
        """Itself: werkzeug's own puts two iterators between the server and the body."""
        return self if environ["REQUEST_METHOD"] != "HEAD" else super().get_app_iter(environ)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.response)  # type: ignore[arg-type]


def as_json(data: Any, status: int = 200) -> Response:
    body = dumps(data)
    return GatewayResponse([body], status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])


def gateway_headers(response: Response, call: Call) -> Response:
    """Say what the gateway did. Text that a header cannot hold is percent-encoded."""
    for name, value in call.trail().items():
        if value:
            response.headers.add(f"x-gateway-{name}", printable(value)[:MOST])
    return response


def printable(value: str) -> str:
    if value.isascii() and value.isprintable():
        return value
    return "".join(c if c.isascii() and c.isprintable() else "".join(f"%{b:02X}" for b in c.encode()) for c in value)
