"""Exchanges, against an upstream whose every byte is scripted."""

import gzip
import math
import socket
import threading
import time
from contextlib import ExitStack, closing, contextmanager

import pytest
import requests

from gateway.errors import ClientDisconnected, ShuttingDown
from gateway.server.shutdown import Shutdown
from gateway.stream_events import PAUSE, Pause
from gateway.transport.client_watch import ClientWatch
from gateway.transport.connect import Origin
from gateway.transport.failures import TransportFailure
from gateway.transport.http_transport import Transport, WatchingAdapter
from gateway.transport.pool import Connection, Pool, tls_context
from gateway.transport.upstream_wait import TOTAL, TURN_SIZE, DeadlinePassed, UpstreamWait
from tests.support.socket_upstream import OK, Upstream, connected_client, listening


@pytest.fixture
def upstream():
    """Starts an upstream that runs this script after each request."""
    with ExitStack() as stack:
        yield lambda script: stack.enter_context(closing(Upstream(script)))


@pytest.fixture
def transport():
    adapter = WatchingAdapter(Pool(5, tls_context(None), {}, ""))
    yield Transport({"http://": adapter})
    adapter.close()


def read(exchange) -> bytes:
    with closing(exchange):
        assert list(exchange.wait_for_headers()) == []
        return b"".join(block for block in exchange.blocks() if not isinstance(block, Pause))


@contextmanager
def fails(kind):
    """What runs within it fails with this kind."""
    with pytest.raises(TransportFailure) as caught:
        yield
    assert caught.value.kind == kind


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))


