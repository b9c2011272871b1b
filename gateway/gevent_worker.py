"""gunicorn's gevent worker, which accepts all who have connected before it ends, and waits then for calls alone."""

import contextlib
import time
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

from gevent import GreenletExit, Timeout, get_hub, getcurrent
from gevent.server import StreamServer
from gunicorn.workers.ggevent import GeventWorker

from gateway.outgoing import served
from gateway.worker import LINGER, Ours

MOST_ACCEPTED = 1 << 16


class Listener(StreamServer):  # type: ignore[misc]  # gevent has no types
    """A listener that accepts all who have connected, then closes: the kernel resets those that it still has."""

    def __init__(self, listener: Any, worker: "Gevent", spawn: Any, **_: Any) -> None:
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


class Gevent(Ours, GeventWorker):  # type: ignore[misc]  # gunicorn has no types
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.server_class = partial(Listener, worker=self)
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
                    get_hub().loop.run_callback(greenlet.throw, patience)

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        with contextlib.suppress(GreenletExit, SystemExit):
            if not served(self, req, sock, addr, listener_name, last=False):
                raise StopIteration
