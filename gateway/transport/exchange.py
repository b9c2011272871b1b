"""One request and its response on one connection."""

import math
import time
import zlib
from collections.abc import Iterator, Mapping
from typing import Protocol

from gateway.stream_events import PAUSE, Pause
from gateway.transport.client_watch import READ, WRITE
from gateway.transport.connect import Origin, SocketWait
from gateway.transport.failures import TransportFailure, map_transport_errors
from gateway.transport.http1 import Malformed, NoResponse, Response
from gateway.transport.pool import Connection, ConnectSteps, Pool
from gateway.transport.upstream_wait import UpstreamWait

READ_SIZE = 1 << 16
# Bytes of a response read as a whole, compressed or not, beyond which it is considered invalid.
MAX_RESPONSE = 32 << 20
# zlib's window size of 2**15, plus 32 for "the header says whether it is gzip or zlib".
GZIP_OR_ZLIB = 32 + 15


class Exchange(Protocol):
    """A request that was sent. First exhaust `wait_for_headers()`, then `blocks()` or `read_body()`; then `close()`."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """By their names in lower case."""

    def wait_for_headers(self) -> Iterator[Pause]:
        """Wait for status and headers; PAUSE whenever the watch's `yield_at` passes without them."""

    def blocks(self) -> Iterator[bytes | Pause]:
        """The body as it arrives; PAUSE whenever `yield_at` passes without any of it."""

    def read_body(self) -> bytes:
        """The whole body."""

    def close(self) -> None:
        """Keep the connection if the response was read to its end; else close it, which cancels the request."""