@pytest.mark.parametrize(
    "wire",
    [
        OK + b"content-length: 10\r\n\r\nhellohello",
        OK + b"transfer-encoding: chunked\r\n\r\n" + chunked(b"hello", b"h", b"ello"),
        OK + b"connection: close\r\n\r\nhellohello",
    ],
    ids=["length", "chunked", "until-close"],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_body_arrives_complete_however_it_is_framed_and_split(upstream, transport, wire, size):
    def script(connection, _number):
        for start in range(0, len(wire), size):
            connection.sendall(wire[start : start + size])
        if b"connection: close" in wire:
            connection.shutdown(socket.SHUT_RDWR)

    server = upstream(script)
    assert read(transport.open(server.url, {}, b"{}", UpstreamWait())) == b"hellohello"
    exchange = transport.open(server.url, {}, b"{}", UpstreamWait())
    with closing(exchange):
        list(exchange.wait_for_headers())
        assert exchange.read_body() == b"hellohello"


@pytest.mark.parametrize(
    "wire", [OK + b"content-length: 5\r\n\r\nhello", OK + b"transfer-encoding: chunked\r\n\r\n" + chunked(b"hello")]
)
def test_a_connection_is_used_again_when_its_response_was_read_to_the_end(upstream, transport, wire):
    server = upstream(lambda connection, _: connection.sendall(wire))
    for _ in range(3):
        assert read(transport.open(server.url, {}, b"{}", UpstreamWait())) == b"hello"
    assert server.connections == 1


def test_a_connection_is_not_used_again_when_its_response_was_not_read(upstream, transport):
    server = upstream(lambda connection, _: connection.sendall(OK + b"content-length: 9\r\n\r\nhello"))
    for _ in range(2):
        exchange = transport.open(server.url, {}, b"{}", UpstreamWait())
        list(exchange.wait_for_headers())
        exchange.close()
    assert server.connections == 2


def test_an_idle_connection_that_the_upstream_closed_fails_no_request(upstream, transport):
    def script(connection, _number):
        connection.sendall(OK + b"content-length: 5\r\n\r\nhello")
        connection.shutdown(socket.SHUT_RDWR)

    server = upstream(script)
    for _ in range(3):
        assert read(transport.open(server.url, {}, b"{}", UpstreamWait())) == b"hello"


def test_an_idle_connection_that_is_closed_upon_the_next_request_is_replaced_once(upstream, transport):
    def script(connection, number):
        if number == 1 and len(server.requests) == 2:
            connection.shutdown(socket.SHUT_RDWR)
            return
        connection.sendall(OK + b"content-length: 5\r\n\r\nhello")

    server = upstream(script)
    for _ in range(2):
        assert read(transport.open(server.url, {}, b"{}", UpstreamWait())) == b"hello"
    assert (server.connections, len(server.requests)) == (2, 3)


def test_a_new_connection_that_is_closed_without_a_response_is_a_failure(upstream, transport):
    server = upstream(lambda connection, _: connection.shutdown(socket.SHUT_RDWR))
    with fails("connection"):
        read(transport.open(server.url, {}, b"{}", UpstreamWait()))


@pytest.mark.parametrize(
    "wire",
    [
        OK + b"content-length: 50\r\n\r\nhello",
        OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        OK + b"transfer-encoding: chunked\r\n\r\n9\r\nhello",
    ],
)
def test_a_truncated_body_is_a_failure_after_what_arrived_of_it(upstream, transport, wire):
    def script(connection, _number):
        connection.sendall(wire)
        connection.shutdown(socket.SHUT_RDWR)

    exchange = transport.open(upstream(script).url, {}, b"{}", UpstreamWait())
    with closing(exchange):
        list(exchange.wait_for_headers())
        blocks = []
        with fails("truncated"):
            blocks.extend(exchange.blocks())
    assert b"".join(block for block in blocks if not isinstance(block, Pause)) in (b"hello", b"")


def test_a_silent_upstream_yields_pauses_before_the_headers_and_between_blocks(upstream, transport):
    def script(connection, _number):
        time.sleep(0.3)
        connection.sendall(OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
        time.sleep(0.3)
        connection.sendall(b"0\r\n\r\n")

    wait = UpstreamWait(ClientWatch(yield_at=time.monotonic() + 0.1))
    exchange = transport.open(upstream(script).url, {}, b"{}", wait)
    with closing(exchange):
        headers = exchange.wait_for_headers()
        assert next(headers) is PAUSE
        wait.watch.yield_at = math.inf
        assert list(headers) == []
        blocks = exchange.blocks()
        assert next(blocks) == b"hello"
        wait.watch.yield_at = time.monotonic() + 0.05
        assert next(blocks) is PAUSE
        wait.watch.yield_at = math.inf
        assert list(blocks) in ([], [b""])


def test_the_deadline_bounds_a_response_that_trickles(upstream, transport):
    def script(connection, _number):
        connection.sendall(OK + b"content-length: 1000\r\n\r\n")
        for _ in range(200):
            connection.sendall(b"x")
            time.sleep(0.02)

    exchange = transport.open(upstream(script).url, {}, b"{}", UpstreamWait(deadline=time.monotonic() + 0.3))
    with closing(exchange):
        list(exchange.wait_for_headers())
        with fails("timeout"):
            exchange.read_body()


@pytest.mark.parametrize("way", ["close", "reset", "half-close"])
def test_a_client_that_disconnects_ends_the_wait_for_a_silent_upstream(upstream, transport, way):
    closed = threading.Event()

    def script(connection, _number):
        closed.set() if connection.recv(1) == b"" else None

    def disconnect(client):
        time.sleep(0.1)
        if way == "half-close":
            client.shutdown(socket.SHUT_WR)
            return
        if way == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()

    with connected_client() as (client, accepted):
        exchange = transport.open(upstream(script).url, {}, b"{}", UpstreamWait(ClientWatch(client=accepted)))
        threading.Thread(target=disconnect, args=(client,)).start()
        with closing(exchange), pytest.raises(ClientDisconnected):
            list(exchange.wait_for_headers())
    assert closed.wait(5)


def test_a_pipelined_request_is_no_disconnect_but_a_disconnect_after_it_is_noticed(upstream, transport):
    def script(connection, _number):
        time.sleep(0.5)
        connection.sendall(OK + b"content-length: 9\r\n\r\nhello")
        connection.recv(1)

    with connected_client() as (client, accepted):
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        exchange = transport.open(upstream(script).url, {}, b"{}", UpstreamWait(ClientWatch(client=accepted)))
        with closing(exchange):
            list(exchange.wait_for_headers())
            client.close()
            with pytest.raises(ClientDisconnected):
                exchange.read_body()


def test_the_end_of_the_grace_period_ends_the_wait_for_a_silent_upstream(upstream, transport):
    shutdown = Shutdown()
    wait = UpstreamWait(ClientWatch(shutdown=shutdown, yield_at=time.monotonic() + 0.1))
    exchange = transport.open(upstream(lambda connection, _: connection.recv(1)).url, {}, b"{}", wait)
    with closing(exchange):
        headers = exchange.wait_for_headers()
        assert next(headers) is PAUSE
        shutdown.start(0)
        with pytest.raises(ShuttingDown):
            next(headers)


def test_a_response_that_comes_before_the_request_was_read_is_received(transport):
    def script(connection):
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbig")
        time.sleep(0.5)

    with listening(script) as port:
        wait = UpstreamWait(deadline=time.monotonic() + 5)
        exchange = transport.open(f"http://127.0.0.1:{port}/", {}, b"x" * (1 << 16), wait)
        with closing(exchange):
            list(exchange.wait_for_headers())
            assert (exchange.status, exchange.read_body()) == (413, b"big")


def test_a_header_with_a_line_end_is_not_sent(transport):
    with fails("invalid_response"):
        transport.open("http://127.0.0.1:9/", {"x": "a\r\ny: b"}, b"", UpstreamWait())


def test_the_interface_of_requests_returns_a_whole_response(upstream, transport):
    server = upstream(lambda connection, _: connection.sendall(OK + b"content-length: 5\r\n\r\nhello"))
    response = transport.session.get(server.url, timeout=5)
    assert (response.status_code, response.text, response.headers["Content-Type"]) == (200, "hello", "text/plain")
    assert server.requests[0].startswith(b"GET /v1/x HTTP/1.1\r\n")


def test_the_interface_of_requests_raises_errors_of_requests(upstream, transport):
    server = upstream(lambda connection, _: connection.sendall(b"SSH-2.0-x\r\n\r\n"))
    with fails("invalid_response"):
        transport.session.get(server.url, timeout=5)
    server = upstream(lambda connection, _: connection.recv(1))
    with pytest.raises(requests.RequestException, match="timeout"):
        transport.session.get(server.url, timeout=0.2)


def test_a_compressed_body_is_decompressed(upstream, transport):
    body = gzip.compress(b"hello" * 100)
    wire = OK + b"content-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n" + chunked(body[:7], body[7:])
    server = upstream(lambda connection, _: connection.sendall(wire))
    assert read(transport.open(server.url, {}, b"{}", UpstreamWait())) == b"hello" * 100


def test_a_large_request_to_an_upstream_that_reads_slowly_is_sent_completely(transport):
    received = []

    def script(connection):
        while sum(map(len, received)) < (8 << 20) + 100:
            received.append(connection.recv(1 << 18))
            time.sleep(0.001)
        connection.sendall(OK + b"content-length: 2\r\n\r\nok")

    with listening(script) as port:
        exchange = transport.open(f"http://127.0.0.1:{port}/", {"X": "y" * 60}, b"x" * (8 << 20), UpstreamWait())
        assert read(exchange) == b"ok"
    assert b"".join(received).endswith(b"x" * (8 << 20))


def test_an_upstream_that_does_not_read_allows_pauses_and_a_disconnect_of_the_client(transport):
    with closing(socket.create_server(("127.0.0.1", 0))) as listener, connected_client() as (client, accepted):
        wait = UpstreamWait(ClientWatch(client=accepted, yield_at=time.monotonic() + 0.2))
        exchange = transport.open(f"http://127.0.0.1:{listener.getsockname()[1]}/", {}, b"x" * (32 << 20), wait)
        with closing(exchange):
            headers = exchange.wait_for_headers()
            assert next(headers) is PAUSE
            wait.watch.yield_at = math.inf
            client.close()
            with pytest.raises(ClientDisconnected):
                next(headers)


def test_an_exchange_that_is_closed_before_the_end_of_a_chunk_closes_its_connection(upstream, transport):
    closed = threading.Event()

    def script(connection, _number):
        connection.sendall(OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello")
        closed.set() if connection.recv(1) == b"" else None

    exchange = transport.open(upstream(script).url, {}, b"{}", UpstreamWait())
    list(exchange.wait_for_headers())
    exchange.close()
    assert closed.wait(5)


def test_a_response_to_a_request_that_the_upstream_does_not_read_is_received(upstream, transport):
    """The upstream keeps the connection open and reads no more, and the system's send buffer is full."""
    done = threading.Event()

    def script(connection, _number):
        connection.sendall(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig")
        done.wait(30)

    server = upstream(script)
    exchange = transport.open(server.url, {}, b"x" * (32 << 20), UpstreamWait(deadline=time.monotonic() + 10))
    with closing(exchange):
        assert list(exchange.wait_for_headers()) == []
        assert (exchange.status, exchange.read_body()) == (413, b"big")
    done.set()
    with closing(transport.open(server.url, {}, b"{}", UpstreamWait(deadline=time.monotonic() + 10))) as following:
        list(following.wait_for_headers())
    assert server.connections == 2, "a connection with an unsent rest of a request was used again"


def test_an_upstream_that_neither_reads_nor_responds_costs_no_processor_time(transport):
    wait = UpstreamWait(deadline=time.monotonic() + 1)
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        exchange = transport.open(f"http://127.0.0.1:{listener.getsockname()[1]}/", {}, b"x" * (32 << 20), wait)
        before = time.thread_time()
        with closing(exchange), fails("timeout"):
            list(exchange.wait_for_headers())
    assert time.thread_time() - before < 0.5


@pytest.mark.parametrize(
    "surplus", [OK + b"content-length: 6\r\n\r\nsecret", b"HTTP/1.1 408 Request Timeout\r\n\r\n", b"x"]
)
def test_what_arrives_late_on_an_idle_connection_reaches_no_other_request(upstream, transport, surplus):
    arrived = threading.Event()

    def script(connection, number):
        connection.sendall(OK + b"content-length: 5\r\n\r\nhello")
        if number == 1:
            connection.sendall(surplus)
            arrived.set()

    server = upstream(script)
    assert read(transport.open(server.url, {}, b"{}", UpstreamWait())) == b"hello"
    assert arrived.wait(5)
    assert read(transport.open(server.url, {}, b"{}", UpstreamWait())) == b"hello"
    assert server.connections == 2


def test_a_connection_on_which_anything_is_unread_or_that_has_ended_takes_no_request():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)  # as connecting leaves it
    with closing(ours), closing(theirs):
        connection = Connection(Origin("http", "x.example", 80), ours)
        assert connection.is_silent()
        theirs.sendall(b"H")
        assert not connection.is_silent()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)  # as connecting leaves it
    with closing(ours):
        theirs.close()
        assert not Connection(Origin("http", "x.example", 80), ours).is_silent()


class Flood:
    """An upstream that is always readable."""

    sock = None

    def __init__(self, piece):
        self.piece, self.reads = piece, 0

    def read(self, size, timeout):
        self.reads += 1
        return self.piece[:size]


def test_bytes_that_never_end_do_not_postpone_the_deadline():
    wait, flood = UpstreamWait(deadline=time.monotonic() + 0.05, deadline_kind=TOTAL), Flood(b": ping\n\n")

    def read_on():
        while True:
            wait.receive(flood, 65536, math.inf)

    with pytest.raises(DeadlinePassed):
        read_on()
    assert flood.reads > 1


def test_a_read_that_never_waits_lets_other_threads_have_their_turn():
    turns = []
    wait, flood = UpstreamWait(), Flood(b"x" * 1024)
    for _ in range(4 * TURN_SIZE // 1024):
        wait.receive(flood, 65536, math.inf)
        turns.append(wait.unyielded == 0)
    assert sum(turns) == 4


@pytest.mark.parametrize("size", [100, 50_000_000])
def test_a_compressed_stream_is_passed_on_in_pieces_of_bounded_size(upstream, transport, size):
    body = gzip.compress(b" " * size)
    head = OK + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body)
    exchange = transport.open(
        upstream(lambda connection, _: connection.sendall(head + body)).url, {}, b"{}", UpstreamWait()
    )
    with closing(exchange):
        list(exchange.wait_for_headers())
        sizes = [len(block) for block in exchange.blocks() if block is not PAUSE]
    assert sum(sizes) == size
    assert max(sizes) <= 1 << 16


def test_decompression_does_not_postpone_the_deadline(upstream, transport):
    body = gzip.compress(b" " * 50_000_000)
    head = OK + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body)
    wait = UpstreamWait(deadline=time.monotonic() + 10)
    exchange = transport.open(upstream(lambda connection, _: connection.sendall(head + body)).url, {}, b"{}", wait)
    with closing(exchange):
        list(exchange.wait_for_headers())
        blocks = exchange.blocks()
        next(blocks)
        wait.deadline = 0.0
        with fails("timeout"):
            list(blocks)
