"""
gunicorn's thread worker, with four changes: no client that is slow to close its connection or to send a head holds up the
others, idle connections hold no thread, clients that are slow to send a body or to read a response do not hold all threads, and
a worker that ends accepts every connection that was established before, then closes its listeners.
"""

import contextlib
import math
import socket
import time
from functools import partial
from selectors import EVENT_READ
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from gateway.server.client_reader import HEAD_TIMEOUT, LINGER, MAX_DISCARDED, ClientReader, dropped
from gateway.server.response_writer import serve_request
from gateway.server.worker_mixin import WorkerMixin

# The result of `handle` for a head that is incomplete: its connection goes back to the poller.
INCOMPLETE = object()
# Threads that calls leave free, at least: Settings.max_calls_in_flight counts on as many.
SPARE_THREADS = 2
# Seconds between two looks for connections that are overdue.
CHECK_INTERVAL = 0.5


class ThreadReader(ClientReader):
    """
    Waits for no head: where it is incomplete, what there is of it is kept, and is parsed again with more.

    `waits` is the worker's set of the readers whose threads wait for their clients.
    """

    def __init__(self, client: Any, waits: set[Any], threads: int) -> None:
        super().__init__(client)
        self.received: list[bytes] = []
        self.is_incomplete = False
        self._waits, self._threads = waits, threads

    def recv_head(self, size: int) -> bytes:
        try:
            data: bytes = self.client.recv(size, socket.MSG_DONTWAIT)
        except BlockingIOError:
            self.is_incomplete = True
            raise StopIteration from None  # ThreadWorker.handle takes it for the end of the connection, and logs nothing
        self.received.append(data)
        return data

    def wait(self, *, holds_call: bool = False) -> None:
        self._waits.add(self)
        # The number of calls is limited; others may hold half of the threads, and none if the calls hold as many.
        limit = self._threads - SPARE_THREADS if holds_call else self._threads // 2
        if len(self._waits) > max(1, limit):
            raise dropped("too many clients are slow")

    def end_wait(self) -> None:
        self._waits.discard(self)


class GatewayThreadWorker(WorkerMixin, ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """
    Overrides of gunicorn's `ThreadWorker`, beside those of the mixin and `__init__`. In a thread of the pool, for each request:

    - `handle`: reads the head, then calls `handle_request`; here it does not wait for the head.
    - `handle_request`: answers one request; true if the connection may be used again.

    In the main thread, which owns `poller` and its callbacks, and counts open connections in `nr_conns`:

    - `enqueue_req`: hands a connection to the pool; here not before its first byte.
    - `finish_request`: called with the future of `handle`: waits for the next request, or closes the connection.
    - `murder_pending`: called after each round of the poller, at least once a second; here it also ends what is overdue.
    - `set_accept_enabled`: stops accepting, when the worker has enough connections or ends.

    It uses connections (`TConn`: `init`, `initialized`, `sock`, `client`, `server`, `parser`, `data_ready`), `sockets`, the listeners,
    and `keepalived_conns` and `max_keepalived`, the connections that wait for a request and how many may.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # Sockets whose last response is sent: until when their clients may close them.
        self.closing: dict[Any, float] = {}
        # Connections that wait in the poller for a part of a head: since when, and until when.
        self.heads: dict[Any, tuple[float, float]] = {}
        self.waits: set[Any] = set()
        self._check_at = 0.0

    def enqueue_req(self, conn: Any) -> None:
        if conn.parser is None and not conn.data_ready:
            self._await_head(conn, time.monotonic() + HEAD_TIMEOUT)
        else:
            super().enqueue_req(conn)

    def _await_head(self, conn: Any, due: float) -> None:
        self.poller.register(conn.sock, EVENT_READ, partial(self.on_head_readable, conn))
        self.heads[conn] = time.monotonic(), due

    def on_head_readable(self, conn: Any, client: Any) -> None:
        """A part of a head has arrived, or the client closed its connection."""
        self.poller.unregister(client)
        del self.heads[conn]
        conn.data_ready = True  # so that `handle` does not wait for the first byte, in its thread
        super().enqueue_req(conn)

    def handle(self, conn: Any) -> Any:
        if not conn.initialized:
            conn.init()
            conn.parser.unreader.sock = ThreadReader(conn.sock, self.waits, self.cfg.threads)
        unreader = conn.parser.unreader
        reader = unreader.sock
        reader.received = [unreader.buf.getvalue()]
        try:
            result = super().handle(conn)
        finally:
            self.waits.discard(reader)
        if not reader.is_incomplete:
            return result
        reader.is_incomplete = False
        unreader.unread(b"".join(reader.received))
        return INCOMPLETE

    def handle_request(self, req: Any, conn: Any) -> bool:
        full = len(self.keepalived_conns) >= self.max_keepalived
        return serve_request(self, req, conn.client, conn.server, last=full)

    def finish_request(self, conn: Any, fs: Any) -> None:
        result = None if fs.cancelled() or fs.exception() else fs.result()
        if result is INCOMPLETE:
            self._continue_head(conn)
        elif result is False:
            self._finish_connection(conn)
        else:
            super().finish_request(conn, fs)

    def _continue_head(self, conn: Any) -> None:
        now, reader = time.monotonic(), conn.parser.unreader.sock
        due = now + self.cfg.keepalive
        if conn.parser.unreader.buf.getvalue():
            if reader.head_due == math.inf:
                reader.head_due = now + HEAD_TIMEOUT
            due = reader.head_due
        if now < due:
            self._await_head(conn, due)
        else:
            self._close_unserved(conn)

    def _close_unserved(self, conn: Any) -> None:
        self.nr_conns -= 1
        conn.close()

    def _finish_connection(self, conn: Any) -> None:
        # RFC 9112, 9.6: close for sending, and read until the client closes too, or a reset may destroy the end of the response.
        # gunicorn does so in util.close_graceful, which blocks the main thread for up to 2 s; here the poller waits.
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.setblocking(False)
            self.poller.register(conn.sock, EVENT_READ, self.on_closing_socket_readable)
        except OSError:
            self._close_unserved(conn)
        else:
            self.closing[conn.sock] = time.monotonic() + LINGER

    def on_closing_socket_readable(self, client: Any) -> None:
        """The client closed its connection, or sent something, which is discarded once; after that it has time to read only."""
        with contextlib.suppress(BlockingIOError):
            try:
                if client.recv(MAX_DISCARDED):
                    self.poller.unregister(client)
                    return
            except ConnectionError:
                pass
            self._close(client)

    def murder_pending(self) -> None:
        super().murder_pending()
        now = time.monotonic()
        if now < self._check_at:
            return
        self._check_at = now + CHECK_INTERVAL
        for conn, (since, due) in list(self.heads.items()):
            if now >= due or (not self.alive and now - since > LINGER):
                self.poller.unregister(conn.sock)
                del self.heads[conn]
                self._close_unserved(conn)
        for client in [client for client, due in self.closing.items() if due < now]:
            self._close(client)

    def _close(self, client: Any) -> None:
        with contextlib.suppress(KeyError):
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
