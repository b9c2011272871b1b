"""Waiting for an upstream within the time bounds of one attempt, and for the client's disconnect meanwhile."""

import math
import socket
import time
from dataclasses import dataclass, field
from typing import Protocol

from gateway.errors import CALL_TIMEOUT, ClientDisconnected, UpstreamTimeout
from gateway.transport.client_watch import CLIENT_CHECK_INTERVAL, MAX_POLL, READ, ClientWatch
from gateway.transport.failures import TransportFailure

# Bytes after which a read that never has to wait lets others have their turn: an upstream may send as fast as it is read.
TURN_SIZE = 1 << 16

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
class UpstreamWait:
    """
    The time bounds of one attempt, by `time.monotonic()`, and the watch over its client.

    `deadline` ends the attempt, and `deadline_kind` says which bound that is. `connect_timeout` in seconds bounds connecting,
    `idle_timeout` in seconds bounds the wait for each event after the first content.
    """

    watch: ClientWatch = field(default_factory=ClientWatch)
    deadline: float = math.inf
    deadline_kind: str = TOTAL
    idle_timeout: float = math.inf
    connect_timeout: float = math.inf
    poll_interval: float = MAX_POLL
    # When the idle timeout began; and whether the last read returned something, so that it begins anew.
    received_at: float = math.inf
    received: bool = False
    # Bytes since others had their turn.
    unyielded: int = 0
    # Set by another thread: the wait ends within `poll_interval` seconds.
    cancelled: bool = False

    def content_started(self, deadline: float, deadline_kind: str, idle_timeout: float) -> None:
        """Replace the bounds by those that hold once the first content has arrived."""
        self.deadline, self.deadline_kind, self.idle_timeout = deadline, deadline_kind, idle_timeout
        self.received_at = time.monotonic()

    def remaining_connect_time(self) -> float:
        """Seconds in which a connection has to be established."""
        return max(0.001, min(self.connect_timeout, self.deadline - time.monotonic()))

    def receive(self, upstream: Readable, size: int, until: float) -> bytes | None:
        """
        Up to `size` bytes of the upstream, b"" at their end, None when `until` (`time.monotonic()`) passed.

        Raises ClientDisconnected, ShuttingDown, and DeadlinePassed at the deadline or after the idle timeout.
        """
        now, watch = time.monotonic(), self.watch
        if self.cancelled:
            raise ClientDisconnected("another attempt was first")
        if self.received:
            # The idle timeout begins when reading resumes: a client that reads slowly is no silence of the upstream.
            self.received_at, self.received = now, False
        deadline = self._deadline()
        if now >= deadline:  # bytes that go on arriving do not postpone it
            raise self._deadline_passed(deadline)
        until = min(until, deadline)
        if now >= watch.shutdown.deadline:
            watch.raise_if_shutting_down(now)
        if now - watch.checked_at >= CLIENT_CHECK_INTERVAL:
            watch.checked_at = now
            watch.check_connected()
        # First wait on the upstream's socket alone, which is all of it where a stream flows: to poll both costs more.
        timeout = max(0.0, min(watch.checked_at + CLIENT_CHECK_INTERVAL, now + self.poll_interval, until) - now)
        data = upstream.read(size, timeout)
        while data is None and self._wait_until_ready(upstream.sock, READ, until):
            data = upstream.read(size, 0)  # None where TLS has received a part of a record
        if data is not None:
            self.received = True
            self.unyielded += len(data)
            if self.unyielded >= TURN_SIZE:
                self._yield_turn()
        return data

    def expanded(self, size: int) -> None:
        """So many bytes came of what was received, by decompression. Raises DeadlinePassed."""
        self.unyielded += size
        if self.unyielded >= TURN_SIZE:
            self._yield_turn()
            deadline = self._deadline()
            if time.monotonic() >= deadline:
                raise self._deadline_passed(deadline)

    def _yield_turn(self) -> None:
        self.unyielded = 0
        time.sleep(0)  # under gevent, a socket that is always readable never switches

    def ready(self, upstream: socket.socket, events: int, until: float = math.inf) -> int:
        """Wait for poll's `events`; return those that occurred, 0 when `yield_at` or `until` passed. Raises as `receive` does."""
        return self._wait_until_ready(upstream, events, min(until, self.watch.yield_at, self.deadline))

    def _deadline(self) -> float:
        return (
            self.deadline if self.idle_timeout == math.inf else min(self.deadline, self.received_at + self.idle_timeout)
        )

    def _wait_until_ready(self, upstream: socket.socket, events: int, until: float) -> int:
        watch = self.watch
        while (remaining := until - (now := time.monotonic())) > 0:
            watch.raise_if_shutting_down(now)
            if self.cancelled:
                raise ClientDisconnected("another attempt was first")
            if occurred := watch.poll(upstream, events, min(remaining, self.poll_interval)):
                return occurred
        if until == self._deadline():
            raise self._deadline_passed(until)
        return 0

    def _deadline_passed(self, deadline: float) -> DeadlinePassed:
        return DeadlinePassed(self.deadline_kind if deadline == self.deadline else IDLE)
