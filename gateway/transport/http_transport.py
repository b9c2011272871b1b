"""The only opener of sockets: requests with a transport adapter of ours, which can watch the client while it waits."""

import io
import math
import re
import time
from collections import deque
from collections.abc import Mapping
from contextlib import closing
from functools import lru_cache
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from gateway.errors import UpstreamFailed, UpstreamTimeout
from gateway.transport.client_watch import ClientWatch, DeadlinePassed
from gateway.transport.connect import Origin
from gateway.transport.exchange import Exchange, HttpExchange
from gateway.transport.pool import Pool

UNSAFE = re.compile(r"[\r\n\0]")
TRANSPORT_ERRORS = (
    (requests.ConnectTimeout, UpstreamTimeout, "connect_timeout"),
    (requests.ReadTimeout, UpstreamTimeout, "timeout"),
    (requests.exceptions.SSLError, UpstreamFailed, "tls"),
    (requests.exceptions.ProxyError, UpstreamFailed, "proxy"),
    (requests.exceptions.ChunkedEncodingError, UpstreamFailed, "truncated"),
    (requests.exceptions.InvalidHeader, UpstreamFailed, "invalid_response"),
    (requests.RequestException, UpstreamFailed, "connection"),
)
"""requests' errors, the gateway's, and the word for them in the trail."""


def transport_error(error: requests.RequestException, name: str) -> UpstreamFailed | UpstreamTimeout:
    """The gateway's error for a failure of the transport to the provider called `name`."""
    error_class, word = next((ours, word) for theirs, ours, word in TRANSPORT_ERRORS if isinstance(error, theirs))
    word = error.kind if isinstance(error, DeadlinePassed) else word
    return error_class(f"The call to {name} failed: {error}.", upstream_status=word)


class ExchangeOpener(Protocol):
    """A transport adapter that completions go through."""

    def open(self, method: str, url: str, headers: Mapping[str, str], body: bytes, watch: ClientWatch) -> Exchange:
        """Send a request. Raises requests' errors."""


class WatchingAdapter(BaseAdapter):
    """requests' transport adapter over pooled connections."""

    def __init__(self, pool: Pool) -> None:
        super().__init__()
        self._pool = pool

    def open(self, method: str, url: str, headers: Mapping[str, str], body: bytes, watch: ClientWatch) -> Exchange:
        origin, path, host = origin_of(url)
        return HttpExchange(self._pool, origin, encode_request(method, path, {"Host": host, **headers}, body), watch)

    def send(  # noqa: PLR0917 - requests' own signature
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: ARG002
        timeout: Any = None,
        verify: Any = True,  # noqa: ARG002 - the pool's TLS context decides
        cert: Any = None,  # noqa: ARG002
        proxies: Any = None,  # noqa: ARG002
    ) -> requests.Response:
        """A whole answer by requests' own interface; `timeout` in seconds is for all of it."""
        body = request.body or b""
        body = body if isinstance(body, bytes) else str(body).encode()
        watch = ClientWatch(deadline=time.monotonic() + (timeout or math.inf))
        exchange = self.open(request.method or "GET", request.url or "", request.headers, body, watch)
        with closing(exchange):
            deque(exchange.wait_for_headers(), 0)
            response = requests.Response()
            response.request, response.url = request, request.url or ""
            response.status_code = exchange.status
            response.headers = CaseInsensitiveDict(exchange.headers)
            response.raw = io.BytesIO(exchange.read_body())
        return response

    def close(self) -> None:
        self._pool.close()


class Transport:
    """A session of requests whose adapters also open watched exchanges."""

    def __init__(self, adapters: Mapping[str, BaseAdapter]) -> None:
        """`adapters` by the beginning of the URLs that they serve."""
        self.session = requests.Session()
        self.session.trust_env = False
        for prefix, adapter in adapters.items():
            self.session.mount(prefix, adapter)
        self._openers = {prefix: cast("ExchangeOpener", adapter) for prefix, adapter in adapters.items()}

    def open(self, url: str, headers: Mapping[str, str], body: bytes, watch: ClientWatch) -> Exchange:
        """POST a body. Raises requests' errors."""
        scheme, mark, _ = url.partition("://")
        return self._openers[scheme + mark].open("POST", url, headers, body, watch)


@lru_cache(1024)
def origin_of(url: str) -> tuple[Origin, str, str]:
    """Where a URL's server is, its path with the query, and its Host header."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = parts.netloc.rpartition("@")[2]
    return Origin(parts.scheme, parts.hostname or "", port), path, host


def encode_request(method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """An HTTP/1.1 request. Raises InvalidHeader for a header that would break out of its line."""
    head = _head(method, path, tuple(headers.items()))
    if body or method == "POST":
        return b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)
    return head + b"\r\n"


@lru_cache(1024)
def _head(method: str, path: str, headers: tuple[tuple[str, str], ...]) -> bytes:
    """The request line and the headers: the same for every call of a target."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    if any(UNSAFE.search(line) for line in lines):
        raise requests.exceptions.InvalidHeader("a header to the upstream has a line end in it")
    return "\r\n".join([*lines, ""]).encode("utf-8")
