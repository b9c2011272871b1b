"""Reading a request's JSON body, with limits on its size, its nesting and the time it takes to arrive."""

import math
import socket
import threading
import time
from contextlib import suppress
from functools import lru_cache
from typing import Any

from werkzeug.sansio.utils import get_content_length

from gateway.errors import ClientDisconnected, InvalidRequest
from gateway.json_codec import dumps, loads

Environ = dict[str, Any]
# Set in the environ once the body has been read, or its reading has failed.
BODY_READ = "pointsman.body"
READ_SIZE = 1 << 16
# Seconds between two looks for bodies that are overdue.
CHECK_INTERVAL = 0.25
# A body with no more brackets than this cannot be nested too deeply, whatever their order.
SAFE_BRACKETS = 200


class BodyDeadlines:
    """
    Ends the reading of bodies that arrive too slowly, in a thread.

    The timeout of a socket bounds each read; a client that sends a byte now and then never reaches it.
    """

    def __init__(self) -> None:
        self._due: dict[int, tuple[float, Any]] = {}
        self._stop = threading.Event()

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name="body-deadlines", daemon=True).start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()

    def add(self, client: Any, deadline: float) -> None:
        """After `deadline` (`time.monotonic()`), reads of the client's socket return the end of file, until it is removed."""
        if client is not None:
            self._due[id(client)] = deadline, client

    def remove(self, client: Any) -> None:
        """The body is read: what the socket receives next belongs to another request."""
        self._due.pop(id(client), None)

    def _run(self) -> None:
        while not self._stop.wait(CHECK_INTERVAL):
            now = time.monotonic()
            for due, client in list(self._due.values()):
                if due < now:
                    with suppress(OSError):
                        # Reading alone is shut down: the client can still receive the 408.
                        client.shutdown(socket.SHUT_RD)


def json_body(environ: Environ, max_size: int, deadlines: BodyDeadlines, timeout: float) -> Any:
    """The request's body, parsed. Raises InvalidRequest (400, 408, 413 or 415) and ClientDisconnected."""
    # RFC 9110 section 15.5.16: 415 is for an unsupported Content-Type and an unsupported Content-Encoding alike.
    if not _is_json(environ.get("CONTENT_TYPE", "")):
        raise InvalidRequest("Send the request as JSON, with Content-Type: application/json.", status=415)
    if environ.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
        raise InvalidRequest("Compressed bodies are not supported: send the body without Content-Encoding.", status=415)
    client, deadline = environ.get("gunicorn.socket"), time.monotonic() + timeout
    deadlines.add(client, deadline)
    try:
        body = _read(environ, max_size, deadline)
    finally:
        deadlines.remove(client)
    try:
        data = loads(body)
        if body.count(b"[") + body.count(b"{") > SAFE_BRACKETS:
            # orjson reads 1,024 levels and writes 254: what could not be sent upstream is refused here. The 12 levels
            # around the data leave room for those that a translation adds.
            dumps([[[[[[[[[[[[data]]]]]]]]]]]])
    except ValueError as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}.") from error
    except TypeError as error:
        raise InvalidRequest("The body is nested too deeply.") from error
    return data


def discard_body(environ: Environ, max_size: int, deadlines: BodyDeadlines, timeout: float) -> None:
    """
    Read what the client of a refused request still sends, up to a limit.

    RFC 9112 section 9.6: if the server closes while data arrives, TCP resets the connection, and the client may lose the
    response.
    """
    length, ends = _length(environ), environ.get("wsgi.input_terminated")
    # gunicorn itself discards a short body, before it reads the next request of the connection.
    if BODY_READ in environ or not (ends if length is None else length > READ_SIZE):
        return
    stream, size, client = environ["wsgi.input"], 0, environ.get("gunicorn.socket")
    deadlines.add(client, time.monotonic() + timeout)
    try:
        # Whatever exception the server raises, by classes of its own, the response is already made.
        with suppress(Exception):
            while size < min(2 * max_size, length or math.inf) and (piece := stream.read(READ_SIZE)):
                size += len(piece)
    finally:
        deadlines.remove(client)


@lru_cache(64)
def _is_json(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")  # the suffix of RFC 6839


def _length(environ: Environ) -> int | None:
    """The Content-Length; None if there is none, or if the body is chunked, which overrides it (RFC 9112 section 6.3)."""
    return get_content_length(environ.get("CONTENT_LENGTH"), environ.get("HTTP_TRANSFER_ENCODING"))


def _read(environ: Environ, max_size: int, deadline: float) -> bytes:
    """The bytes of the body. Of one that is too large, as much again is read and dropped, so that its client sees the 413."""
    stream, length = environ["wsgi.input"], _length(environ)
    # PEP 3333: an application should not read beyond CONTENT_LENGTH. Where there is none, the server may say, by
    # `wsgi.input_terminated`, that the stream ends with the body; otherwise a read could block for ever.
    if length is None and not environ.get("wsgi.input_terminated"):
        return b""
    environ[BODY_READ] = True
    pieces, size = [], 0
    try:
        while (length is None or size < length) and size <= 2 * max_size:
            piece = stream.read(READ_SIZE if length is None else min(READ_SIZE, length - size))
            if not piece:
                break
            size += len(piece)
            if size <= max_size:
                pieces.append(piece)
    except Exception as error:
        # gunicorn raises classes of its own for a wrong chunk and for an early end: both make the body unreadable.
        if isinstance(error, ConnectionError):
            raise ClientDisconnected("the client reset its connection") from error
        raise _incomplete_body(deadline) from error
    if max(size, length or 0) > max_size:
        raise InvalidRequest(f"The body is larger than {max_size} bytes.", status=413, code="request_too_large")
    if length is not None and size < length:
        raise _incomplete_body(deadline)
    return b"".join(pieces)


def _incomplete_body(deadline: float) -> InvalidRequest:
    if time.monotonic() >= deadline:
        return InvalidRequest("The body did not arrive in time.", status=408, code="request_timeout")
    return InvalidRequest("The body ended early.")
