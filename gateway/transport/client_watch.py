"""The client's socket, watched for a disconnect while something else is waited for."""

import math
import select
import socket
import time
from dataclasses import dataclass, field

from gateway.errors import ClientDisconnected, ShuttingDown
from gateway.server.shutdown import NO_SHUTDOWN, Shutdown

READ, WRITE = select.POLLIN | select.POLLHUP | select.POLLERR, select.POLLOUT
# TCP_ESTABLISHED of Linux's tcp_states.h: the client has not closed its side of the connection.
ESTABLISHED = 1
# Seconds between two looks at a client whose pipelined request makes its socket readable all the time.
CLIENT_CHECK_INTERVAL = 0.2
# Seconds of a wait between two looks at the worker's shutdown.
MAX_POLL = 1.0


@dataclass(slots=True)
class ClientWatch:
    """
    One for each call; times are `time.monotonic()`'s.

    `client` is the client's socket, None where the server does not provide it; `shutdown` is the worker's. At `yield_at` the
    client is due a sign of life: whoever can yield PAUSE does so then.
    """

    client: socket.socket | None = None
    shutdown: Shutdown = NO_SHUTDOWN
    yield_at: float = math.inf
    # The client's next request is waiting behind this one: its socket is readable all the time.
    pipelined: bool = False
    # When the client was last checked.
    checked_at: float = field(default_factory=time.monotonic)

    def check(self) -> None:
        """Raise ClientDisconnected if the client disconnected, ShuttingDown at the end of the grace period."""
        self.raise_if_shutting_down(time.monotonic())
        self.check_connected()

    def check_connected(self) -> None:
        """Raise ClientDisconnected if the client disconnected, by the cheapest means: TCP_INFO costs one system call."""
        client = self.client
        if client is None:
            return
        if hasattr(socket, "TCP_INFO") and client.family != socket.AF_UNIX:
            if not _is_established(client):
                raise ClientDisconnected("the client disconnected")
        else:
            self.poll(None, 0, 0)

    def raise_if_shutting_down(self, now: float) -> None:
        """Raise ShuttingDown at the end of the worker's grace period."""
        if now >= self.shutdown.deadline:
            raise ShuttingDown("The gateway is shutting down. Try again: another process will respond.")

    def wait(self, seconds: float) -> None:
        """Let time pass. Raises ClientDisconnected and ShuttingDown."""
        until = time.monotonic() + seconds
        while (remaining := until - (now := time.monotonic())) > 0:
            self.raise_if_shutting_down(now)
            self.poll(None, 0, min(remaining, MAX_POLL))

    def poll(self, upstream: socket.socket | None, events: int, seconds: float) -> int:
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
