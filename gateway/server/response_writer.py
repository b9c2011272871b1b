"""
A response on its way to the client: gunicorn's own, but that its head goes out with the beginning of its body, and that a
client that takes nothing is not waited for without end.
"""

import errno
import time
from datetime import datetime
from email.utils import formatdate
from typing import Any

from gunicorn.http import wsgi

from gateway.server.shutdown import SHUTDOWN

CALL = "pointsman.call"
"""Where a request's environ has its call, whose `deadline` (`time.monotonic()`) bounds the sending too."""
MOST_JOINED = 1 << 16
"""Bytes of a body that are copied to go out with the head."""
STEP, PATIENCE = 0.25, 60.0
"""Seconds: how often a send that the client does not take looks at the time; and how long it lasts where there is no call."""


class Clock:
    """The Date of a response, written once a second."""

    def __init__(self) -> None:
        self._second, self._text = 0, ""

    def date(self) -> str:
        now = int(time.time())
        if now != self._second:
            self._text = formatdate(now, usegmt=True)
            self._second = now
        return self._text


CLOCK = Clock()


class ResponseWriter(wsgi.Response):  # type: ignore[misc]
    """A response that costs as few sends as it can: gunicorn's own takes two where one would do."""

    headers_sent: bool
    environ: Any
    _head = b""
    _stalled_at: float | None = None

    def send_headers(self) -> None:
        """Keep the head until there is something to send it with."""
        if not self.headers_sent:
            lines = [*self.default_headers(), *(f"{name}: {value}\r\n" for name, value in self.headers), "\r\n"]
            self._head, self.headers_sent = "".join(lines).encode("latin-1"), True

    def default_headers(self) -> list[str]:
        major, minor = self.req.version
        lines = [
            f"HTTP/{major}.{minor} {self.status}\r\n",
            f"Server: {self.version}\r\nDate: {CLOCK.date()}\r\n",
            f"Connection: {'close' if self.should_close() else 'keep-alive'}\r\n",
        ]
        return [*lines, "Transfer-Encoding: chunked\r\n"] if self.chunked else lines

    def close(self) -> None:
        self.send_headers()
        self._send(b"0\r\n\r\n" if self.chunked else b"")

    def write(self, data: bytes) -> None:
        if self.chunked and self.headers_sent:
            if data:
                self._send(b"%X\r\n%b\r\n" % (len(data), data))
        else:
            super().write(data)

    def can_sendfile(self) -> bool:
        return False

    def _emit_body(self, data: bytes) -> None:
        self._send(b"%X\r\n%b\r\n" % (len(data), data) if self.chunked else data)

    def _send(self, data: bytes) -> None:
        if self._head and len(data) > MOST_JOINED:
            self._take(self._head)
            self._head = b""
        if self._head:
            data, self._head = self._head + data, b""
        if data:
            self._take(data)

    def _take(self, data: bytes | memoryview) -> None:
        """Have the client take it all."""
        while data:
            try:
                sent = self.sock.send(data)
            except TimeoutError:
                self._stalled()
            else:
                self._stalled_at = None
                if sent == len(data):
                    return
                data = memoryview(data)[sent:]

    def _stalled(self) -> None:
        """Raise ConnectionResetError where the client, its call or this process has no more time."""
        now = time.monotonic()
        self._stalled_at = self._stalled_at or now
        call = self.environ.get(CALL)
        until = self._stalled_at + PATIENCE if call is None else call.deadline
        if now >= min(until, self.environ[SHUTDOWN].deadline):
            raise ConnectionResetError(errno.ECONNRESET, "the client takes nothing")


def serve_request(worker: Any, request: Any, client: Any, address: Any, server: Any, *, last: bool) -> bool:
    """Answer one request, as gunicorn's workers do; whether the connection may be used again, unless it was the `last`."""
    worker.nr += 1
    if worker.nr >= worker.max_requests and worker.alive:
        worker.log.info("Autorestarting worker after current request.")
        worker.alive = False
    response, environ = wsgi.create(request, client, address, server, worker.cfg, response_class=ResponseWriter)
    environ["wsgi.multithread"], environ[SHUTDOWN], response.environ = True, worker.shutdown, environ
    began = datetime.now() if worker.log.access_log_enabled else None  # noqa: DTZ005 - gunicorn's log wants the span alone
    if last or not worker.alive or not worker.cfg.keepalive:
        response.force_close()
    try:
        body = worker.wsgi(environ, response.start_response)
        try:
            client.settimeout(STEP)
            try:
                for piece in body:
                    response.write(piece)
                response.close()
            finally:
                client.settimeout(None)
        finally:
            environ.pop(CALL, None)
            response.environ = None  # a cycle would keep all of this until it is collected
            if began is not None:
                worker.log.access(response, request, environ, datetime.now() - began)  # noqa: DTZ005
            if hasattr(body, "close"):
                body.close()
    except OSError:
        raise  # the connection's: the worker knows what to do
    except Exception:  # whatever the application let through: the worker can still answer 500, unless the head is out
        if not response.headers_sent:
            raise
        worker.log.exception("Error handling request")
        return False
    return not response.should_close()
