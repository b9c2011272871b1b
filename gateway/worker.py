"""
gunicorn's workers, but for four things: what their parser refuses is answered in OpenAI's form, SIGTERM begins a
drain, a response's head goes out with the beginning of its body, and a setting is looked up once.
"""

import contextlib
import re
import secrets
from typing import Any

import orjson
from gevent import GreenletExit
from gunicorn.workers.ggevent import GeventWorker
from gunicorn.workers.gthread import ThreadWorker

from gateway.drain import DRAIN
from gateway.outgoing import served

STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d{3}) ([^\r]*)\r\n")


class Enveloped:
    """A client's socket, whose one answer in HTML goes out as JSON. It says no word of the request."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def sendall(self, html: bytes) -> None:
        self._client.sendall(enveloped(html))


def enveloped(html: bytes) -> bytes:
    """Gunicorn's own error response with the same status, in the envelope of all errors."""
    found = STATUS_LINE.match(html)
    status, reason = (int(found[1]), found[2].decode("latin-1")) if found else (400, "Bad Request")
    said = {"message": f"This is no request that can be served: {reason}.", "type": "invalid_request_error"}
    if status >= 500:
        said = {"message": "The gateway failed.", "type": "server_error"}
    body = orjson.dumps({"error": {**said, "param": None, "code": None}})
    head = (
        f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nx-request-id: {secrets.token_hex(16)}\r\n\r\n"
    )
    return head.encode("latin-1") + body


class Settled:
    """gunicorn's configuration, in a worker, where it stays as it is: each lookup in gunicorn's own costs half a microsecond."""

    def __init__(self, configuration: Any) -> None:
        self._configuration = configuration

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._configuration, name)
        setattr(self, name, value)
        return value


class Ours:
    """What both workers have of ours."""

    cfg: Any

    def init_process(self) -> None:
        self.cfg = Settled(self.cfg)
        super().init_process()  # type: ignore[misc]

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Any) -> None:
        super().handle_error(req, Enveloped(client), addr, exc)  # type: ignore[misc]

    def handle_exit(self, sig: int, frame: Any) -> None:
        DRAIN.begin(self.cfg.graceful_timeout)
        super().handle_exit(sig, frame)  # type: ignore[misc]


class Gevent(Ours, GeventWorker):  # type: ignore[misc]  # gunicorn has no types
    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        with contextlib.suppress(GreenletExit, SystemExit):
            if not served(self, req, sock, addr, listener_name, last=False):
                raise StopIteration


class Gthread(Ours, ThreadWorker):  # type: ignore[misc]
    def handle_request(self, req: Any, conn: Any) -> bool:
        full = len(self.keepalived_conns) >= self.max_keepalived
        return served(self, req, conn.sock, conn.client, conn.server, last=full)
