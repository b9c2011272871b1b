"""Reading a request's JSON body, with limits on its size, its nesting and the time it takes to arrive."""

import time
from functools import lru_cache
from typing import Any

from gunicorn.http.errors import ParseException
from werkzeug.sansio.utils import get_content_length

from gateway.errors import ClientDisconnected, InvalidRequest
from gateway.json_codec import dumps, loads
from gateway.server.client_reader import CLIENT_READER, ClientReader

Environ = dict[str, Any]
READ_SIZE = 1 << 16
# A body with no more brackets than this cannot be nested too deeply, whatever their order.
SAFE_BRACKETS = 200


def json_body(environ: Environ, max_size: int, timeout: float) -> Any:
    """The request's body, parsed. Raises InvalidRequest (400, 408, 413 or 415) and ClientDisconnected."""
    # RFC 9110 section 15.5.16: 415 is for an unsupported Content-Type and an unsupported Content-Encoding alike.
    if not _is_json(environ.get("CONTENT_TYPE", "")):
        raise InvalidRequest("Send the request as JSON, with Content-Type: application/json.", status=415)
    if environ.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
        raise InvalidRequest("Compressed bodies are not supported: send the body without Content-Encoding.", status=415)
    body = _read(environ, max_size, time.monotonic() + timeout)
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


@lru_cache(64)
def _is_json(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")  # the suffix of RFC 6839


def _length(environ: Environ) -> int | None:
    """The Content-Length; None if there is none, or if the body is chunked, which overrides it (RFC 9112 section 6.3)."""
    return get_content_length(environ.get("CONTENT_LENGTH"), environ.get("HTTP_TRANSFER_ENCODING"))


def _read(environ: Environ, max_size: int, deadline: float) -> bytes:
    """
    The bytes of the body, which has to be complete at `deadline` (`time.monotonic()`).

    Nothing more is read of a body that is too large: the server discards a little of the rest, and closes the connection.
    """
    stream, length = environ["wsgi.input"], _length(environ)
    # PEP 3333: an application should not read beyond CONTENT_LENGTH. Where there is none, the server may say, by
    # `wsgi.input_terminated`, that the stream ends with the body; otherwise a read could block for ever.
    if length is None and not environ.get("wsgi.input_terminated"):
        return b""
    if length is not None and length > max_size:
        raise _too_large(max_size)
    reader: ClientReader | None = environ.get(CLIENT_READER)
    if reader is not None:
        reader.deadline = deadline
    pieces, size = [], 0
    try:
        while size <= max_size and (length is None or size < length):
            piece = stream.read(READ_SIZE if length is None else min(READ_SIZE, length - size))
            if not piece:
                break
            size += len(piece)
            pieces.append(piece)
    except ConnectionError as error:
        raise ClientDisconnected("the client reset its connection") from error
    except TimeoutError as error:
        raise InvalidRequest("The body did not arrive in time.", status=408, code="request_timeout") from error
    except (OSError, ParseException) as error:  # gunicorn's NoMoreData, an OSError, and its errors of a wrong chunk
        raise InvalidRequest("The body ended early.") from error
    if size > max_size:
        raise _too_large(max_size)
    if length is not None and size < length:
        raise InvalidRequest("The body ended early.")
    return b"".join(pieces)


def _too_large(max_size: int) -> InvalidRequest:
    return InvalidRequest(f"The body is larger than {max_size} bytes.", status=413, code="request_too_large")
