"""Reading a request's JSON body: bounded in size, in time and in depth."""

import math
import threading
import time
from contextlib import suppress
from functools import lru_cache
from typing import Any

from werkzeug.sansio.utils import get_content_length

from gateway.errors import ClientDisconnected, InvalidRequest
from gateway.json_codec import dumps, loads

Environ = dict[str, Any]
BEGUN = "pointsman.body"
"""Set in the environ of a request whose body was read."""
PIECE = 1 << 16
READING = 0  # socket.SHUT_RD
TICK = 0.25
SHALLOW = 200
"""Brackets in all that no nesting can be too deep with."""


class BodyDeadlines:
    """Ends the reading of bodies that trickle: a timeout of the socket bounds each read, nothing bounds their number."""

    def __init__(self) -> None:
        self._due: dict[int, tuple[float, Any]] = {}
        self._beginning, self._begun = threading.Lock(), False

    def bound(self, client: Any, deadline: float) -> None:
        """After `deadline` (`time.monotonic()`), until it is `met`, a read of the client's socket finds the end."""
        if client is None:
            return
        if not self._begun:
            self._begin()
        self._due[id(client)] = deadline, client

    def met(self, client: Any) -> None:
        """Whatever is read now is of another request."""
        self._due.pop(id(client), None)

    def _begin(self) -> None:
        with self._beginning:
            if not self._begun:  # in the process that serves, not in the one that it was forked from
                self._begun = True
                threading.Thread(target=self._watch, name="body-deadlines", daemon=True).start()

    def _watch(self) -> None:
        tick = threading.Event()
        while not tick.wait(TICK):
            now = time.monotonic()
            for due, client in list(self._due.values()):
                if due < now:
                    with suppress(OSError):
                        client.shutdown(READING)


def json_body(environ: Environ, most: int, deadlines: BodyDeadlines, seconds: float) -> Any:
    """The JSON of a request. Raises InvalidRequest: 400, 408, 413 or 415."""
    if not _is_json(environ.get("CONTENT_TYPE", "")):
        raise InvalidRequest("Send the request as JSON, with Content-Type: application/json.", status=415)
    if environ.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
        raise InvalidRequest("A compressed body is not taken: send it without Content-Encoding.", status=415)
    client, deadline = environ.get("gunicorn.socket"), time.monotonic() + seconds
    deadlines.bound(client, deadline)
    try:
        body = _read(environ, most, deadline)
    finally:
        deadlines.met(client)
    try:
        data = loads(body)
        if body.count(b"[") + body.count(b"{") > SHALLOW:
            dumps(
                [[[[[[[[[[[[data]]]]]]]]]]]]
            )  # its limit of 254 levels holds upstream too; a translation may add some
    except ValueError as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}.") from error
    except TypeError as error:
        raise InvalidRequest("The body is nested too deeply.") from error
    return data


def discard_body(environ: Environ, most: int, deadlines: BodyDeadlines, seconds: float) -> None:
    """Read what a refused request still sends, within reason: closed upon, its client would see a reset, no answer."""
    length, read = _length(environ), environ.get("wsgi.input_terminated")
    if BEGUN in environ or not (read if length is None else length > PIECE):
        return
    stream, size, client = environ["wsgi.input"], 0, environ.get("gunicorn.socket")
    deadlines.bound(client, time.monotonic() + seconds)
    try:
        # The answer is decided, and goes out whatever the server raises here, under names of its own, about the rest.
        with suppress(Exception):
            while size < min(2 * most, length or math.inf) and (piece := stream.read(PIECE)):
                size += len(piece)
    finally:
        deadlines.met(client)


@lru_cache(64)
def _is_json(content_type: str) -> bool:
    mimetype = content_type.partition(";")[0].strip().lower()
    return mimetype == "application/json" or mimetype.endswith("+json")


def _length(environ: Environ) -> int | None:
    """How long the body says it is; None where it says nothing, or is chunked."""
    return get_content_length(environ.get("CONTENT_LENGTH"), environ.get("HTTP_TRANSFER_ENCODING"))


def _read(environ: Environ, most: int, deadline: float) -> bytes:
    """The bytes of the body."""
    stream, length = environ["wsgi.input"], _length(environ)
    if length is None and not environ.get("wsgi.input_terminated"):
        return b""
    environ[BEGUN] = True
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
        if isinstance(error, ConnectionError):
            raise ClientDisconnected("the client reset its connection") from error
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
