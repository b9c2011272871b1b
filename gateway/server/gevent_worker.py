"""
gunicorn's gevent worker, which accepts all who have connected before it ends, and waits then for calls alone. Where many
calls come at once, they begin one after another, and who asks for its health goes first.
"""

import contextlib
import time
from collections import deque
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

from gevent import GreenletExit, Timeout, get_hub, getcurrent
from gevent.hub import Waiter
from gevent.server import StreamServer
from gunicorn.workers.ggevent import GeventWorker

from gateway.server.response_writer import serve_request
from gateway.server.worker_mixin import LINGER, WorkerMixin

MOST_ACCEPTED = 1 << 16
AT_ONCE = 8
"""Calls that begin before anything else has its turn."""
URGENT = "/health"
"""The beginning of the paths that are answered before all others."""


class Listener(StreamServer):  # type: ignore[misc]  # gevent has no types
    """A listener that accepts all who have connected, then closes: the kernel resets those that it still has."""

    def __init__(self, listener: Any, worker: "GatewayGeventWorker", spawn: Any, **_: Any) -> None:
        name = listener.getsockname()  # asked for by each connection, of which some begin when the listener is closed
        handle = partial(worker.handle, SimpleNamespace(getsockname=lambda: name))
        super().__init__(listener, handle=handle, spawn=spawn)
        if worker.cfg.workers > 1:
            self.max_accept = 1

    def close(self) -> None:
        if self.started:
            self.max_accept = MOST_ACCEPTED
            self._do_read()
        super().close()


class AdmissionQueue:
    """A few calls begin, then whatever else is ready has its turn, then a call more: all else goes before a crowd of calls."""

    def __init__(self) -> None:
        self._waiting: deque[Any] = deque()
        self._begun = 0

    def wait(self) -> None:
        if self._begun == AT_ONCE:
            waiter = Waiter()
            self._waiting.append(waiter)
            waiter.get()
            return
        if not self._begun:
            get_hub().loop.run_callback(self._pass_on)
        self._begun += 1

    def _pass_on(self) -> None:
        if self._waiting:
            get_hub().loop.run_callback(self._pass_on)
            self._waiting.popleft().switch(None)
        else:
            self._begun = 0


class GatewayGeventWorker(WorkerMixin, GeventWorker):  # type: ignore[misc]  # gunicorn has no types
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.server_class = partial(Listener, worker=self)
        self.admission = AdmissionQueue()
        self.idle: dict[Any, tuple[float, Any]] = {}
        """Connections that wait for a request: their greenlets, since when, and what ends the wait."""

    @contextlib.contextmanager
    def timeout_ctx(self) -> Iterator[None]:
        with Timeout(self.cfg.keepalive, False) as patience:
            self.idle[getcurrent()] = time.monotonic(), patience
            try:
                yield
            finally:
                del self.idle[getcurrent()]

    def notify(self) -> None:
        """Once a second; a worker that ends waits for calls, not for connections without one."""
        super().notify()
        if not self.alive:
            for greenlet, (since, patience) in self.idle.items():
                if time.monotonic() - since > LINGER:
                    get_hub().loop.run_callback(self._wake, greenlet, patience)

    def _wake(self, greenlet: Any, patience: Any) -> None:
        """End a wait, if it is still that one: a request may have come meanwhile."""
        if self.idle.get(greenlet, (0, None))[1] is patience:
            greenlet.throw(patience)

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        with contextlib.suppress(GreenletExit, SystemExit):
            if not req.path.startswith(URGENT):
                self.admission.wait()
            if not serve_request(self, req, sock, addr, listener_name, last=False):
                raise StopIteration
