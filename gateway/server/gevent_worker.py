"""
gunicorn's gevent worker, with four changes: a worker that ends accepts every connection that was established before, waits
then for requests only, no client holds a connection with an incomplete request, and neither a burst of requests nor a client
that sends without end delays the requests in flight or the health checks.
"""

import contextlib
import errno
import math
import socket
import time
from collections import deque
from functools import partial
from types import SimpleNamespace
from typing import Any

from gevent import GreenletExit, get_hub
from gevent.hub import Waiter
from gevent.server import StreamServer
from gunicorn.workers.ggevent import GeventWorker

from gateway.server.client_reader import HEAD_TIMEOUT, LINGER, MAX_DISCARDED, ClientReader
from gateway.server.response_writer import serve_request
from gateway.server.worker_mixin import WorkerMixin

# More connections than a listener's queue can hold: gevent accepts 100 in one turn of its loop.
MAX_ACCEPTED = 1 << 16
# Requests that start before anything else has its turn.
MAX_BURST = 8
# The beginning of the paths that are served at once.
HEALTH_PATHS = "/health"
NO_TIMEOUT = contextlib.nullcontext()


class Listener(StreamServer):  # type: ignore[misc]  # gevent has no types
    """
    The worker's `server_class`: accepts all connections in the queue before it closes, since the kernel resets those left in it.

    Of gevent's `BaseServer` it overrides `__init__` and `close`, and uses `started`, `max_accept` and `_do_read`, the callback
    that accepts up to `max_accept` connections without waiting.
    """

    def __init__(self, listener: Any, worker: "GatewayGeventWorker", spawn: Any, **_: Any) -> None:
        # AsyncWorker.handle calls getsockname() for each connection, some of which start when the listener is closed.
        name = listener.getsockname()
        handle = partial(worker.handle, SimpleNamespace(getsockname=lambda: name))
        super().__init__(listener, handle=handle, spawn=spawn)
        if worker.cfg.workers > 1:
            self.max_accept = 1  # as GeventWorker.run does for its own server: the other workers are to have some too

    def close(self) -> None:
        if self.started:
            self.max_accept = MAX_ACCEPTED
            self._do_read()
        super().close()


class AdmissionQueue:
    """
    Delays requests that arrive in a burst: MAX_BURST of them start at once, and each further turn of gevent's loop starts one
    more, so that whatever else is ready comes before it.
    """

    def __init__(self) -> None:
        self._waiting: deque[Any] = deque()
        self._started = 0

    def wait(self) -> None:
        if self._started == MAX_BURST:
            waiter = Waiter()
            self._waiting.append(waiter)
            waiter.get()
            return
        if not self._started:
            get_hub().loop.run_callback(self._admit_next)
        self._started += 1

    def _admit_next(self) -> None:
        if self._waiting:
            get_hub().loop.run_callback(self._admit_next)
            self._waiting.popleft().switch(None)
        else:
            self._started = 0


class GeventReader(ClientReader):
    """Stands for the client's socket in gunicorn's `AsyncWorker.handle` too, which closes it. `waiting` and `closing` are the worker's."""

    def __init__(self, client: Any, keepalive: float, waiting: dict[Any, Any], closing: dict[Any, float]) -> None:
        super().__init__(client)
        self._keepalive, self._waiting, self._closing = keepalive, waiting, closing

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def recv_head(self, size: int) -> bytes:
        now = time.monotonic()
        if self.head_due == math.inf and self.reads > 1:
            self.head_due = now + HEAD_TIMEOUT
        if now >= self.head_due and self.reads > 1:
            return b""  # more keeps arriving: the worker's shutdown of the socket does not end that
        self._waiting[self] = now, min(self.head_due, now + self._keepalive) if self.reads == 1 else self.head_due
        try:
            data: bytes = self.client.recv(size)
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
            # gevent's shutdown ends the wait so. A request that has arrived is readable still.
            data = self.client.recv(size)
        finally:
            del self._waiting[self]
        return data

    def close(self) -> None:
        """Close the connection; where the client may still be sending, not before it has had time to read the response."""
        deadline = time.monotonic() + LINGER
        if self.has_unread and self._sends_on(deadline):
            # No more is read of it. The rest of the time is for a client that reads while it sends.
            self._closing[self.client] = deadline
        else:
            self.client.close()

    def _sends_on(self, deadline: float) -> bool:
        # RFC 9112, 9.6: close for sending, and read until the client closes too, or a reset may destroy the end of the response.
        discardable = MAX_DISCARDED
        try:
            self.client.shutdown(socket.SHUT_WR)
            while discardable and (remaining := deadline - time.monotonic()) > 0:
                self.client.settimeout(remaining)
                data = self.client.recv(discardable)
                if not data:
                    return False
                discardable -= len(data)
        except OSError:
            return False
        return not discardable


class GatewayGeventWorker(WorkerMixin, GeventWorker):  # type: ignore[misc]  # gunicorn has no types
    """
    Overrides of gunicorn's `GeventWorker` and `AsyncWorker`, beside those of the mixin:

    - `__init__`: sets `server_class`, which `run` makes a server of for each listener.
    - `handle`: serves a connection; here through a GeventReader.
    - `timeout_ctx`: surrounds the reading of a connection's next head; here the reader has the timeouts.
    - `notify`: called by `run` once a second, also at the end, when `run` waits until no connection is left; here it ends the
      reading of heads that are overdue.
    - `handle_request`: answers one request; it raises StopIteration to have `handle` close the connection.

    `alive` is false once the worker is to end.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.server_class = partial(Listener, worker=self)
        self.admission = AdmissionQueue()
        # The readers that wait for a part of a head: since when, and until when.
        self.waiting: dict[Any, tuple[float, float]] = {}
        # Sockets whose last response is sent: until when their clients may close them.
        self.closing: dict[Any, float] = {}

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        client.setblocking(True)  # as GeventWorker.handle does
        # KEEPALIVE=0 closes a connection after its first response: there is no wait for another request.
        super().handle(
            listener, GeventReader(client, self.cfg.keepalive or HEAD_TIMEOUT, self.waiting, self.closing), addr
        )

    def timeout_ctx(self) -> contextlib.AbstractContextManager[None]:
        return NO_TIMEOUT

    def notify(self) -> None:
        super().notify()
        now = time.monotonic()
        for reader, (since, due) in list(self.waiting.items()):
            if now >= due or (not self.alive and now - since > LINGER):
                with contextlib.suppress(OSError):
                    # Its read returns what has arrived meanwhile, or the end of the connection.
                    reader.client.shutdown(socket.SHUT_RD)
        for client in [client for client, due in self.closing.items() if now >= due]:
            del self.closing[client]
            client.close()

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:  # noqa: ARG002 - gunicorn's signature
        # As in GeventWorker.handle_request: a greenlet that is killed at the end of the grace period logs no error.
        with contextlib.suppress(GreenletExit, SystemExit):
            if not req.path.startswith(HEALTH_PATHS):
                self.admission.wait()
            if not serve_request(self, req, addr, listener_name, last=False):
                raise StopIteration
