"""Reading from a client: what is read of a head and of a body, how long, and when others have their turn."""

import itertools
import socket
import time

import pytest
from gunicorn.config import Config
from gunicorn.http.parser import RequestParser

from gateway.server.client_reader import (
    MAX_DISCARDED,
    TURN,
    ClientReader,
    has_unread_body,
)
from gateway.server.gevent_worker import GeventReader
from gateway.server.gthread_worker import ThreadReader

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
ADDRESS = ("127.0.0.1", 50000)


class Client:
    """A client's socket that returns these pieces, and raises those that are errors."""

    def __init__(self, pieces):
        self.pieces = iter(pieces)
        self.reads = self.received = 0

    def gettimeout(self):
        return None

    def settimeout(self, timeout):
        pass

    def recv(self, size, flags=0):
        piece = next(self.pieces, b"")
        if isinstance(piece, type):
            raise piece
        if rest := piece[size:]:
            self.pieces = itertools.chain([rest], self.pieces)
        piece = piece[:size]
        self.reads += 1
        self.received += len(piece)
        return piece


class Reader(ClientReader):
    """A reader whose heads arrive at once. `turns`: how often others had their turn."""

    turns = 0

    def recv_head(self, size):
        return self.client.recv(size)

    def yield_turn(self):
        self.turns += 1


def parsed(pieces):
    """Return a request whose body is `pieces`, with the reader and its socket."""
    client = Client(pieces)
    reader = Reader(client)
    request = next(RequestParser(Config(), reader, ADDRESS))
    reader.start_body()
    return request, reader, client


def chunked(*pieces):
    return parsed([HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *pieces])


def with_length(length, *pieces):
    return parsed([HEAD + b"Content-Length: %d\r\n\r\n" % length, *pieces])


TINY_CHUNKS = b"1\r\nx\r\n" * 1000


@pytest.mark.parametrize("build", [chunked, lambda *pieces: with_length(1 << 40, *pieces)], ids=["chunked", "length"])
def test_no_more_than_the_limit_is_discarded_of_an_endless_body(build):
    request, reader, client = build(*[TINY_CHUNKS] * 1000)
    before = client.received
    reader.discard(request.body)
    assert has_unread_body(request)
    assert client.received - before == MAX_DISCARDED


def test_discarding_does_not_wait_for_the_rest_of_a_body():
    request, reader, client = with_length(100, b"x" * 50, BlockingIOError, b"x" * 50)
    reader.discard(request.body)
    assert has_unread_body(request)
    assert client.reads == 2


@pytest.mark.parametrize(
    "request_and_reader",
    [with_length(10, b"x" * 10), chunked(b"5\r\nhello\r\n0\r\n\r\n"), parsed([b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"])],
    ids=["length", "chunked", "none"],
)
def test_nothing_is_unread_of_a_short_body_that_has_arrived(request_and_reader):
    request, reader, _ = request_and_reader
    reader.discard(request.body)
    assert not has_unread_body(request)


@pytest.mark.parametrize("build", [chunked, lambda *pieces: with_length(1 << 40, *pieces)], ids=["chunked", "length"])
def test_the_deadline_ends_the_reading_of_a_body_that_keeps_arriving(build):
    request, reader, client = build(*[TINY_CHUNKS] * 1000)
    reader.deadline = time.monotonic()
    before = client.reads
    with pytest.raises(TimeoutError):
        request.body.read(1 << 20)
    assert client.reads == before
    assert has_unread_body(request)


def test_a_body_that_pauses_is_complete():
    request, _, _ = with_length(10, b"x" * 5, TimeoutError, TimeoutError, b"x" * 5)
    assert request.body.read() == b"x" * 10


def test_others_have_their_turn_while_a_body_keeps_arriving():
    request, reader, client = chunked(*[TINY_CHUNKS] * 100)
    request.body.read(90_000)
    assert client.reads >= 90
    assert reader.turns >= client.reads // TURN


def test_others_have_their_turn_between_pipelined_requests():
    reader = Reader(Client([b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 200]))
    parser = RequestParser(Config(), reader, ADDRESS)
    for _ in range(200):
        assert next(parser).path == "/health"
        reader.start_body()
        reader.start_head(pipelined=parser.unreader.buf.getbuffer().nbytes > 0)
    assert reader.turns >= 200 // TURN


def test_a_small_request_yields_no_turn():
    request, reader, _ = with_length(10, b"x" * 10)
    assert request.body.read() == b"x" * 10
    assert reader.turns == 0


@pytest.fixture
def sockets():
    """(the server's socket, the client's)."""
    server, client = socket.socketpair()
    with server, client:
        yield server, client


def test_a_head_that_keeps_arriving_ends_when_it_is_overdue():
    client = Client([b"GET / HTTP/1.1\r\n", *[b"X-A: b\r\n"] * 100])
    reader = GeventReader(client, keepalive=75, waiting={}, closing={})
    parser = RequestParser(Config(), reader, ADDRESS)
    reader.head_due = time.monotonic()
    with pytest.raises(Exception, match="No more data"):
        next(parser)
    assert client.reads == 1


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_head_that_arrives_in_parts_is_parsed_without_waiting(sockets, step):
    server, client = sockets
    reader = ThreadReader(server, set(), threads=4)
    parser = RequestParser(Config(), reader, ADDRESS)
    data, waits = HEAD + b"Content-Length: 2\r\n\r\nok", 0
    parts = [data[at : at + step] for at in range(0, len(data) - 2, step)]
    for part in parts:
        client.sendall(part)
        reader.received = [parser.unreader.buf.getvalue()]
        try:
            request = next(parser)
        except StopIteration:
            waits += 1
            parser.unreader.unread(b"".join(reader.received))
    assert waits == len(parts) - 1
    assert request.path == "/v1/chat/completions"


def test_calls_that_wait_for_their_clients_leave_two_threads_free():
    waits = set()
    readers = [ThreadReader(Client([]), waits, threads=8) for _ in range(7)]
    for reader in readers[:6]:
        reader.wait(holds_call=True)
    with pytest.raises(ConnectionResetError):
        readers[6].wait(holds_call=True)


def test_requests_without_a_call_that_wait_for_their_clients_leave_half_of_the_threads_free():
    waits = set()
    readers = [ThreadReader(Client([]), waits, threads=8) for _ in range(5)]
    for reader in readers[:4]:
        reader.wait()
    with pytest.raises(ConnectionResetError):
        readers[4].wait()
    readers[0].end_wait()
    readers[4].end_wait()
    readers[4].wait()


def test_a_single_thread_may_wait_for_its_client():
    ThreadReader(Client([]), set(), threads=1).wait()
