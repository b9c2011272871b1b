"""Sending a response: with as few system calls as possible, and not without end to a client that stops reading."""

import errno
import time
from datetime import datetime
from email.utils import formatdate
from typing import Any

from gunicorn.http import wsgi

from gateway.server.shutdown import SHUTDOWN

# The key of a request's environ that holds its call, whose `deadline` (`time.monotonic()`) bounds the sending too.
CALL = "pointsman.call"
# Bytes of a body that are copied to be sent together with the headers.
MAX_JOINED = 1 << 16
# Seconds between two looks at the time in a send that the client does not take.
SEND_STEP = 0.25
# Seconds that such a send lasts where there is no call.
SEND_TIMEOUT = 60.0


class Clock:
    """The Date of a response (RFC 9110, 6.6.1), formatted once a second."""

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
    """
    Overrides of gunicorn's `Response`, which calls util.write once for the headers and once for each piece of the body:

    - `send_headers`: called before the first piece; here the headers are kept until there is a piece to send them with.
    - `default_headers`: the status line and the headers of the server; the same, but for `upgrade`, which no view asks for.
    - `write`: the WSGI write callable, which sends a piece of the body.
    - `_emit_body`: called by `write` for a piece that may be sent.
    - `close`: ends the response.

    It reads `req`, `sock`, `status`, `headers`, `version`, `chunked` and `should_close()`, and sets `headers_sent`.
    """

    environ: Any  # set by serve_request
    headers_sent: bool
    _head = b""
    _stalled_since: float | None = None

    def send_headers(self) -> None:
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
        # A chunk of a stream that has begun needs none of gunicorn's checks; an empty one would end the body (RFC 9112, 7.1).
        if self.chunked and self.headers_sent:
            if data:
                self._send(b"%X\r\n%b\r\n" % (len(data), data))
        else:
            super().write(data)

    def _emit_body(self, data: bytes) -> None:
        self._send(b"%X\r\n%b\r\n" % (len(data), data) if self.chunked else data)

    def _send(self, data: bytes) -> None:
        """Send the headers, if they are unsent, and a piece of the body."""
        if self._head and len(data) > MAX_JOINED:
            self._send_all(self._head)
            self._head = b""
        if self._head:
            data, self._head = self._head + data, b""
        if data:
            self._send_all(data)

    def _send_all(self, data: bytes | memoryview) -> None:
        """What socket.sendall does, but that its timeout, which is for all of the data, says nothing about a client that reads."""
        while data:
            try:
                sent = self.sock.send(data)
            except TimeoutError:
                self._check_stalled()
            else:
                self._stalled_since = None
                if sent == len(data):
                    return
                data = memoryview(data)[sent:]

    def _check_stalled(self) -> None:
        """Raise ConnectionResetError when the time of the client, of its call or of the worker is over."""
        now = time.monotonic()
        self._stalled_since = self._stalled_since or now
        call = self.environ.get(CALL)
        deadline = self._stalled_since + SEND_TIMEOUT if call is None else call.deadline
        if now >= min(deadline, self.environ[SHUTDOWN].deadline):
            # The worker ignores this errno, and closes the connection.
            raise ConnectionResetError(errno.ECONNRESET, "the client stopped reading")


def serve_request(worker: Any, request: Any, client: Any, address: Any, server: Any, *, last: bool) -> bool:
    """
    Answer one request, as the `handle_request` of both of gunicorn's workers does; true if the connection may be used again.

    It differs in the class of the response, in the socket's timeout while it is sent, and in what the environ holds. Not called
    are the hooks pre_request and post_request, and `wsgi.file_wrapper` is iterated: the gateway has no use for them.
    """
    worker.nr += 1
    if worker.nr >= worker.max_requests and worker.alive:
        worker.log.info("Autorestarting worker after current request.")
        worker.alive = False
    response, environ = wsgi.create(request, client, address, server, worker.cfg, response_class=ResponseWriter)
    environ["wsgi.multithread"], environ[SHUTDOWN], response.environ = True, worker.shutdown, environ
    started = datetime.now() if worker.log.access_log_enabled else None  # noqa: DTZ005 - gunicorn's log wants a difference
    if last or not worker.alive or not worker.cfg.keepalive:
        response.force_close()
    try:
        body = worker.wsgi(environ, response.start_response)
        try:
            client.settimeout(SEND_STEP)
            try:
                for piece in body:
                    response.write(piece)
                response.close()
            finally:
                client.settimeout(None)
        finally:
            # The environ refers to the response (wsgi.early_hints): a cycle would keep both, and the call, until a collection.
            environ.pop(CALL, None)
            response.environ = None
            if started is not None:
                worker.log.access(response, request, environ, datetime.now() - started)  # noqa: DTZ005
            if hasattr(body, "close"):  # PEP 3333: called in any case
                body.close()
    except OSError:
        raise  # of the connection: the worker ignores EPIPE, ECONNRESET and ENOTCONN
    except Exception:  # of the application: the worker responds with status 500, unless the headers are sent
        if not response.headers_sent:
            raise
        worker.log.exception("Error handling request")
        return False
    return not response.should_close()
