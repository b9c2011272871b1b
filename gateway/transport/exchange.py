"""One request and its response on one connection."""

import http.client
import io
import math
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import BinaryIO, Protocol, Self

import requests

from gateway.events import PAUSE, Pause
from gateway.transport.pool import Connection, Place, Pool
from gateway.transport.watch import Watch, WatchedReader

AT_ONCE = 1 << 18
"""Bytes after which a block is handed on, though more has arrived."""
LEAST_ROOM = 65536


class Exchange(Protocol):
    """A request that was sent. First read `head()` to its end, then `blocks()` or `body()`; then `close()`."""

    status: int
    headers: Mapping[str, str]
    """Their names in small letters."""

    def head(self) -> Iterator[Pause]:
        """Wait for status and headers; PAUSE whenever the watch's `wake` passes without them."""

    def blocks(self) -> Iterator[bytes | Pause]:
        """What arrives of the body, as it arrives; PAUSE whenever `wake` passes without anything."""

    def body(self) -> bytes:
        """The whole body."""

    def close(self) -> None:
        """Keep the connection if the response was read to its end; else hang up, which cancels the call."""


class _Source:
    """What http.client takes for a socket: it wants nothing but a file to read from."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file

    def makefile(self, _mode: str) -> BinaryIO:
        return self._file


class HttpExchange:
    """An exchange over HTTP/1.1. Raises requests' errors, and ClientGone from the watch."""

    def __init__(self, pool: Pool, place: Place, message: bytes, watch: Watch) -> None:
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self._pool, self._place, self._message, self._watch = pool, place, message, watch
        self._inflate: zlib._Decompress | None = None
        self._broken: Exception | None = None
        self._connection: Connection | None = None
        idle = pool.idle(place)
        self._reused = idle is not None
        with NAMED:
            self._start(idle or pool.fresh(place))

    def head(self) -> Iterator[Pause]:
        while not self._answered():
            yield PAUSE
        with NAMED:
            self._response.begin()
        self.status = self._response.status
        self.headers = {name.lower(): value for name, value in self._response.getheaders()}
        if self.headers.get("content-encoding", "identity").lower() in ("gzip", "deflate"):
            self._inflate = zlib.decompressobj(wbits=47)

    def blocks(self) -> Iterator[bytes | Pause]:
        while True:
            with NAMED:
                block, complete = self._block()
            if block:
                yield block
            if complete:
                return
            if self._broken:
                continue
            with NAMED:
                arrived = self._arrived(self._watch.wake)
            if not arrived:
                yield PAUSE

    def body(self) -> bytes:
        with NAMED:
            body = self._response.read()
            return self._inflate.decompress(body) if self._inflate else body

    def close(self) -> None:
        connection = self._connection
        if connection is None:
            return
        if self._read_to_the_end() and not self._response.will_close:
            self._connection = None
            self._pool.keep(connection)
        self._hang_up()
        self._response.close()

    def _read_to_the_end(self) -> bool:
        """Whether the body is complete, with what is there already: often its very end alone is unread."""
        if not self.status or self._broken:
            return False
        try:
            return self._complete() or self._block()[1]
        except (OSError, http.client.HTTPException, zlib.error):
            return False

    def _start(self, connection: Connection) -> None:
        """Send the message."""
        self._connection = connection
        self._reader = WatchedReader(connection.sock, self._watch)
        self._file = io.BufferedReader(self._reader)
        self._response = http.client.HTTPResponse(_Source(self._file), method="POST")  # type: ignore[arg-type]
        with suppress(BrokenPipeError, ConnectionResetError):  # it may have answered before it had read everything
            connection.send(self._message, self._watch.left())

    def _answered(self) -> bool:
        """
        Whether the first byte of an answer is there; False when `wake` passed.

        A kept connection may have been closed by the upstream just when it was used: then nothing was answered, and
        the message goes out once more on a new one.
        """
        with NAMED:
            try:
                arrived = self._arrived(self._watch.wake)
                lost = self._reader.ended
            except ConnectionError:
                if not self._reused:
                    raise
                arrived = lost = True
            if lost and self._reused:
                self._reused = False
                self._hang_up()
                self._start(self._pool.fresh(self._place))
                return self._answered()
            return arrived

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _arrived(self, patience: float) -> bool:
        """Whether there is something to read, or the end, before `patience` (`time.monotonic()`)."""
        if self._response.chunk_left == 0:  # http.client leaves a chunk's line end for later, and it is no news
            self._file.read(2)
            self._response.chunk_left = None
        self._reader.patience = patience
        try:
            return bool(self._file.peek(1)) or self._reader.ended
        finally:
            self._reader.patience = math.inf

    def _block(self) -> tuple[bytes, bool]:
        """
        All that can be read without waiting, and whether the body is complete with it.

        What arrived before the connection broke is handed on first; the next call raises the error.
        """
        pieces: list[bytes] = []
        if self._broken:
            raise self._broken
        try:
            for piece in self._pieces():
                pieces.append(piece)  # noqa: PERF402 - what came before an error is kept
        except (OSError, http.client.HTTPException) as error:
            self._broken = error
            if not pieces:
                raise
        block = b"".join(pieces)
        return self._inflate.decompress(block) if self._inflate else block, not self._broken and self._complete()

    def _pieces(self) -> Iterator[bytes]:
        size = 0
        while size < AT_ONCE and not self._complete() and self._arrived(-math.inf):
            piece = self._response.read1(LEAST_ROOM)
            if not piece and self._response.length:
                raise http.client.IncompleteRead(b"", self._response.length)
            if not piece:
                self._response.close()
            size += len(piece)
            yield piece

    def _complete(self) -> bool:
        return self._response.isclosed() or self._response.length == 0


class _Named:
    """Gives the errors of sockets and of http.client their names in requests."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, requests.RequestException):
            return
        if isinstance(error, http.client.IncompleteRead):
            raise requests.exceptions.ChunkedEncodingError("the upstream broke off its answer") from error
        if isinstance(error, http.client.RemoteDisconnected):
            raise requests.ConnectionError("the upstream closed the connection without an answer") from error
        if isinstance(error, (http.client.HTTPException, zlib.error)):
            raise requests.exceptions.InvalidHeader("the upstream's answer is no HTTP") from error
        if isinstance(error, OSError):
            raise requests.ConnectionError(f"the connection to the upstream broke: {error.strerror}") from error


NAMED = _Named()
