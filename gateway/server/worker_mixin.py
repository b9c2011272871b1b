"""
What both of gunicorn's workers have of ours: what their parser refuses is answered in OpenAI's form, SIGTERM begins a
drain, and a setting is looked up once. gevent_worker.py and gthread_worker.py have the workers.
"""

import re
import secrets
from typing import Any

import orjson

from gateway.server.shutdown import Shutdown

LINGER = 2.0
"""Seconds that a connection is kept after all is said: for a client to close its end, or to ask once more."""
STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d{3}) ([^\r]*)\r\n")


class JsonErrorSocket:
    """A client's socket, whose one answer in HTML goes out as JSON. It says no word of the request."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def sendall(self, html: bytes) -> None:
        self._client.sendall(json_error(html))


def json_error(html: bytes) -> bytes:
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


class CachedConfig:
    """gunicorn's configuration, in a worker, where it stays as it is: each lookup in gunicorn's own costs half a microsecond."""

    def __init__(self, configuration: Any) -> None:
        self._configuration = configuration

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._configuration, name)
        setattr(self, name, value)
        return value


class WorkerMixin:
    """What both workers have of ours."""

    cfg: Any
    wsgi: Any
    shutdown: Shutdown

    def init_process(self) -> None:
        self.cfg, self.shutdown = CachedConfig(self.cfg), Shutdown()
        super().init_process()  # type: ignore[misc]

    def load_wsgi(self) -> None:
        """Start the application's background threads: this runs in the worker, and after gevent has patched `threading`."""
        super().load_wsgi()  # type: ignore[misc]
        start_background = getattr(self.wsgi, "start_background", None)
        if start_background is not None:
            start_background()

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Any) -> None:
        super().handle_error(req, JsonErrorSocket(client), addr, exc)  # type: ignore[misc]

    def handle_exit(self, sig: int, frame: Any) -> None:
        self.shutdown.start(self.cfg.graceful_timeout)
        super().handle_exit(sig, frame)  # type: ignore[misc]
