"""Reading a request's JSON body: bounded in size, in time and in depth."""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from flask import Request

from gateway.errors import InvalidRequest
from gateway.jsontext import dumps, loads

BEGUN = "switchyard.body"
"""Set in the environ of a request whose body was read."""
PIECE = 1 << 16
READING = 0  # socket.SHUT_RD
TICK = 0.25


class Deadlines:
    """Ends the reading of bodies that trickle: a timeout of the socket bounds each read, nothing bounds their number."""

    def __init__(self) -> None:
        self._due: dict[int, tuple[float, Any]] = {}
        self._begun = threading.Lock()

    @contextmanager
    def bound(self, client: Any, seconds: float) -> Iterator[None]:
        """Within it, a read of the client's socket finds the end after so many seconds."""
        if client is None:
            yield
            return
        if self._begun.acquire(blocking=False):  # never released: one thread, of the process that serves
            threading.Thread(target=self._watch, name="body-deadlines", daemon=True).start()
        self._due[id(client)] = time.monotonic() + seconds, client
        try:
            yield
        finally:
            del self._due[id(client)]

    def _watch(self) -> None:
        tick = threading.Event()
        while not tick.wait(TICK):
            now = time.monotonic()
            for due, client in list(self._due.values()):
                if due < now:
                    with suppress(OSError):
                        client.shutdown(READING)


def json_body(request: Request, most: int, deadlines: Deadlines, seconds: float) -> Any:
    """The JSON of a request. Raises InvalidRequest: 400, 408, 413 or 415."""
    if not (request.mimetype == "application/json" or request.mimetype.endswith("+json")):
        raise InvalidRequest("Send the request as JSON, with Content-Type: application/json.", status=415)
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise InvalidRequest("A compressed body is not taken: send it without Content-Encoding.", status=415)
    began = time.monotonic()
    with deadlines.bound(request.environ.get("gunicorn.socket"), seconds):
        body = _read(request, most, began + seconds)
    try:
        data = loads(body)
        dumps(
            [[[[[[[[[[[[data]]]]]]]]]]]]
        )  # its limit of 254 levels holds upstream too, and a translation may add some
    except ValueError as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}.") from error
    except TypeError as error:
        raise InvalidRequest("The body is nested too deeply.") from error
    return data


def discard_body(request: Request, most: int, deadlines: Deadlines, seconds: float) -> None:
    """Read what a refused request still sends, within reason: closed upon, its client would see a reset, no answer."""
    length, read = request.content_length, request.environ.get("wsgi.input_terminated")
    if BEGUN in request.environ or not (read if length is None else length > PIECE):
        return
    stream, size = request.environ["wsgi.input"], 0
    # The answer is decided, and goes out whatever the server raises here, under names of its own, about the rest.
    with deadlines.bound(request.environ.get("gunicorn.socket"), seconds), suppress(Exception):
        while size < min(2 * most, length or math.inf) and (piece := stream.read(PIECE)):
            size += len(piece)


def _read(request: Request, most: int, deadline: float) -> bytes:
    """The bytes of the body."""
    stream, length = request.environ["wsgi.input"], request.content_length
    if length is None and not request.environ.get("wsgi.input_terminated"):
        return b""
    request.environ[BEGUN] = True
    pieces, size = [], 0
    try:
        while (length is None or size < length) and size <= 2 * most:
            piece = stream.read(PIECE if length is None else min(PIECE, length - size))
            if not piece:
                break
            size += len(piece)
            if size <= most:
                pieces.append(piece)
    except Exception as error:
        # Whatever the server raises here, under names of its own, says that the client's body is not to be had.
        raise _unread(deadline) from error
    if max(size, length or 0) > most:
        raise InvalidRequest(f"The body is larger than {most} bytes.", status=413, code="request_too_large")
    if length is not None and size < length:
        raise _unread(deadline)
    return b"".join(pieces)


def _unread(deadline: float) -> InvalidRequest:
    if time.monotonic() >= deadline:
        return InvalidRequest("The body did not come in time.", status=408, code="request_timeout")
    return InvalidRequest("The body broke off before its end.")
