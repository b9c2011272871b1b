"""One request and its response on one connection."""

import math
import time
import zlib
from collections.abc import Iterator, Mapping
from typing import Protocol, Self

import requests

from gateway.stream_events import PAUSE, Pause
from gateway.transport.client_watch import READ, WRITE, ClientWatch
from gateway.transport.connect import Origin, SocketWait
from gateway.transport.http1 import Malformed, Response, Truncated, Unanswered
from gateway.transport.pool import Connection, ConnectSteps, Pool

AT_ONCE = 1 << 16
MOST_BODY = 64 << 20
"""Bytes of a whole answer, unpacked or not, beyond which the upstream speaks nonsense."""


class Exchange(Protocol):
    """A request that was sent. First read `head()` to its end, then `blocks()` or `body()`; then `close()`."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Their names in small letters."""

    def wait_for_headers(self) -> Iterator[Pause]:
        """Wait for status and headers; PAUSE whenever the watch's `wake` passes without them."""

    def blocks(self) -> Iterator[bytes | Pause]:
        """What arrives of the body, as it arrives; PAUSE whenever `wake` passes without anything."""

    def read_body(self) -> bytes:
        """The whole body."""

    def close(self) -> None:
        """Keep the connection if the response was read to its end; else hang up, which cancels the call."""


class HttpExchange:
    """An exchange over HTTP/1.1. Raises requests' errors, and ClientDisconnected from the watch."""

    def __init__(self, pool: Pool, origin: Origin, message: bytes, watch: ClientWatch) -> None:
        self._pool, self._origin, self._message, self._watch = pool, origin, message, watch
        self._response = Response()
        self._inflate: zlib._Decompress | None = None
        self._connection: Connection | None = None
        self._opening: ConnectSteps | None = None
        self._waited_for: SocketWait | None = None
        """What the opening waits for."""
        self._early = b""
        """What of the body came with the head."""
        take_idle = pool.take_idle(origin)
        self._reused = take_idle is not None
        self._unsent = memoryview(message)
        if take_idle is None:
            self._open()
        else:
            with map_socket_errors:
                self._send(take_idle)

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._response.headers

    def wait_for_headers(self) -> Iterator[Pause]:
        while not self._response.status:
            with map_socket_errors:
                progress = self._advance()
            if not progress:
                yield PAUSE
        if self.headers.get("content-encoding", "identity").lower() in ("gzip", "deflate"):
            self._inflate = zlib.decompressobj(wbits=47)

    def blocks(self) -> Iterator[bytes | Pause]:
        with map_socket_errors:
            if self._early:
                yield self._unpacked(self._early)
            while not self._response.complete:
                data = self._read(self._watch.yield_at)
                yield PAUSE if data is None else data if self._inflate is None else self._unpacked(data)

    def read_body(self) -> bytes:
        pieces, size = [self._early], len(self._early)
        with map_socket_errors:
            while not self._response.complete:
                pieces.append(self._read(math.inf) or b"")
                size += len(pieces[-1])
                if size > MOST_BODY:
                    raise Malformed("it has no end")
        return self._unpacked(b"".join(pieces))

    def close(self) -> None:
        if self._opening is not None:
            self._opening.close()
            self._opening = None
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                keep = self._read_to_the_end(connection)
            except (OSError, Malformed, Truncated):
                keep = False
            if keep:
                self._pool.put_back(connection)
            else:
                connection.close()

    def _read_to_the_end(self, connection: Connection) -> bool:
        """Whether the response is complete, with what is there already: often its very end alone is unread."""
        if self._response.status and not self._response.complete:
            self._response.feed(connection.read(AT_ONCE, 0) or b"")
        return self._response.complete and self._response.persistent and not self._unsent

    def _advance(self) -> bool:
        """Connect, send, or hear on; False when `wake` passed without news."""
        if self._opening is not None:
            return self._connected(self._opening)
        if not self._unsent:
            return self._answered(self._watch.yield_at)
        came = self._watch.ready(self._wire().sock, READ | WRITE)
        if came & WRITE:
            self._flush()
        elif came:  # it answers before it has read everything, or TLS has something to say
            self._answered(0)
        return bool(came)

    def _open(self) -> None:
        """Begin to connect."""
        self._opening = self._pool.connect(self._origin, self._watch.connect_time_left())
        self._waited_for = None

    def _connected(self, opening: ConnectSteps) -> bool:
        """Go a step further in connecting; the last one sends the message."""
        try:
            wait = self._waited_for
            if wait is None:
                wait = next(opening)
                self._watch.check_client()  # a name may have taken long to resolve
            came = bool(self._watch.ready(wait.sock, wait.events, wait.by))
            self._waited_for = wait if not came and time.monotonic() < wait.by else opening.send(came)
        except StopIteration as opened:
            self._opening = None
            self._send(opened.value)
            return True
        return self._waited_for is not wait

    def _send(self, connection: Connection) -> None:
        """Begin to send; what the upstream does not take at once is left for `head`."""
        self._connection, self._unsent = connection, memoryview(self._message)
        self._flush()

    def _flush(self) -> None:
        """Send on. An upstream that breaks off here may have answered before it had read everything."""
        try:
            self._unsent = self._unsent[self._wire().send(self._unsent) :]
        except (BrokenPipeError, ConnectionResetError):
            self._unsent = self._unsent[:0]

    def _answered(self, patience: float) -> bool:
        """Whether more of the head is there; False when `patience` (`time.monotonic()`) passed.

        A kept connection may have been closed by the upstream just when it was used: then nothing was answered, and
        the message goes out once more on a new one.
        """
        try:
            body = self._read(patience)
        except (ConnectionError, Unanswered):
            if not self._reused or self._response.begun:
                raise
            self._reused = False
            if self._connection is not None:
                self._connection.close()
            self._response = Response()
            self._open()
            return True
        self._early += body or b""
        return body is not None

    def _read(self, patience: float) -> bytes | None:
        """What the next bytes add to the body; None when `patience` (`time.monotonic()`) passed without any."""
        data = self._watch.receive(self._wire(), AT_ONCE, patience)
        if data is None:
            return None
        if data:
            return self._response.feed(data)
        self._response.end()
        return b""

    def _wire(self) -> Connection:
        if self._connection is None:
            raise requests.ConnectionError("the exchange is closed")
        return self._connection

    def _unpacked(self, data: bytes) -> bytes:
        if self._inflate is None:
            return data
        with map_socket_errors:
            unpacked = self._inflate.decompress(data, MOST_BODY)
            if self._inflate.unconsumed_tail:
                raise Malformed("unpacked, it has no end")
        return unpacked


class _Named:
    """Gives the errors of sockets and of the protocol their names in requests."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None or isinstance(error, requests.RequestException):
            return
        if isinstance(error, Unanswered):
            raise requests.ConnectionError(str(error)) from error
        if isinstance(error, Truncated):
            raise requests.exceptions.ChunkedEncodingError(str(error)) from error
        if isinstance(error, (Malformed, zlib.error)):
            raise requests.exceptions.InvalidHeader(f"no HTTP/1.1 response: {error}") from error
        if isinstance(error, OSError):
            raise requests.ConnectionError(f"the connection broke: {error.strerror or error}") from error


map_socket_errors = _Named()
