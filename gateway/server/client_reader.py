"""Reading from a client: what gunicorn's parser reads a connection through, with deadlines, and with turns for other connections."""

import errno
import math
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Any

from gunicorn.http.errors import ParseException

from gateway.server.minimum_rate import MinimumRate, ReadingRate

# The key of a request's environ that holds the ClientReader of its connection. Other servers than our workers set none.
CLIENT_READER = "pointsman.client_reader"
# Seconds for the head of a request, from its first byte on; for the first one of a connection, from its acceptance on.
HEAD_TIMEOUT = 10.0
# Seconds that a connection stays open after its last response, so that the client can close it first or send one more request.
# gunicorn's own util.close_graceful and STOP_KEEPALIVE_LINGER allow the same.
LINGER = 2.0
# Bytes that are discarded of the body of a refused request. gunicorn's util.close_graceful and Parser.finish_body do the same.
MAX_DISCARDED = 1 << 16
# Seconds between two looks at the time while a client is waited for.
WAIT_STEP = 0.25
# A read counts 1 towards a turn if it begins a head or a body, 4 if it continues one; after 16 others have their turn. gevent
# switches where a read has to wait only: the socket of a client that sends without end is always readable.
TURN, CONTINUATION = 16, 4


class ClientReader(ABC):
    """
    The source of gunicorn's `Parser`, in place of the client's socket, of which the parser uses `recv`, and `gettimeout` and
    `settimeout` around its own discarding of a body.

    Its phases alternate: a head, which `recv_head` reads as it suits the worker, and a body with the response to it. In the
    latter `deadline` (`time.monotonic()`) ends the reading of the body, and the client has to keep to the minimum rate.
    """

    def __init__(self, client: Any) -> None:
        self.client = client
        self.gettimeout, self.settimeout = client.gettimeout, client.settimeout
        self.deadline = math.inf
        # When the current head has to be complete: infinity before its first byte, but for the first head of a connection.
        self.head_due = time.monotonic() + HEAD_TIMEOUT
        # Of what is being sent, once a send had to wait.
        self.reading_rate: ReadingRate | None = None
        # The rest of a body, or of what is no request, will not be read: the connection has to be closed.
        self.has_unread = False
        # Reads in this phase.
        self.reads = 0
        self._in_body = False
        self._unyielded = 0
        self._discardable: int | None = None

    def recv(self, size: int) -> bytes:
        """Up to `size` bytes, b"" at the end of the connection or when a head took too long. Raises TimeoutError in a body."""
        self.reads += 1
        self._count_turn(1 if self.reads == 1 else CONTINUATION)
        if not self._in_body:
            return self.recv_head(size)
        return self._recv_body(size) if self._discardable is None else self._recv_discarded(size)

    @abstractmethod
    def recv_head(self, size: int) -> bytes:
        """Read a part of a head."""

    def start_body(self) -> None:
        """The head is complete."""
        self._in_body, self.reads, self.deadline = True, 0, math.inf

    def start_head(self, *, pipelined: bool) -> None:
        """The response is sent. `pipelined`: a part of the next head, at least, has arrived with the request before it."""
        self._in_body, self.reads, self.head_due = False, 0, math.inf
        if pipelined:
            self.head_due = time.monotonic() + HEAD_TIMEOUT
            self._count_turn(CONTINUATION)

    def discard(self, body: Any) -> None:
        """Discard of an unread body what has arrived, without waiting. `body`: gunicorn's, read through this reader."""
        self._discardable = MAX_DISCARDED
        self.client.settimeout(0)
        # The end of what has arrived, or of the connection, is an OSError, also gunicorn's NoMoreData; what is no body, a
        # ParseException.
        with suppress(OSError, ParseException):
            while body.read(MAX_DISCARDED):
                pass
        self._discardable = None

    def yield_turn(self) -> None:
        """Let other greenlets or threads have their turn."""
        time.sleep(0)  # noqa: TID251 - it waits for nothing

    def wait(self, *, holds_call: bool = False) -> None:  # noqa: ARG002 - for the worker whose threads wait
        """A read or a send has waited for WAIT_STEP seconds. May raise ConnectionResetError."""
        return

    def end_wait(self) -> None:
        """It waits no more."""
        return

    def _count_turn(self, weight: int) -> None:
        self._unyielded += weight
        if self._unyielded >= TURN:
            self._unyielded = 0
            self.yield_turn()

    def _recv_body(self, size: int) -> bytes:
        now = time.monotonic()
        if self.reads == 1:
            self._rate = MinimumRate(now)
            self.client.settimeout(WAIT_STEP)
        waited = False
        while now < self.deadline and not self._rate.too_slow(now):
            try:
                data: bytes = self.client.recv(size)
            except TimeoutError:
                waited = True
                self.wait()
                now = time.monotonic()
            else:
                if waited:
                    self.end_wait()
                self._rate.transferred += len(data)
                return data
        raise TimeoutError("the body did not arrive in time")

    def _recv_discarded(self, size: int) -> bytes:
        if not self._discardable:
            raise BlockingIOError
        data: bytes = self.client.recv(min(size, self._discardable))
        self._discardable -= len(data)
        return data


def has_unread_body(request: Any) -> bool:
    """Whether a part of the body of gunicorn's `Request` is unread: `LengthReader.length` or `ChunkedReader.parser` says so."""
    reader = request.body.reader
    return bool(getattr(reader, "length", 0) or getattr(reader, "parser", None))


def dropped(reason: str) -> ConnectionResetError:
    """The error of a client that is dropped: both workers ignore this errno, and close the connection."""
    return ConnectionResetError(errno.ECONNRESET, reason)
