"""HTTP/1.1 responses, wherever their bytes are split."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.transport.http1 import MAX_HEAD, MAX_LINE, Malformed, NoResponse, Response, Truncated

OK = b"HTTP/1.1 200 OK\r\n"


def read(*pieces: bytes, ends: bool = False):
    """The response and its body after these pieces, and after the end of the connection where it `ends`."""
    response = Response()
    body = b"".join(response.feed(piece) for piece in pieces)
    if ends:
        response.end()
    return response, body


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece) + b"0\r\n\r\n"


BODIES = st.lists(st.binary(min_size=1, max_size=30), max_size=5)


@given(BODIES, st.sampled_from(["chunked", "length", "close"]), st.data())
def test_a_response_is_parsed_the_same_wherever_it_is_split(pieces, framing, data):
    body = b"".join(pieces)
    wire = {
        "chunked": OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(*pieces),
        "length": OK + b"Content-Length: %d\r\n\r\n" % len(body) + body,
        "close": OK + b"\r\n" + body,
    }[framing]
    splits = sorted({0, len(wire), *data.draw(st.lists(st.integers(0, len(wire)), max_size=10))})
    parts = [wire[start:stop] for start, stop in itertools.pairwise(splits)]
    response, received = read(*parts, ends=framing == "close")
    assert (received, response.complete, response.status) == (body, True, 200)
    assert response.persistent is (framing != "close")


def test_header_names_become_lower_case_and_repeated_values_are_joined():
    response, _ = read(OK + b"X-One:  a b \r\nx-one: c\r\nContent-Length: 0\r\n\r\n")
    assert response.headers == {"x-one": "a b, c", "content-length": "0"}
    assert response.complete


def test_chunk_extensions_and_trailers_are_ignored():
    response, body = read(OK + b"transfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n")
    assert (body, response.complete, response.persistent) == (b"abc", True, True)


def test_interim_responses_are_ignored():
    response, body = read(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: x\r\n\r\n" + OK + b"content-length: 1\r\n\r\na"
    )
    assert (response.status, body) == (200, b"a")


@pytest.mark.parametrize("status", [204, 304])
def test_a_response_without_content_ends_with_its_headers(status):
    response, _ = read(b"HTTP/1.1 %d X\r\n\r\n" % status)
    assert response.complete


@pytest.mark.parametrize("head", [b"HTTP/1.0 200 OK\r\n", OK + b"Connection: Close\r\n"])
def test_a_connection_that_the_upstream_will_close_is_not_persistent(head):
    response, _ = read(head + b"content-length: 1\r\n\r\na")
    assert (response.complete, response.persistent) == (True, False)


@pytest.mark.parametrize(
    "framing", [b"content-length: 1\r\n\r\na", b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"]
)
def test_bytes_after_the_end_of_a_response_make_the_connection_not_persistent(framing):
    response, body = read(OK + framing + b"HTTP/1.1 200 OK\r\n")
    assert (body, response.complete, response.persistent) == (b"a", True, False)


@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/2 200\r\n\r\n",
        b"SSH-2.0\r\n\r\n",
        b"HTTP/1.1 999 X\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        OK + b"no colon\r\n\r\n",
        OK + b" folded: x\r\n\r\n",
        OK + b"content-length: -1\r\n\r\n",
        OK + b"content-length: 1, 2\r\n\r\n",
        OK + b"content-length: x\r\n\r\n",
        OK + b"transfer-encoding: gzip\r\n\r\n",
        OK + b"transfer-encoding: chunked\r\n\r\nxyz\r\n",
        OK + b"transfer-encoding: chunked\r\n\r\n1\r\nabc",
        OK + b"transfer-encoding: chunked\r\n\r\n" + b"1" * (MAX_LINE + 1),
        b"x" * (MAX_HEAD + 1),
    ],
)
def test_bytes_that_are_no_http_response_are_malformed(wire):
    with pytest.raises(Malformed):
        read(wire)


@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 20",
        OK + b"content-length: 5\r\n\r\nabc",
        OK + b"transfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n",
        OK + b"transfer-encoding: chunked\r\n\r\n5\r\nab",
        OK + b"transfer-encoding: chunked\r\n\r\n0\r\n",
    ],
)
def test_a_connection_that_ends_within_a_response_truncates_it(wire):
    with pytest.raises(Truncated):
        read(wire, ends=True)


def test_a_connection_that_ends_before_a_response_brings_none():
    with pytest.raises(NoResponse):
        read(ends=True)


INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"


def test_interim_responses_are_bounded_together_however_they_arrive():
    few = Response()
    few.feed(INTERIM * 10 + b"HTTP/1.1 204 No Content\r\n\r\n")
    assert few.status == 204
    for pieces in (1, 100):
        response = Response()
        feeds = MAX_HEAD // (len(INTERIM) * pieces)
        for _ in range(feeds):
            response.feed(INTERIM * pieces)
        with pytest.raises(Malformed, match="headers"):
            response.feed(INTERIM * pieces)


def test_trailers_are_bounded_together():
    response = Response()
    response.feed(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n")
    line = b"x-a: b\r\n"
    for _ in range(MAX_HEAD // len(line)):
        response.feed(line)
    with pytest.raises(Malformed, match="trailers"):
        response.feed(line)
