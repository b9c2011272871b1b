"""
gunicorn's thread worker, which waits for no client before it serves the next, nor for long for the head of a request, and
shuts its door when it ends.
"""

import contextlib
import time
from selectors import EVENT_READ
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from gateway.server.response_writer import serve_request
from gateway.server.worker_mixin import LINGER, WorkerMixin

PIECE = 1 << 16
READING, SENDING = 0, 1  # socket.SHUT_RD, socket.SHUT_WR
HEAD = 10.0
"""Seconds in which a thread gets the head of a request: half a head must not hold it."""


class GatewayThreadWorker(WorkerMixin, ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.parting: dict[Any, float] = {}
        """Sockets on which all is said, until their clients close them too; and how long that is waited for."""
        self.heads: dict[Any, float] = {}
        """Connections on which a head is read, and until when."""

    def handle(self, conn: Any) -> Any:
        self.heads[conn] = time.monotonic() + HEAD
        try:
            return super().handle(conn)
        finally:
            self.heads.pop(conn, None)

    def handle_request(self, req: Any, conn: Any) -> bool:
        self.heads.pop(conn, None)
        full = len(self.keepalived_conns) >= self.max_keepalived
        return serve_request(self, req, conn.sock, conn.client, conn.server, last=full)

    def finish_request(self, conn: Any, fs: Any) -> None:
        """Where gunicorn's own waits for a client to close its end, for 2 s in which nobody else is served, this goes on."""
        if fs.cancelled() or fs.exception() or fs.result() is not False:
            super().finish_request(conn, fs)
            return
        try:
            conn.sock.shutdown(SENDING)
            conn.sock.setblocking(False)
            self.poller.register(conn.sock, EVENT_READ, self.part)
        except OSError:
            self.nr_conns -= 1
            conn.close()
        else:
            self.parting[conn.sock] = time.monotonic() + LINGER

    def part(self, client: Any) -> None:
        """A client on whose connection all is said has closed it, or says more, which nobody hears."""
        with contextlib.suppress(BlockingIOError):
            try:
                if client.recv(PIECE) and time.monotonic() < self.parting[client]:
                    return
            except ConnectionError:
                pass
            self._parted(client)

    def murder_pending(self) -> None:
        super().murder_pending()
        for conn in [conn for conn, until in list(self.heads.items()) if until < time.monotonic()]:
            with contextlib.suppress(OSError):
                conn.sock.shutdown(READING)
        for client in [client for client, until in self.parting.items() if until < time.monotonic()]:
            self._parted(client)

    def _parted(self, client: Any) -> None:
        self.poller.unregister(client)
        client.close()
        del self.parting[client]
        self.nr_conns -= 1

    def set_accept_enabled(self, enabled: bool) -> None:
        """A worker that ends takes all who have connected, and closes its listeners: nobody waits at a door that stays shut."""
        super().set_accept_enabled(enabled)
        if not enabled and not self.alive:
            for listener in self.sockets:
                with contextlib.suppress(BlockingIOError):
                    while True:
                        client, address = listener.sock.accept()
                        self.nr_conns += 1
                        client.setblocking(True)
                        self.enqueue_req(TConn(self.cfg, client, address, listener.getsockname()))
                listener.close()
