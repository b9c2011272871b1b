"""
gunicorn's thread worker, with three changes: no client that is slow to close its connection or to send its headers holds up
the others, and a worker that ends accepts every connection that was established before, then closes its listeners.
"""

import contextlib
import socket
import time
from selectors import EVENT_READ
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from gateway.server.response_writer import serve_request
from gateway.server.worker_mixin import LINGER, WorkerMixin

READ_SIZE = 1 << 16
# Seconds for the headers of a request: gunicorn waits 5 s for its first byte, and then without end in one of its few threads.
HEADERS_TIMEOUT = 10.0


class GatewayThreadWorker(WorkerMixin, ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """
    Overrides of gunicorn's `ThreadWorker`, beside those of the mixin and `__init__`. In a thread of the pool, for each request:

    - `handle`: reads the headers, then calls `handle_request`; here the headers have a deadline.
    - `handle_request`: answers one request; true if the connection may be used again.

    In the main thread, which owns `poller` and its callbacks, and counts open connections in `nr_conns`:

    - `finish_request`: called with the future of `handle`: waits for the next request, or closes the connection.
    - `murder_pending`: called after each round of the poller, at least once a second; here it also ends what is overdue.
    - `set_accept_enabled`: stops accepting, when the worker has enough connections or ends.

    It uses `enqueue_req`, which hands a connection (`TConn`: `sock`, `client`, `server`) to the pool, `sockets`, the listeners,
    and `keepalived_conns` and `max_keepalived`, the connections that wait for a request and how many may.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # Sockets whose last response is sent, and until when their clients may close them.
        self.closing: dict[Any, float] = {}
        # Connections whose headers are being read, and until when.
        self.headers_due: dict[Any, float] = {}

    def handle(self, conn: Any) -> Any:
        self.headers_due[conn] = time.monotonic() + HEADERS_TIMEOUT
        try:
            return super().handle(conn)
        finally:
            self.headers_due.pop(conn, None)

    def handle_request(self, req: Any, conn: Any) -> bool:
        self.headers_due.pop(conn, None)
        full = len(self.keepalived_conns) >= self.max_keepalived
        return serve_request(self, req, conn.sock, conn.client, conn.server, last=full)

    def finish_request(self, conn: Any, fs: Any) -> None:
        if fs.cancelled() or fs.exception() or fs.result() is not False:
            super().finish_request(conn, fs)
            return
        # RFC 9112, 9.6: close for sending, and read until the client closes too, or a reset may destroy the end of the response.
        # gunicorn does so in util.close_graceful, which blocks the main thread for up to 2 s; here the poller waits.
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.setblocking(False)
            self.poller.register(conn.sock, EVENT_READ, self.on_closing_socket_readable)
        except OSError:
            self.nr_conns -= 1
            conn.close()
        else:
            self.closing[conn.sock] = time.monotonic() + LINGER

    def on_closing_socket_readable(self, client: Any) -> None:
        """The client closed its connection, or sent something, which is discarded."""
        with contextlib.suppress(BlockingIOError):
            try:
                if client.recv(READ_SIZE) and time.monotonic() < self.closing[client]:
                    return
            except ConnectionError:
                pass
            self._close(client)

    def murder_pending(self) -> None:
        super().murder_pending()
        now = time.monotonic()
        for conn in [conn for conn, due in list(self.headers_due.items()) if due < now]:
            with contextlib.suppress(OSError):
                conn.sock.shutdown(socket.SHUT_RD)  # the parser reads the end of the connection
        for client in [client for client, due in self.closing.items() if due < now]:
            self._close(client)

    def _close(self, client: Any) -> None:
        self.poller.unregister(client)
        client.close()
        del self.closing[client]
        self.nr_conns -= 1

    def set_accept_enabled(self, enabled: bool) -> None:
        super().set_accept_enabled(enabled)
        if not enabled and not self.alive:
            # gunicorn closes its listeners after the last request only: until then the kernel would establish connections that
            # nobody serves. It resets those in the queue of a listener that is closed, so they are accepted first.
            for listener in self.sockets:
                with contextlib.suppress(BlockingIOError):
                    while True:
                        client, address = listener.sock.accept()
                        self.nr_conns += 1
                        client.setblocking(True)
                        self.enqueue_req(TConn(self.cfg, client, address, listener.getsockname()))
                listener.close()
