"""
gunicorn's gevent worker, with three changes: a worker that ends accepts every connection that was established before, waits
then for requests only, and a burst of requests delays neither the requests in flight nor the health checks.
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

# More connections than a listener's queue can hold: gevent accepts 100 in one turn of its loop.
MAX_ACCEPTED = 1 << 16
# Requests that start before anything else has its turn.
MAX_BURST = 8
# The beginning of the paths that are served at once.
HEALTH_PATHS = "/health"


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


class GatewayGeventWorker(WorkerMixin, GeventWorker):  # type: ignore[misc]  # gunicorn has no types
    """
    Overrides of gunicorn's `GeventWorker` and `AsyncWorker`, beside those of the mixin:

    - `__init__`: sets `server_class`, which `run` makes a server of for each listener.
    - `timeout_ctx`: surrounds the wait for a connection's next request; here it notes who waits.
    - `notify`: called by `run` once a second, also at the end, when `run` waits until no connection is left.
    - `handle_request`: answers one request; it raises StopIteration to have `handle` close the connection.

    `alive` is false once the worker is to end.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.server_class = partial(Listener, worker=self)
        self.admission = AdmissionQueue()
        # The greenlets of connections without a request: since when, and the timeout that ends the wait.
        self.idle: dict[Any, tuple[float, Any]] = {}

    @contextlib.contextmanager
    def timeout_ctx(self) -> Iterator[None]:
        with Timeout(self.cfg.keepalive, False) as timeout:
            self.idle[getcurrent()] = time.monotonic(), timeout
            try:
                yield
            finally:
                del self.idle[getcurrent()]

    def notify(self) -> None:
        super().notify()
        if not self.alive:
            for greenlet, (since, timeout) in self.idle.items():
                if time.monotonic() - since > LINGER:
                    get_hub().loop.run_callback(self._end_wait, greenlet, timeout)

    def _end_wait(self, greenlet: Any, timeout: Any) -> None:
        """End a wait now, if it is still the same: a request may have arrived meanwhile."""
        if self.idle.get(greenlet, (0, None))[1] is timeout:
            greenlet.throw(timeout)

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        # As in GeventWorker.handle_request: a greenlet that is killed at the end of the grace period logs no error.
        with contextlib.suppress(GreenletExit, SystemExit):
            if not req.path.startswith(HEALTH_PATHS):
                self.admission.wait()
            if not serve_request(self, req, sock, addr, listener_name, last=False):
                raise StopIteration
