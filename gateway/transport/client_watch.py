"""Waiting on two sockets at once: the upstream's, for bytes, and the client's, for its leaving."""

import math
import select
import socket
import time
from dataclasses import dataclass, field
from typing import Protocol

import requests

from gateway.errors import CALL_TIMEOUT, ClientDisconnected, ShuttingDown
from gateway.server.shutdown import NO_SHUTDOWN, Shutdown

READ, WRITE = select.POLLIN | select.POLLHUP | select.POLLERR, select.POLLOUT
ESTABLISHED = 1
CLIENT_CHECK_INTERVAL = 0.2
"""Seconds that a wait looks at the upstream alone, which in a stream that flows is all of it; and between looks at a
client whose next request already waits behind this one."""
MAX_POLL = 1.0
"""Seconds of a wait after which the process may have been told to end."""


TOTAL, TARGET, FIRST_CONTENT, IDLE = CALL_TIMEOUT, "target_timeout", "first_content_timeout", "idle_timeout"
SAID = {
    TOTAL: "the time for the whole request is over",
    TARGET: "the time that a call of this target has is over",
    FIRST_CONTENT: "no content came in time",
    IDLE: "nothing more came for too long",
}


class DeadlinePassed(requests.ReadTimeout):
    """A bound was passed; `word` says which."""

    def __init__(self, kind: str) -> None:
        super().__init__(SAID[kind])
        self.kind = kind


class Readable(Protocol):
    """What can be waited for."""

    sock: socket.socket

    def read(self, most: int, timeout: float) -> bytes | None:
        """What there is, b"" at the end, None when `timeout` (seconds) passed without anything."""


@dataclass(slots=True)
class ClientWatch:
    """
    What bounds the wait for an upstream; times are `time.monotonic()`'s.

    `client` is the client's socket, None where the server has not given it. `deadline` ends the attempt, `late` says
    which bound that is; `connect` in seconds bounds connecting; once the answer has `begun`, `silence` in seconds bounds the wait for each of its events too.
    At `wake` the client must hear something: a reader that may pause does so then.
    """

    client: socket.socket | None = None
    shutdown: Shutdown = NO_SHUTDOWN
    deadline: float = math.inf
    deadline_kind: str = TOTAL
    idle_timeout: float = math.inf
    connect_timeout: float = math.inf
    yield_at: float = math.inf
    pipelined: bool = False
    checked_at: float = field(default_factory=time.monotonic)
    """When the client was last looked at."""
    received_at: float = math.inf
    """When the upstream last said something."""
    received: bool = False
    poll_interval: float = MAX_POLL
    cancelled: bool = False
    """Set by another thread, where there is one: within `patrol` seconds the wait ends."""

    def content_started(self, deadline: float, deadline_kind: str, idle_timeout: float) -> None:
        """The first content is there: other bounds hold."""
        self.deadline, self.deadline_kind, self.idle_timeout, self.received_at = (
            deadline,
            deadline_kind,
            idle_timeout,
            time.monotonic(),
        )

    def check_client(self) -> None:
        """Raise ClientDisconnected if the client left."""
        self.raise_if_shutting_down(time.monotonic())
        if self.client is not None:
            self._check_connected(self.client)

    def raise_if_shutting_down(self, now: float) -> None:
        """Raise ShuttingDown when the process has no more time."""
        if now >= self.shutdown.deadline:
            raise ShuttingDown("The gateway is shutting down. Ask again: another process will answer.")

    def connect_time_left(self) -> float:
        """Seconds in which a connection has to be there."""
        return max(0.001, min(self.connect_timeout, self.deadline - time.monotonic()))

    def receive(self, upstream: Readable, most: int, until: float) -> bytes | None:
        """The next bytes of the upstream, b"" at their end, None when `until` (`time.monotonic()`) passed.

        Raises ClientDisconnected when the client left, Late at the deadline, or after a silence.
        """
        now = time.monotonic()
        if self.cancelled:
            raise ClientDisconnected("another answer was first")
        if self.received:
            self.received_at, self.received = now, False
        until = min(until, self._bound())
        if now >= self.shutdown.deadline:
            self.raise_if_shutting_down(now)
        if self.client is not None and now - self.checked_at >= CLIENT_CHECK_INTERVAL:
            self.checked_at = now
            self._check_connected(self.client)
        glance = max(0.0, min(self.checked_at + CLIENT_CHECK_INTERVAL, now + self.poll_interval, until) - now)
        data = upstream.read(most, glance)
        while data is None and self._ready(upstream.sock, READ, until):
            data = upstream.read(most, 0)
        self.received = data is not None
        return data

    def _bound(self) -> float:
        return (
            self.deadline if self.idle_timeout == math.inf else min(self.deadline, self.received_at + self.idle_timeout)
        )

    def ready(self, upstream: socket.socket, events: int, until: float = math.inf) -> int:
        """Wait for poll's `events`, and which came; none when `wake` or `until` passed. Raises as `receive` does."""
        return self._ready(upstream, events, min(until, self.yield_at, self.deadline))

    def _ready(self, upstream: socket.socket, events: int, until: float) -> int:
        while (left := until - (now := time.monotonic())) > 0:
            self.raise_if_shutting_down(now)
            if self.cancelled:
                raise ClientDisconnected("another answer was first")
            if came := self._poll(upstream, events, min(left, self.poll_interval)):
                return came
        if until == self._bound():
            raise DeadlinePassed(self.deadline_kind if until == self.deadline else IDLE)
        return 0

    def wait(self, seconds: float) -> None:
        """Wait for nothing but the time to pass. Raises ClientDisconnected."""
        until = time.monotonic() + seconds
        while (left := until - (now := time.monotonic())) > 0:
            self.raise_if_shutting_down(now)
            self._poll(None, 0, min(left, MAX_POLL))

    def _poll(self, upstream: socket.socket | None, events: int, left: float) -> int:
        """For what the upstream was ready first, if it was, before the client stirred or the time was up."""
        poller = select.poll()
        if upstream is not None:
            poller.register(upstream, events)
        client = self.client
        if client is not None and self.pipelined:
            left = min(left, CLIENT_CHECK_INTERVAL)
        elif client is not None:
            poller.register(client, READ)
        came = dict(poller.poll(left * 1000))
        if client is not None and (self.pipelined or client.fileno() in came):
            self._check_readable(client)
        self.checked_at = time.monotonic()
        return 0 if upstream is None else came.get(upstream.fileno(), 0)

    def _check_connected(self, client: socket.socket) -> None:
        """Raise ClientDisconnected if the client left, as cheaply as that can be seen."""
        if hasattr(socket, "TCP_INFO") and client.family != socket.AF_UNIX:
            if not _established(client):
                raise ClientDisconnected("the client left")
        else:
            self._poll(None, 0, 0)

    def _check_readable(self, client: socket.socket) -> None:
        """Raise ClientDisconnected if nothing more can come from the client; bytes from it are its next request."""
        if not self.pipelined:
            try:
                self.pipelined = bool(client.recv(1, socket.MSG_PEEK))
            except BlockingIOError:
                return
            except ValueError:  # TLS takes no flags: judge it by its state alone
                self.pipelined = True
            except OSError as error:
                raise ClientDisconnected("the client reset its connection") from error
        if not self.pipelined or not _established(client):
            raise ClientDisconnected("the client left")


def _established(client: socket.socket) -> bool:
    """Whether the client's side of a TCP connection is still open; True where the system does not say."""
    if not hasattr(socket, "TCP_INFO"):
        return True
    try:
        return client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == ESTABLISHED
    except OSError:
        return client.family == socket.AF_UNIX
