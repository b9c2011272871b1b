"""Sending a response: with as few system calls as possible, and not without end to a client that stops reading."""

import time
from datetime import datetime
from email.utils import formatdate
from typing import Any

from gunicorn.http import wsgi

from gateway.server.client_reader import CLIENT_READER, WAIT_STEP, ClientReader, dropped, has_unread_body
from gateway.server.minimum_rate import ReadingRate, queued_bytes
from gateway.server.shutdown import SHUTDOWN

# The key of a request's environ that holds its call, whose `deadline` (`time.monotonic()`) bounds the sending too.
CALL = "pointsman.call"
# Bytes of a body that are copied to be sent together with the headers.
MAX_JOINED = 1 << 16


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

    # Both are set by serve_request.
    environ: Any
    reader: ClientReader
    headers_sent: bool
    _head = b""

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
                self._check_rate()
            else:
                reader = self.reader
                if reader.reading_rate is not None:
                    reader.end_wait()
                    if reader.reading_rate.update(sent, queued_bytes(self.sock)):
                        reader.reading_rate = None
                if sent == len(data):
                    return
                data = memoryview(data)[sent:]

    def _check_rate(self) -> None:
        """Raise ConnectionResetError when the time of the call or of the worker is over, or when the client reads too slowly."""
        now, reader, call = time.monotonic(), self.reader, self.environ.get(CALL)
        queued = queued_bytes(self.sock)
        if reader.reading_rate is None:
            reader.reading_rate = ReadingRate(now, queued)
        else:
            reader.reading_rate.update(0, queued)
        deadline = self.environ[SHUTDOWN].deadline
        if call is not None:
            deadline = min(deadline, call.deadline)
        if now >= deadline or reader.reading_rate.too_slow(now):
            raise dropped("the client stopped reading")
        reader.wait(holds_call=call is not None)


def serve_request(worker: Any, request: Any, address: Any, server: Any, *, last: bool) -> bool:
    """
    Answer one request, as the `handle_request` of both of gunicorn's workers does; true if the connection may be used again.

    It differs in the class of the response, in the socket's timeout while it is sent, in what the environ holds, and in what
    becomes of an unread body. Not called are the hooks pre_request and post_request, and `wsgi.file_wrapper` is iterated: the
    gateway has no use for them. The request was read through a ClientReader.
    """
    reader: ClientReader = request.unreader.sock
    client = reader.client
    worker.nr += 1
    if worker.nr >= worker.max_requests and worker.alive:
        worker.log.info("Autorestarting worker after current request.")
        worker.alive = False
    response, environ = wsgi.create(request, client, address, server, worker.cfg, response_class=ResponseWriter)
    environ["wsgi.multithread"], environ[SHUTDOWN], environ[CLIENT_READER] = True, worker.shutdown, reader
    response.environ, response.reader = environ, reader
    reader.start_body()
    started = datetime.now() if worker.log.access_log_enabled else None  # noqa: DTZ005 - gunicorn's log wants a difference
    if last or not worker.alive or not worker.cfg.keepalive:
        response.force_close()
    try:
        body = worker.wsgi(environ, response.start_response)
        try:
            if has_unread_body(request):
                # gunicorn would discard it before the connection's next request, however long it is (Parser.finish_body).
                reader.discard(request.body)
                if has_unread_body(request):
                    reader.has_unread = True
                    response.force_close()
            client.settimeout(WAIT_STEP)
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
    if response.should_close():
        return False
    reader.start_head(pipelined=request.unreader.buf.getbuffer().nbytes > 0)
    return True
