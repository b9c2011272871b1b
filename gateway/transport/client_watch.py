"""Waiting on two sockets at once: the upstream's, for bytes, and the client's, for a disconnect."""

import math
import select
import socket
import time
from dataclasses import dataclass, field
from typing import Protocol

from gateway.errors import CALL_TIMEOUT, ClientDisconnected, ShuttingDown, UpstreamTimeout
from gateway.server.shutdown import NO_SHUTDOWN, Shutdown
from gateway.transport.failures import TransportFailure

READ, WRITE = select.POLLIN | select.POLLHUP | select.POLLERR, select.POLLOUT
# TCP_ESTABLISHED of Linux's tcp_states.h: the client has not closed its side of the connection.
ESTABLISHED = 1
# Seconds in which a wait watches the upstream alone, which is all of it where a stream flows: to poll both sockets costs more.
# Also the seconds between two looks at a client whose pipelined request makes its socket readable.
CLIENT_CHECK_INTERVAL = 0.2
# Seconds of a wait between two looks at the worker's shutdown.
MAX_POLL = 1.0

# The kinds of deadlines: words for trails and logs.
TOTAL, TARGET, FIRST_CONTENT, IDLE = CALL_TIMEOUT, "target_timeout", "first_content_timeout", "idle_timeout"
DEADLINE_MESSAGES = {
    TOTAL: "the timeout of the whole request expired",
    TARGET: "the timeout of this target expired",
    FIRST_CONTENT: "no content came in time",
    IDLE: "nothing more came in time",
}


class DeadlinePassed(TransportFailure):
    """A time bound passed; `kind` is which."""

    def __init__(self, kind: str) -> None:
        super().__init__(DEADLINE_MESSAGES[kind], kind, UpstreamTimeout)


class Readable(Protocol):
    """What can be waited for."""

    sock: socket.socket

    def read(self, size: int, timeout: float) -> bytes | None:
        """Up to `size` bytes, b"" at the end, None when `timeout` (seconds) passed without any."""


