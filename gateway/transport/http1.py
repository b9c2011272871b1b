"""HTTP/1.1 responses without I/O: bytes in, status, headers and body out, however they are cut. RFC 9112.

http.client's own reader blocks wherever a line or a chunk is cut; here nothing waits, so that its reader can look at
the client, send a ping, or hang up at any byte.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

MOST_HEAD = 1 << 17
MOST_LINE = 1 << 13
STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5]\d\d)(?: |$)")
HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*")
SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;.*)?")
UNTIL_CLOSE = -1
BODILESS = (204, 304)


class Malformed(Exception):
    """What came is no HTTP/1.1 response."""


class Truncated(Exception):
    """The connection ended within a response."""


class Unanswered(Truncated):
    """The connection ended before it said anything."""


class Response:
    """One response: `feed` it what arrives. `status` is 0 until its head is complete; `headers` are in small letters."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.complete = False
        self.persistent = False
        """Whether the connection may be used again once the response is complete."""
        self._rest = b""
        self._chunked = False
        self._left = 0
        """Bytes that the body, or the chunk, still has; before a chunk's size line 0."""
        self._line_end = self._trailers = False

    @property
    def begun(self) -> bool:
        """Whether anything was said."""
        return bool(self.status or self._rest)

    def feed(self, data: bytes) -> bytes:
        """The body bytes that `data` completes. Raises Malformed."""
        self._rest += data
        if not self.status and not self._head():
            return b""
        if self._chunked:
            return self._chunks()
        body, self._rest = self._rest, b""
        if self._left != UNTIL_CLOSE:
            body, surplus = body[: self._left], len(body) - self._left
            self._left -= len(body)
            self.complete = not self._left
            self.persistent = self.persistent and surplus <= 0
        return body

    def end(self) -> None:
        """The connection ended. Raises Truncated unless that is how the body ends."""
        if self.complete:
            return
        if not self.begun:
            raise Unanswered("the connection was closed without an answer")
        if not self.status or self._chunked or self._left != UNTIL_CLOSE:
            raise Truncated("the connection ended within the response")
        self.complete = True

    def _head(self) -> bool:
        """Read status line and headers, once they are there; interim responses (1xx) are passed over."""
        while True:
            at = self._rest.find(b"\r\n\r\n")
            if at < 0:
                if len(self._rest) > MOST_HEAD:
                    raise Malformed("the head has no end")
                return False
            first, *lines = self._rest[:at].split(b"\r\n")
            self._rest = self._rest[at + 4 :]
            found = STATUS_LINE.match(first)
            if found is None or found[2] == b"101":
                raise Malformed("no status line")
            if found[2][:1] != b"1":
                self.status = int(found[2])
                self.headers = _headers(lines)
                self._framed(found[1] == b"1")
                return True

    def _framed(self, modern: bool) -> None:
        """How the body's end will be known."""
        coding, length = self.headers.get("transfer-encoding"), self.headers.get("content-length")
        self._chunked = coding is not None and coding.lower().split(",")[-1].strip() == "chunked"
        if self.status in BODILESS:
            self._chunked, self._left, self.complete = False, 0, True
        elif coding is not None and not self._chunked:
            raise Malformed("an unknown transfer encoding")
        elif not self._chunked and length is not None:
            sizes = {size.strip() for size in length.split(",")}
            if len(sizes) != 1 or not min(sizes).isdecimal():
                raise Malformed("a wrong content length")
            self._left = int(min(sizes))
            self.complete = not self._left
        elif not self._chunked:
            self._left = UNTIL_CLOSE
        closes = "close" in self.headers.get("connection", "").lower()
        self.persistent = modern and not closes and self._left != UNTIL_CLOSE

    def _chunks(self) -> bytes:
        body: list[bytes] = []
        rest, at = self._rest, 0
        while not self.complete:
            if self._left:
                piece = rest[at : at + self._left]
                if not piece:
                    break
                body.append(piece)
                at += len(piece)
                self._left -= len(piece)
                self._line_end = not self._left
                if not self._line_end:
                    break
            if self._line_end:
                if len(rest) - at < 2:
                    break
                if rest[at : at + 2] != b"\r\n":
                    raise Malformed("a chunk that is longer than its size")
                at, self._line_end = at + 2, False
                continue
            end = rest.find(b"\r\n", at)
            if end < 0:
                if len(rest) - at > MOST_LINE:
                    raise Malformed("a line in the body has no end")
                break
            line, at = rest[at:end], end + 2
            if self._trailers:
                self.complete = not line
            else:
                self._left = _size(line)
                self._trailers = not self._left
        self._rest = rest[at:]
        self.persistent = self.persistent and not (self.complete and self._rest)
        return body[0] if len(body) == 1 else b"".join(body)


@lru_cache(1024)
def _size(line: bytes) -> int:
    """What a chunk's first line says: the same few sizes, again and again."""
    found = SIZE.fullmatch(line)
    if found is None:
        raise Malformed("a chunk without a size")
    return int(found[1], 16)


def _headers(lines: list[bytes]) -> dict[str, str]:
    """Of headers that stand twice, the values are joined by commas."""
    headers: dict[str, str] = {}
    for line in lines:
        found = HEADER.fullmatch(line)
        if found is None:
            raise Malformed("a header line that is none")
        name, value = found[1].decode("ascii").lower(), found[2].decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