class HttpExchange:
    """An exchange over HTTP/1.1. Raises TransportFailure, and the watch's ClientDisconnected and ShuttingDown."""

    def __init__(
        self, pool: Pool, origin: Origin, request: bytes, wait: UpstreamWait, max_response: int = MAX_RESPONSE
    ) -> None:
        self._max_response = max_response
        self._pool, self._origin, self._request, self._wait = pool, origin, request, wait
        # Per connection: first the steps that open it and what they wait for, then what of the request is unsent.
        self._connect_steps: ConnectSteps | None = None
        self._connect_wait: SocketWait | None = None
        self._connection: Connection | None = None
        self._unsent = memoryview(request)
        # Per response: its parser, the part of its body that arrived with the headers, and its decompressor.
        self._response = Response()
        self._early_body = b""
        self._decompressor: zlib._Decompress | None = None
        idle_connection = pool.take_idle(origin)
        self._reused = idle_connection is not None
        if idle_connection is None:
            self._start_connecting()
        else:
            with map_transport_errors:
                self._start_sending(idle_connection)

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._response.headers

    def wait_for_headers(self) -> Iterator[Pause]:
        while not self._response.status:
            with map_transport_errors:
                progress = self._advance()
            if (
                not progress or time.monotonic() >= self._wait.watch.yield_at
            ):  # interim responses are progress without end
                yield PAUSE
        # The headers that requests adds accept compression, and some servers compress without being asked.
        if self.headers.get("content-encoding", "identity").lower() in ("gzip", "deflate"):
            self._decompressor = zlib.decompressobj(wbits=GZIP_OR_ZLIB)

    def blocks(self) -> Iterator[bytes | Pause]:
        with map_transport_errors:
            if self._early_body and self._decompressor is None:
                yield self._early_body
            elif self._decompressor is not None:
                yield from self._decompress_pieces(self._decompressor, self._early_body)
            while not self._response.complete:
                data = self._read(self._wait.watch.yield_at)
                if data is None:
                    yield PAUSE
                elif self._decompressor is None:
                    yield data
                else:
                    yield from self._decompress_pieces(self._decompressor, data)

    def read_body(self) -> bytes:
        pieces, size = [self._early_body], len(self._early_body)
        with map_transport_errors:
            while size <= self._max_response and not self._response.complete:
                pieces.append(self._read(math.inf) or b"")
                size += len(pieces[-1])
            if size > self._max_response:
                raise Malformed("the body of the response is too long")
            return self._decompress(b"".join(pieces))

    def close(self) -> None:
        if self._connect_steps is not None:
            self._connect_steps.close()
            self._connect_steps = None
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                keep = self._is_reusable(connection)
            except (OSError, Malformed):
                keep = False
            if keep:
                self._pool.put_back(connection)
            else:
                connection.close()

    def _is_reusable(self, connection: Connection) -> bool:
        """Whether the response is complete, with what has arrived by now: often its last chunk alone is unread."""
        if self._response.status and not self._response.complete:
            self._response.feed(connection.read(READ_SIZE, 0) or b"")
        return self._response.complete and self._response.persistent and not self._unsent

    def _advance(self) -> bool:
        """Connect, send, or receive headers; False when `yield_at` passed without progress."""
        if self._connect_steps is not None:
            return self._continue_connecting(self._connect_steps)
        if not self._unsent:
            return self._receive_headers(self._wait.watch.yield_at)
        # RFC 9112, 9.5: a client that sends a body should watch for an error response meanwhile, and then cease sending.
        events = self._wait.ready(self._require_connection().sock, READ | WRITE)
        if events & WRITE:
            self._continue_sending()
        elif events:  # a response, or TLS has to read before it can write
            self._receive_headers(0)
        return bool(events)

    def _start_connecting(self) -> None:
        self._connect_steps = self._pool.connect(self._origin, self._wait.remaining_connect_time())
        self._connect_wait = None

    def _continue_connecting(self, steps: ConnectSteps) -> bool:
        """Go a step further; the last one starts sending."""
        try:
            wait = self._connect_wait
            if wait is None:
                wait = next(steps)
                self._wait.watch.check()  # to resolve a name may have taken long
            ready = bool(self._wait.ready(wait.sock, wait.events, wait.deadline))
            self._connect_wait = wait if not ready and time.monotonic() < wait.deadline else steps.send(ready)
        except StopIteration as connected:
            self._connect_steps = None
            if not connected.value.is_silent():
                connected.value.close()
                raise Malformed("the upstream sent something, or closed, before it had a request") from None
            self._start_sending(connected.value)
            return True
        return self._connect_wait is not wait

    def _start_sending(self, connection: Connection) -> None:
        """Send what the connection takes at once; the rest is left for `wait_for_headers`."""
        self._connection, self._unsent = connection, memoryview(self._request)
        self._continue_sending()

    def _continue_sending(self) -> None:
        try:
            self._unsent = self._unsent[self._require_connection().send(self._unsent) :]
        except (BrokenPipeError, ConnectionResetError):
            # The upstream may have responded before it had read everything: the response is still to be read.
            self._unsent = self._unsent[:0]

    def _receive_headers(self, until: float) -> bool:
        """Receive more of the head; False when `until` (`time.monotonic()`) passed without any."""
        try:
            body = self._read(until)
        except (ConnectionError, NoResponse):
            # RFC 9110, 9.2.2: a client may guess that a POST can be repeated when an idle connection that it used was closed
            # before any part of a response. The upstream closed it just when the request was on its way.
            if not self._reused or self._response.started:
                raise
            self._reused = False
            if self._connection is not None:
                self._connection.close()
            self._response = Response()
            self._start_connecting()
            return True
        self._early_body += body or b""
        return body is not None

    def _read(self, until: float) -> bytes | None:
        """What the next bytes add to the body; None when `until` (`time.monotonic()`) passed without any."""
        data = self._wait.receive(self._require_connection(), READ_SIZE, until)
        if data is None:
            return None
        if data:
            return self._response.feed(data)
        self._response.end()
        return b""

    def _require_connection(self) -> Connection:
        if self._connection is None:
            raise TransportFailure("the exchange is closed")
        return self._connection

    def _decompress_pieces(self, decompressor: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
        """A block of a stream, in pieces that take no more memory than others: it may expand a thousandfold."""
        while data:
            piece = decompressor.decompress(data, READ_SIZE)
            self._wait.expanded(len(piece))
            yield piece
            data = decompressor.unconsumed_tail

    def _decompress(self, data: bytes) -> bytes:
        if self._decompressor is None:
            return data
        decompressed = self._decompressor.decompress(data, self._max_response)
        if self._decompressor.unconsumed_tail:
            raise Malformed("the decompressed body of the response is too long")
        return decompressed
