"""JSON responses, and the headers that report what the gateway did."""

from collections.abc import Iterable, Iterator
from typing import Any

from flask import Response
from werkzeug.datastructures import Headers

from gateway.json_codec import dumps
from gateway.routing.call import Call

# The headers that a page of another origin may read:
# https://fetch.spec.whatwg.org/#http-access-control-expose-headers
EXPOSED_HEADERS = (
    "x-request-id",
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
    *(f"x-ratelimit-{name}-requests" for name in ("limit", "remaining", "reset")),
    *(f"x-gateway-{name}" for name in ("provider", "model", "attempts", "dropped-params")),
)

STREAM_HEADERS = {
    # https://html.spec.whatwg.org/multipage/server-sent-events.html
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    # nginx buffers responses otherwise: https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffering
    "X-Accel-Buffering": "no",
}
# Characters of a header. Node's parser, for one, takes 16 KiB of headers in all.
MAX_HEADER_LENGTH = 8000


class GatewayResponse(Response):
    """A response whose body is bytes and whose headers are complete: werkzeug's checks and conversions are skipped."""

    default_mimetype = None

    def get_wsgi_headers(self, environ: Any) -> Headers:  # noqa: ARG002
        # werkzeug copies the headers, then checks Location, Content-Location and Content-Length.
        return self.headers

    def get_app_iter(self, environ: Any) -> Iterable[bytes]:
        # werkzeug encodes each piece in one iterator and closes the response in another. The response itself has
        # `__iter__` and `close`, which is all that PEP 3333 requires of an iterable.
        return self if environ["REQUEST_METHOD"] != "HEAD" else super().get_app_iter(environ)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.response)  # type: ignore[arg-type]


def as_json(data: Any, status: int = 200) -> Response:
    return json_response(dumps(data), status)


def json_response(body: bytes, status: int = 200) -> Response:
    # RFC 8259 section 11: application/json has no charset parameter, JSON is UTF-8.
    return GatewayResponse([body], status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])


def gateway_headers(response: Response, call: Call) -> Response:
    """Add the x-gateway-* headers."""
    for name, value in call.trail().items():
        if value:
            response.headers.add(f"x-gateway-{name}", header_text(value)[:MAX_HEADER_LENGTH])
    return response


def header_text(value: str) -> str:
    """A value in printable ASCII: other characters, which RFC 9110 section 5.5 advises against, are percent-encoded."""
    if value.isascii() and value.isprintable():
        return value
    return "".join(c if c.isascii() and c.isprintable() else "".join(f"%{b:02X}" for b in c.encode()) for c in value)