@dataclass(slots=True)
class ClientWatch:
    """
    Bounds the wait for an upstream; times are `time.monotonic()`'s.

    `client` is the client's socket, None where the server does not provide it; `shutdown` is the worker's. `deadline` ends the
    attempt, and `deadline_kind` says which bound that is. `connect_timeout` in seconds bounds connecting, `idle_timeout` in
    seconds bounds the wait for each event after the first content. At `yield_at` the client is due a sign of life: whoever
    can yield PAUSE does so then.
    """

    client: socket.socket | None = None
    shutdown: Shutdown = NO_SHUTDOWN
    deadline: float = math.inf
    deadline_kind: str = TOTAL
    idle_timeout: float = math.inf
    connect_timeout: float = math.inf
    yield_at: float = math.inf
    # The client's next request is waiting behind this one: its socket is readable all the time.
    pipelined: bool = False
    # When the client was last checked.
    checked_at: float = field(default_factory=time.monotonic)
    # When the idle timeout began; and whether the last read returned something, so that it begins anew.
    received_at: float = math.inf
    received: bool = False
    poll_interval: float = MAX_POLL
    # Set by another thread: the wait ends within `poll_interval` seconds.
    cancelled: bool = False

    def content_started(self, deadline: float, deadline_kind: str, idle_timeout: float) -> None:
        """Replace the bounds by those that hold once the first content has arrived."""
        self.deadline, self.deadline_kind, self.idle_timeout = deadline, deadline_kind, idle_timeout
        self.received_at = time.monotonic()

    def check_client(self) -> None:
        """Raise ClientDisconnected if the client disconnected, ShuttingDown at the end of the grace period."""
        self.raise_if_shutting_down(time.monotonic())
        if self.client is not None:
            self._check_connected(self.client)

    def raise_if_shutting_down(self, now: float) -> None:
        """Raise ShuttingDown at the end of the worker's grace period."""
        if now >= self.shutdown.deadline:
            raise ShuttingDown("The gateway is shutting down. Try again: another process will respond.")

    def remaining_connect_time(self) -> float:
        """Seconds in which a connection has to be established."""
        return max(0.001, min(self.connect_timeout, self.deadline - time.monotonic()))

    def receive(self, upstream: Readable, size: int, until: float) -> bytes | None:
        """
        Up to `size` bytes of the upstream, b"" at their end, None when `until` (`time.monotonic()`) passed.

        Raises ClientDisconnected, ShuttingDown, and DeadlinePassed at the deadline or after the idle timeout.
        """
        now = time.monotonic()
        if self.cancelled:
            raise ClientDisconnected("another attempt was first")
        if self.received:
            # The idle timeout begins when reading resumes: a client that reads slowly is no silence of the upstream.
            self.received_at, self.received = now, False
        until = min(until, self._deadline())
        if now >= self.shutdown.deadline:
            self.raise_if_shutting_down(now)
        if self.client is not None and now - self.checked_at >= CLIENT_CHECK_INTERVAL:
            self.checked_at = now
            self._check_connected(self.client)
        # First wait on the upstream's socket alone, then on both.
        timeout = max(0.0, min(self.checked_at + CLIENT_CHECK_INTERVAL, now + self.poll_interval, until) - now)
        data = upstream.read(size, timeout)
        while data is None and self._wait_until_ready(upstream.sock, READ, until):
            data = upstream.read(size, 0)  # None where TLS has received a part of a record
        self.received = data is not None
        return data

    def ready(self, upstream: socket.socket, events: int, until: float = math.inf) -> int:
        """Wait for poll's `events`; return those that occurred, 0 when `yield_at` or `until` passed. Raises as `receive` does."""
        return self._wait_until_ready(upstream, events, min(until, self.yield_at, self.deadline))

    def wait(self, seconds: float) -> None:
        """Let time pass. Raises ClientDisconnected and ShuttingDown."""
        until = time.monotonic() + seconds
        while (remaining := until - (now := time.monotonic())) > 0:
            self.raise_if_shutting_down(now)
            self._poll(None, 0, min(remaining, MAX_POLL))

    def _deadline(self) -> float:
        return (
            self.deadline if self.idle_timeout == math.inf else min(self.deadline, self.received_at + self.idle_timeout)
        )

    def _wait_until_ready(self, upstream: socket.socket, events: int, until: float) -> int:
        while (remaining := until - (now := time.monotonic())) > 0:
            self.raise_if_shutting_down(now)
            if self.cancelled:
                raise ClientDisconnected("another attempt was first")
            if occurred := self._poll(upstream, events, min(remaining, self.poll_interval)):
                return occurred
        if until == self._deadline():
            raise DeadlinePassed(self.deadline_kind if until == self.deadline else IDLE)
        return 0

    def _poll(self, upstream: socket.socket | None, events: int, seconds: float) -> int:
        """The events of the upstream's socket, 0 when the client's had some or the time was up first."""
        poller = select.poll()
        if upstream is not None:
            poller.register(upstream, events)
        client = self.client
        if client is not None and self.pipelined:
            seconds = min(seconds, CLIENT_CHECK_INTERVAL)
        elif client is not None:
            poller.register(client, READ)
        occurred = dict(poller.poll(seconds * 1000))
        if client is not None and (self.pipelined or client.fileno() in occurred):
            self._check_readable(client)
        self.checked_at = time.monotonic()
        return 0 if upstream is None else occurred.get(upstream.fileno(), 0)

    def _check_connected(self, client: socket.socket) -> None:
        """Raise ClientDisconnected if the client disconnected, by the cheapest means: TCP_INFO costs one system call."""
        if hasattr(socket, "TCP_INFO") and client.family != socket.AF_UNIX:
            if not _is_established(client):
                raise ClientDisconnected("the client disconnected")
        else:
            self._poll(None, 0, 0)

    def _check_readable(self, client: socket.socket) -> None:
        """Raise ClientDisconnected if the socket is readable because it ended; data is a pipelined request (RFC 9112, 9.3.2)."""
        if not self.pipelined:
            try:
                self.pipelined = bool(client.recv(1, socket.MSG_PEEK))
            except BlockingIOError:
                return
            except ValueError:  # SSLSocket.recv takes no flags: the state of the connection has to do
                self.pipelined = True
            except OSError as error:
                raise ClientDisconnected("the client reset its connection") from error
        if not self.pipelined or not _is_established(client):
            raise ClientDisconnected("the client disconnected")


def _is_established(client: socket.socket) -> bool:
    """Whether the client's side of a TCP connection is open; True where the system does not say."""
    if not hasattr(socket, "TCP_INFO"):
        return True
    try:
        # The first byte of struct tcp_info is tcpi_state.
        return client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == ESTABLISHED
    except OSError:  # a Unix socket has no TCP_INFO
        return client.family == socket.AF_UNIX
