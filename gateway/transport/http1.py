"""
HTTP/1.1 responses (RFC 9112) without I/O: bytes in, status, headers and body out, wherever the bytes are split.

http.client's parser blocks where a line or a chunk is incomplete; this one returns, so that its caller can check the client,
send a ping, or close the connection at any byte.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

# RFC 9112 sets no limits: these are far above what any vendor sends, and bound the memory of one response.
MAX_HEAD = 1 << 17
MAX_LINE = 1 << 13
# RFC 9112, 4: the reason phrase may be empty, and is ignored; some servers omit the space before it as well.
STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5]\d\d)(?: |$)")
# RFC 9110, 5.6.2: a field name is a token. RFC 9112, 5.1: no whitespace before the colon, optional whitespace around the value.
HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*")
# RFC 9112, 7.1.1: chunk extensions are ignored. 7.1: a size of any length is possible; 16 digits are 2**64.
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;.*)?")
# The value of `_remaining` for a body that ends with the connection.
UNTIL_CLOSE = -1
# RFC 9110, 15.3.5 and 15.4.5: responses with these statuses end with their headers.
BODILESS_STATUSES = (204, 304)


class Malformed(Exception):
    """The upstream sent something that is not an HTTP/1.1 response."""


class Truncated(Exception):
    """The connection ended within a response."""


class NoResponse(Truncated):
    """The connection ended before the first byte of a response."""


class Response:
    """One response: `feed` it what arrives. `status` is 0 until the head is complete; names in `headers` are in lower case."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.complete = False
        # Whether the connection may be used again once the response is complete.
        self.persistent = False
        self._buffer = b""
        self._chunked = False
        # Bytes that the body, or the current chunk, still has; 0 before a chunk's size line.
        self._remaining = 0
        self._expects_line_end = self._in_trailers = False
        # Bytes of interim responses, and of trailers: both are read without end otherwise.
        self._interim_size = self._trailers_size = 0

    @property
    def started(self) -> bool:
        """Whether any byte of it has arrived."""
        return bool(self.status or self._buffer)

    def feed(self, data: bytes) -> bytes:
        """The body bytes that `data` completes. Raises Malformed."""
        self._buffer += data
        if not self.status and not self._read_head():
            return b""
        if self._chunked:
            return self._read_chunks()
        body, self._buffer = self._buffer, b""
        if self._remaining != UNTIL_CLOSE:
            body, surplus = body[: self._remaining], len(body) - self._remaining
            self._remaining -= len(body)
            self.complete = not self._remaining
            # RFC 9112, 9.2: data without an outstanding request is no response, and the connection is to be closed.
            self.persistent = self.persistent and surplus <= 0
        return body

    def end(self) -> None:
        """The connection ended. Raises Truncated unless that is how the body ends."""
        if self.complete:
            return
        if not self.started:
            raise NoResponse("the connection was closed before any response")
        # RFC 9112, 8: without its last chunk, or shorter than its Content-Length, a body is incomplete.
        if not self.status or self._chunked or self._remaining != UNTIL_CLOSE:
            raise Truncated("the connection was closed within the response")
        self.complete = True

    def _read_head(self) -> bool:
        """Parse status line and headers; False while they are incomplete."""
        while True:
            end = self._buffer.find(b"\r\n\r\n")
            if (end if end >= 0 else len(self._buffer)) + self._interim_size > MAX_HEAD:
                raise Malformed("the headers of the response are too long")
            if end < 0:
                return False
            status_line, *lines = self._buffer[:end].split(b"\r\n")
            self._buffer = self._buffer[end + 4 :]
            match = STATUS_LINE.match(status_line)
            # RFC 9110, 15.2.2: 101 answers an Upgrade header, which is never sent from here.
            if match is None or match[2] == b"101":
                raise Malformed("the response has no valid status line")
            # RFC 9110, 15.2: any number of interim responses (1xx) may precede the final one, expected or not.
            if match[2][:1] == b"1":
                self._interim_size += end + 4
            else:
                self.status = int(match[2])
                self.headers = parse_headers(lines)
                self._read_framing(is_http_1_1=match[1] == b"1")
                return True

    def _read_framing(self, *, is_http_1_1: bool) -> None:
        """Decide where the body ends: RFC 9112, 6.3, in its order."""
        coding, length = self.headers.get("transfer-encoding"), self.headers.get("content-length")
        # Item 4: the last coding decides, and Transfer-Encoding overrides Content-Length (item 3).
        self._chunked = coding is not None and coding.lower().split(",")[-1].strip() == "chunked"
        if self.status in BODILESS_STATUSES:  # item 1; HEAD is never sent, and the body of CONNECT (item 2) never read
            self._chunked, self._remaining, self.complete = False, 0, True
        elif coding is not None and not self._chunked:
            # Item 4 reads such a body until the connection closes; it would be compressed, which no TE header asked for.
            raise Malformed("the response has an unknown transfer encoding")
        elif not self._chunked and length is not None:
            # Item 5: a list of equal lengths counts as one, anything else is an unrecoverable error.
            lengths = {item.strip() for item in length.split(",")}
            if len(lengths) != 1 or not min(lengths).isdecimal():
                raise Malformed("the response has no valid content length")
            self._remaining = int(min(lengths))  # item 6
            self.complete = not self._remaining
        elif not self._chunked:
            self._remaining = UNTIL_CLOSE  # item 8
        # RFC 9112, 9.3: HTTP/1.1 connections persist unless "close" is among the connection options; those of 1.0 do not.
        closes = "close" in self.headers.get("connection", "").lower()
        self.persistent = is_http_1_1 and not closes and self._remaining != UNTIL_CLOSE

    def _read_chunks(self) -> bytes:
        """Decode the chunked coding, RFC 9112, 7.1: size line, data, line end, ... and trailers after a chunk of size 0."""
        body: list[bytes] = []
        buffer, position = self._buffer, 0
        while not self.complete:
            if self._remaining:
                data = buffer[position : position + self._remaining]
                if not data:
                    break
                body.append(data)
                position += len(data)
                self._remaining -= len(data)
                self._expects_line_end = not self._remaining
                if not self._expects_line_end:
                    break
            if self._expects_line_end:
                if len(buffer) - position < 2:
                    break
                if buffer[position : position + 2] != b"\r\n":
                    raise Malformed("a chunk of the response is longer than its size")
                position, self._expects_line_end = position + 2, False
                continue
            end = buffer.find(b"\r\n", position)
            if end < 0:
                if len(buffer) - position > MAX_LINE:
                    raise Malformed("a line in the body of the response is too long")
                break
            line, position = buffer[position:end], end + 2
            if self._in_trailers:
                self._trailers_size += len(line) + 2
                if self._trailers_size > MAX_HEAD:
                    raise Malformed("the trailers of the response are too long")
                self.complete = not line  # RFC 9112, 7.1.2: trailer fields may be discarded
            else:
                self._remaining = parse_chunk_size(line)
                self._in_trailers = not self._remaining
        self._buffer = buffer[position:]
        self.persistent = self.persistent and not (self.complete and self._buffer)
        return body[0] if len(body) == 1 else b"".join(body)


@lru_cache(1024)  # a stream has the same few sizes again and again
def parse_chunk_size(line: bytes) -> int:
    match = CHUNK_SIZE.fullmatch(line)
    if match is None:
        raise Malformed("a chunk of the response has no valid size")
    return int(match[1], 16)


def parse_headers(lines: list[bytes]) -> dict[str, str]:
    """Headers by their names in lower case."""
    headers: dict[str, str] = {}
    for line in lines:
        # RFC 9112, 5.2: a gateway may reject line folding; a folded line begins with whitespace, as no field name does.
        match = HEADER.fullmatch(line)
        if match is None:
            raise Malformed("the response has an invalid header line")
        # RFC 9110, 5.5: bytes beyond ASCII are opaque; Latin-1 keeps each of them.
        name, value = match[1].decode("ascii").lower(), match[2].decode("latin-1")
        # RFC 9110, 5.3: the values of repeated fields are combined by commas, in order.
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
