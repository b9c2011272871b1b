"""The client for upstreams: requests, with a transport adapter of our own that watches the client while it waits."""

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

from gateway.transport.connect import Origin
from gateway.transport.exchange import MAX_RESPONSE, Exchange, HttpExchange
from gateway.transport.failures import TransportFailure
from gateway.transport.pool import Pool
from gateway.transport.upstream_wait import UpstreamWait

# RFC 9110, 5.5: characters that a field value must not have; the first two would begin another header.
FORBIDDEN_IN_HEADER = re.compile(r"[\r\n\0]")


class ExchangeOpener(Protocol):
    """A transport adapter that completions go through."""

    def open(self, method: str, url: str, headers: Mapping[str, str], body: bytes, wait: UpstreamWait) -> Exchange:
        """Send a request. Raises TransportFailure."""


class WatchingAdapter(BaseAdapter):
    """requests' transport adapter over pooled connections."""

    def __init__(self, pool: Pool, max_response: int = MAX_RESPONSE) -> None:
        """`max_response`: bytes of a response that is read as a whole."""
        super().__init__()
        self._pool, self._max_response = pool, max_response

    def open(self, method: str, url: str, headers: Mapping[str, str], body: bytes, wait: UpstreamWait) -> Exchange:
        origin, target, host = split_url(url)
        sent = encode_request(method, target, {"Host": host, **headers}, body)
        return HttpExchange(self._pool, origin, sent, wait, self._max_response)

    def send(  # noqa: PLR0917 - requests' own signature
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: ARG002
        timeout: Any = None,
        verify: Any = True,  # noqa: ARG002 - the pool's TLS context decides
        cert: Any = None,  # noqa: ARG002
        proxies: Any = None,  # noqa: ARG002
    ) -> requests.Response:
        """A whole response by requests' own interface; `timeout` in seconds is for all of it."""
        body = request.body or b""
        body = body if isinstance(body, bytes) else str(body).encode()
        wait = UpstreamWait(deadline=time.monotonic() + (timeout or math.inf))
        exchange = self.open(request.method or "GET", request.url or "", request.headers, body, wait)
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
        """`adapters` by the scheme of the URLs that they serve, such as `https://`."""
        self.session = requests.Session()
        # The environment is read by the settings alone: no netrc, no proxy variables.
        self.session.trust_env = False
        for prefix, adapter in adapters.items():
            self.session.mount(prefix, adapter)
        self._openers = {prefix: cast("ExchangeOpener", adapter) for prefix, adapter in adapters.items()}

    def open(self, url: str, headers: Mapping[str, str], body: bytes, wait: UpstreamWait) -> Exchange:
        """POST a body. Raises TransportFailure."""
        scheme, separator, _ = url.partition("://")
        return self._openers[scheme + separator].open("POST", url, headers, body, wait)


@lru_cache(1024)  # the same few URLs for all requests
def split_url(url: str) -> tuple[Origin, str, str]:
    """The origin of a URL, its request target (RFC 9112, 3.2.1: path and query), and its Host header."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = parts.netloc.rpartition("@")[2]  # RFC 9110, 7.2: host and port, without user and password
    return Origin(parts.scheme, parts.hostname or "", port), target, host


def encode_request(method: str, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """An HTTP/1.1 request. Raises TransportFailure for a header that would begin another line."""
    head = _encode_head(method, target, tuple(headers.items()))
    # RFC 9110, 8.6: a POST has a Content-Length even if its body is empty; a GET without a body needs none.
    if body or method == "POST":
        return b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)
    return head + b"\r\n"


@lru_cache(128)  # each may have a name, or betas, that a client made up
def _encode_head(method: str, target: str, headers: tuple[tuple[str, str], ...]) -> bytes:
    """Request line and headers: the same for every request to a target."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    if any(FORBIDDEN_IN_HEADER.search(line) for line in lines):
        raise TransportFailure("a header of the request has a line end in it", "invalid_response")
    return "\r\n".join([*lines, ""]).encode("utf-8")
