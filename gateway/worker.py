"""gunicorn's workers, but for two things: what their parser refuses is answered in OpenAI's form, and SIGTERM begins a drain."""

import re
import secrets
from typing import Any

import orjson
from gunicorn.workers.ggevent import GeventWorker
from gunicorn.workers.gthread import ThreadWorker

from gateway.drain import DRAIN

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


class Gevent(GeventWorker):  # type: ignore[misc]  # gunicorn has no types
    def handle_error(self, req: Any, client: Any, addr: Any, exc: Any) -> None:
        super().handle_error(req, Enveloped(client), addr, exc)

    def handle_exit(self, sig: int, frame: Any) -> None:
        DRAIN.begin(self.cfg.graceful_timeout)
        super().handle_exit(sig, frame)


class Gthread(ThreadWorker):  # type: ignore[misc]
    def handle_error(self, req: Any, client: Any, addr: Any, exc: Any) -> None:
        super().handle_error(req, Enveloped(client), addr, exc)

    def handle_exit(self, sig: int, frame: Any) -> None:
        DRAIN.begin(self.cfg.graceful_timeout)
        super().handle_exit(sig, frame)
