"""What both workers have in common: errors as JSON, a shutdown that requests know of, background threads, cached settings."""

import logging
import re
import secrets
from typing import Any

import orjson
from gunicorn.http.errors import ParseException

from gateway.server.client_reader import ClientReader
from gateway.server.shutdown import Shutdown

STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d{3}) ([^\r]*)\r\n")


class JsonErrorSocket:
    """A client's socket that sends gunicorn's error page as JSON. gunicorn's page quotes the request; this does not."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def sendall(self, page: bytes) -> None:
        """Called by util.write_error, with head and body of the page at once."""
        self._client.sendall(json_error(page))


def json_error(page: bytes) -> bytes:
    """An error response with the status and reason of gunicorn's, and with the body of all the gateway's errors."""
    match = STATUS_LINE.match(page)
    status, reason = (int(match[1]), match[2].decode("latin-1")) if match else (400, "Bad Request")
    error = {"message": f"This is no request that can be served: {reason}.", "type": "invalid_request_error"}
    if status >= 500:
        error = {"message": "The gateway failed.", "type": "server_error"}
    body = orjson.dumps({"error": {**error, "param": None, "code": None}})
    head = (
        f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nx-request-id: {secrets.token_hex(16)}\r\n\r\n"
    )
    return head.encode("latin-1") + body


class ExceptionNames(logging.Filter):
    """
    Replaces exceptions in gunicorn's log messages by the names of their classes.

    The texts of its parser's exceptions quote the request, such as the header line that is malformed, which may hold a key.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(type(arg).__name__ if isinstance(arg, Exception) else arg for arg in record.args)
        return True


def without_text(error: Any) -> Any:
    """An exception of gunicorn's parser that is an instance of the same class, and whose text is the name of that class."""
    if not isinstance(error, ParseException):
        return error
    name = type(error).__name__
    unnamed = type(name, (type(error),), {"__init__": lambda self: None, "__str__": lambda self: name})  # noqa: ARG005
    return unnamed()


class CachedConfig:
    """
    gunicorn's configuration in a worker, where it does not change, with its values as plain attributes.

    Config.__getattr__ looks each value up in a dict of Setting objects, which takes half a microsecond; a request has several.
    """

    def __init__(self, configuration: Any) -> None:
        self._configuration = configuration

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._configuration, name)
        setattr(self, name, value)
        return value


class WorkerMixin:
    """
    Overrides of gunicorn's `Worker`, for both worker classes:

    - `init_process`: the first method that runs in the new process; `cfg` is cached and `shutdown` made before all else.
    - `load_wsgi`: sets `wsgi`, the application, whose background threads are started here.
    - `handle_error`: sends an error page for what is no request, and for an exception that the application let through.
    - `handle_exit`: the handler of SIGTERM, which starts the shutdown.
    """

    cfg: Any
    log: Any
    wsgi: Any
    shutdown: Shutdown

    def init_process(self) -> None:
        self.cfg, self.shutdown = CachedConfig(self.cfg), Shutdown()
        self.log.error_log.addFilter(ExceptionNames())
        super().init_process()  # type: ignore[misc]

    def load_wsgi(self) -> None:
        super().load_wsgi()  # type: ignore[misc]
        # Threads do not survive the fork from the master, and with gevent they must not start before it has patched
        # `threading`: both are past here, also if the master loaded the application (preload_app).
        start_background = getattr(self.wsgi, "start_background", None)
        if start_background is not None:
            start_background()

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Any) -> None:
        if isinstance(client, ClientReader):
            client.has_unread = True
        # gunicorn writes the exception's text to the log.
        super().handle_error(req, JsonErrorSocket(client), addr, without_text(exc))  # type: ignore[misc]

    def handle_exit(self, sig: int, frame: Any) -> None:
        # The master kills its workers with SIGKILL graceful_timeout seconds after SIGTERM (Arbiter.stop).
        self.shutdown.start(self.cfg.graceful_timeout)
        super().handle_exit(sig, frame)  # type: ignore[misc]
