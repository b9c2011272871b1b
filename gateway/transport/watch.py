"""Waiting on two sockets at once: the upstream's, for bytes, and the client's, for its leaving."""

import io
import math
import select
import socket
import ssl
import time
from dataclasses import dataclass

import requests

from gateway.errors import ClientGone

READ = select.POLLIN | select.POLLHUP | select.POLLERR
ESTABLISHED = 1
GLANCE = 0.2
"""Seconds between looks at a client whose next request already waits behind this one."""


@dataclass(slots=True)
class Watch:
    """
    What bounds the wait for an upstream; times are `time.monotonic()`'s.

    `client` is the client's socket, None where the server has not given it. `deadline` ends the call. At `wake` the
    client must hear something: a reader that may pause does so then.
    """

    client: socket.socket | None = None
    deadline: float = math.inf
    wake: float = math.inf
    pipelined: bool = False

    def left(self) -> float | None:
        """Seconds to the deadline, as a socket's timeout has them."""
        return None if self.deadline == math.inf else max(0.001, self.deadline - time.monotonic())

    def wait(self, upstream: socket.socket, events: int, until: float) -> bool:
        """
        Whether the upstream is ready before `until`.

        Raises ClientGone when the client left, requests.ReadTimeout at the deadline.
        """
        until = min(until, self.deadline)
        while (left := until - time.monotonic()) > 0:
            if self._poll(upstream, events, left):
                return True
        if until == self.deadline:
            raise requests.ReadTimeout("the deadline of the call has passed")
        return False

    def rest(self, seconds: float) -> None:
        """Wait for nothing but the time to pass. Raises ClientGone."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._poll(None, 0, left)

    def _poll(self, upstream: socket.socket | None, events: int, left: float) -> bool:
        """Whether the upstream was ready first, before the client stirred or the time was up."""
        poller = select.poll()
        if upstream is not None:
            poller.register(upstream, events)
        client = self.client
        if client is not None and self.pipelined:
            left = min(left, GLANCE)
        elif client is not None:
            poller.register(client, READ)
        fds = {fd for fd, _ in poller.poll(None if left == math.inf else left * 1000)}
        if client is not None and (self.pipelined or client.fileno() in fds):
            self._look(client)
        return upstream is not None and upstream.fileno() in fds

    def _look(self, client: socket.socket) -> None:
        """Raise ClientGone if nothing more can come from the client; bytes from it are its next request."""
        if not self.pipelined:
            try:
                self.pipelined = bool(client.recv(1, socket.MSG_PEEK))
            except BlockingIOError:
                return
            except ValueError:  # TLS takes no flags: judge it by its state alone
                self.pipelined = True
            except OSError as error:
                raise ClientGone("the client reset its connection") from error
        if not self.pipelined or not _established(client):
            raise ClientGone("the client left")


def _established(client: socket.socket) -> bool:
    """Whether the client's side of a TCP connection is still open; True where the system does not say."""
    if not hasattr(socket, "TCP_INFO"):
        return True
    try:
        return client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == ESTABLISHED
    except OSError:
        return client.family == socket.AF_UNIX


class WatchedReader(io.RawIOBase):
    """
    The raw stream below a response's buffer: reads what there is, or waits for it under a Watch.

    `patience` is the moment (`time.monotonic()`) at which a read gives up for now; -inf: it never waits.
    """

    def __init__(self, upstream: socket.socket, watch: Watch) -> None:
        self.upstream, self.watch = upstream, watch
        self.patience = math.inf
        self.ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int | None:  # type: ignore[override]
        while True:
            try:
                count = self.upstream.recv_into(buffer)
            except (BlockingIOError, ssl.SSLWantReadError):
                events = READ
            except ssl.SSLWantWriteError:
                events = select.POLLOUT
            else:
                self.ended = not count
                return count
            if self.patience == -math.inf or not self.watch.wait(self.upstream, events, self.patience):
                return None
