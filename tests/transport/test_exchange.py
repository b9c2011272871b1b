"""The transport against real sockets: an upstream that is scripted, byte for byte."""

import math
import socket
import threading
import time
from contextlib import closing

import pytest
import requests

from gateway.errors import ClientDisconnected
from gateway.stream_events import PAUSE, Pause
from gateway.transport.client_watch import ClientWatch
from gateway.transport.http_transport import Transport, WatchingAdapter
from gateway.transport.pool import Pool, tls_context
from tests.support.socket_upstream import OK, Upstream


@pytest.fixture
def upstream():
    made = []

    def make(script):
        made.append(Upstream(script))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def transport():
    adapter = WatchingAdapter(Pool(5, tls_context(None), {}, ""))
    yield Transport({"http://": adapter})
    adapter.close()


def read(exchange) -> bytes:
    with closing(exchange):
        assert list(exchange.wait_for_headers()) == []
        return b"".join(block for block in exchange.blocks() if not isinstance(block, Pause))


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
def test_a_body_arrives_whole_however_it_is_framed_and_cut(upstream, transport, wire, size):
    def script(connection, _number):
        for start in range(0, len(wire), size):
            connection.sendall(wire[start : start + size])
        if b"connection: close" in wire:
            connection.shutdown(socket.SHUT_RDWR)

    server = upstream(script)
    assert read(transport.open(server.url, {}, b"{}", ClientWatch())) == b"hellohello"
    exchange = transport.open(server.url, {}, b"{}", ClientWatch())
    with closing(exchange):
        list(exchange.wait_for_headers())
        assert exchange.read_body() == b"hellohello"


@pytest.mark.parametrize(
    "wire", [OK + b"content-length: 5\r\n\r\nhello", OK + b"transfer-encoding: chunked\r\n\r\n" + chunked(b"hello")]
)
def test_a_connection_is_used_again_when_its_answer_was_read_to_the_end(upstream, transport, wire):
    server = upstream(lambda connection, _: connection.sendall(wire))
    for _ in range(3):
        assert read(transport.open(server.url, {}, b"{}", ClientWatch())) == b"hello"
    assert server.connections == 1


def test_a_connection_is_not_used_again_when_its_answer_was_left_unread(upstream, transport):
    server = upstream(lambda connection, _: connection.sendall(OK + b"content-length: 9\r\n\r\nhello"))
    for _ in range(2):
        exchange = transport.open(server.url, {}, b"{}", ClientWatch())
        list(exchange.wait_for_headers())
        exchange.close()
    assert server.connections == 2


def test_a_kept_connection_that_the_upstream_closed_costs_no_attempt(upstream, transport):
    def script(connection, _number):
        connection.sendall(OK + b"content-length: 5\r\n\r\nhello")
        connection.shutdown(socket.SHUT_RDWR)

    server = upstream(script)
    for _ in range(3):
        assert read(transport.open(server.url, {}, b"{}", ClientWatch())) == b"hello"


def test_a_kept_connection_that_closes_upon_the_next_request_is_replaced_once(upstream, transport):
    def script(connection, number):
        if number == 1 and len(server.requests) == 2:
            connection.shutdown(socket.SHUT_RDWR)
            return
        connection.sendall(OK + b"content-length: 5\r\n\r\nhello")

    server = upstream(script)
    for _ in range(2):
        assert read(transport.open(server.url, {}, b"{}", ClientWatch())) == b"hello"
    assert (server.connections, len(server.requests)) == (2, 3)


def test_a_new_connection_that_closes_without_an_answer_is_an_error(upstream, transport):
    server = upstream(lambda connection, _: connection.shutdown(socket.SHUT_RDWR))
    with pytest.raises(requests.ConnectionError):
        read(transport.open(server.url, {}, b"{}", ClientWatch()))


@pytest.mark.parametrize(
    "wire",
    [
        OK + b"content-length: 50\r\n\r\nhello",
        OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        OK + b"transfer-encoding: chunked\r\n\r\n9\r\nhello",
    ],
)
def test_a_body_that_breaks_off_is_an_error_after_what_came(upstream, transport, wire):
    def script(connection, _number):
        connection.sendall(wire)
        connection.shutdown(socket.SHUT_RDWR)

    exchange = transport.open(upstream(script).url, {}, b"{}", ClientWatch())
    with closing(exchange):
        list(exchange.wait_for_headers())
        came = []
        with pytest.raises(requests.RequestException):
            came.extend(exchange.blocks())
    assert b"".join(block for block in came if not isinstance(block, Pause)) in (b"hello", b"")


def test_silence_is_a_pause_before_the_head_and_between_blocks(upstream, transport):
    def script(connection, _number):
        time.sleep(0.3)
        connection.sendall(OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
        time.sleep(0.3)
        connection.sendall(b"0\r\n\r\n")

    watch = ClientWatch(yield_at=time.monotonic() + 0.1)
    exchange = transport.open(upstream(script).url, {}, b"{}", watch)
    with closing(exchange):
        head = exchange.wait_for_headers()
        assert next(head) is PAUSE
        watch.yield_at = math.inf
        assert list(head) == []
        blocks = exchange.blocks()
        assert next(blocks) == b"hello"
        watch.yield_at = time.monotonic() + 0.05
        assert next(blocks) is PAUSE
        watch.yield_at = math.inf
        assert list(blocks) in ([], [b""])


def test_the_deadline_is_for_all_of_a_call_even_if_it_trickles(upstream, transport):
    def script(connection, _number):
        connection.sendall(OK + b"content-length: 1000\r\n\r\n")
        for _ in range(200):
            connection.sendall(b"x")
            time.sleep(0.02)

    exchange = transport.open(upstream(script).url, {}, b"{}", ClientWatch(deadline=time.monotonic() + 0.3))
    with closing(exchange):
        list(exchange.wait_for_headers())
        with pytest.raises(requests.ReadTimeout):
            exchange.read_body()


@pytest.mark.parametrize("leave", ["close", "reset", "half-close"])
def test_a_client_that_leaves_ends_the_wait_for_a_silent_upstream(upstream, transport, leave):
    ours, clients = socket.create_server(("127.0.0.1", 0)), socket.socket()
    clients.connect(ours.getsockname())
    served, _ = ours.accept()
    gone = threading.Event()

    def script(connection, _number):
        gone.set() if connection.recv(1) == b"" else None

    def go():
        time.sleep(0.1)
        if leave == "half-close":
            clients.shutdown(socket.SHUT_WR)
            return
        if leave == "reset":
            clients.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        clients.close()

    exchange = transport.open(upstream(script).url, {}, b"{}", ClientWatch(client=served))
    threading.Thread(target=go).start()
    with closing(ours), closing(served), closing(clients), closing(exchange), pytest.raises(ClientDisconnected):
        list(exchange.wait_for_headers())
    assert gone.wait(5)


def test_a_pipelined_request_is_no_hang_up_and_a_hang_up_behind_it_is_seen(upstream, transport):
    ours, clients = socket.create_server(("127.0.0.1", 0)), socket.socket()
    clients.connect(ours.getsockname())
    served, _ = ours.accept()
    clients.sendall(b"GET / HTTP/1.1\r\n\r\n")

    def script(connection, _number):
        time.sleep(0.5)
        connection.sendall(OK + b"content-length: 9\r\n\r\nhello")
        connection.recv(1)

    exchange = transport.open(upstream(script).url, {}, b"{}", ClientWatch(client=served))
    with closing(ours), closing(served), closing(exchange):
        list(exchange.wait_for_headers())
        clients.close()
        with pytest.raises(ClientDisconnected):
            exchange.read_body()


def test_an_answer_before_the_body_was_read_is_heard(transport):
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        connection, _ = listener.accept()
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbig")
        time.sleep(0.5)
        connection.close()

    threading.Thread(target=serve, daemon=True).start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    exchange = transport.open(url, {}, b"x" * (1 << 16), ClientWatch(deadline=time.monotonic() + 5))
    with closing(listener), closing(exchange):
        list(exchange.wait_for_headers())
        assert (exchange.status, exchange.read_body()) == (413, b"big")


def test_a_header_cannot_break_out_of_its_line(transport):
    with pytest.raises(requests.exceptions.InvalidHeader):
        transport.open("http://127.0.0.1:9/", {"x": "a\r\ny: b"}, b"", ClientWatch())


def test_requests_own_interface_gives_a_whole_answer(upstream, transport):
    server = upstream(lambda connection, _: connection.sendall(OK + b"content-length: 5\r\n\r\nhello"))
    response = transport.session.get(server.url, timeout=5)
    assert (response.status_code, response.text, response.headers["Content-Type"]) == (200, "hello", "text/plain")
    assert server.requests[0].startswith(b"GET /v1/x HTTP/1.1\r\n")


def test_a_compressed_answer_is_unpacked(upstream, transport):
    import gzip

    body = gzip.compress(b"hello" * 100)
    wire = OK + b"content-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n" + chunked(body[:7], body[7:])
    server = upstream(lambda connection, _: connection.sendall(wire))
    assert read(transport.open(server.url, {}, b"{}", ClientWatch())) == b"hello" * 100


def test_a_large_request_to_a_slow_reader_is_sent_whole(transport):
    listener, got = socket.create_server(("127.0.0.1", 0)), []

    def serve():
        connection, _ = listener.accept()
        with connection:
            while sum(map(len, got)) < (8 << 20) + 100:
                got.append(connection.recv(1 << 18))
                time.sleep(0.001)
            connection.sendall(OK + b"content-length: 2\r\n\r\nok")

    threading.Thread(target=serve, daemon=True).start()
    exchange = transport.open(
        f"http://127.0.0.1:{listener.getsockname()[1]}/", {"X": "y" * 60}, b"x" * (8 << 20), ClientWatch()
    )
    with closing(listener):
        assert read(exchange) == b"ok"
    assert b"".join(got).endswith(b"x" * (8 << 20))


def test_an_upstream_that_does_not_read_leaves_time_for_pauses_and_for_a_client_that_leaves(transport):
    listener = socket.create_server(("127.0.0.1", 0))
    watch = ClientWatch(yield_at=time.monotonic() + 0.2)
    exchange = transport.open(f"http://127.0.0.1:{listener.getsockname()[1]}/", {}, b"x" * (32 << 20), watch)
    ours, clients = socket.create_server(("127.0.0.1", 0)), socket.socket()
    clients.connect(ours.getsockname())
    watch.client, _ = ours.accept()
    with closing(listener), closing(ours), closing(watch.client), closing(exchange):
        head = exchange.wait_for_headers()
        assert next(head) is PAUSE
        watch.yield_at = math.inf
        clients.close()
        with pytest.raises(ClientDisconnected):
            next(head)


def test_a_connection_is_dropped_by_close_even_if_a_line_end_is_late(upstream, transport):
    gone = threading.Event()

    def script(connection, _number):
        connection.sendall(OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello")
        gone.set() if connection.recv(1) == b"" else None

    exchange = transport.open(upstream(script).url, {}, b"{}", ClientWatch())
    list(exchange.wait_for_headers())
    exchange.close()
    assert gone.wait(5)


def test_an_answer_to_a_body_that_the_upstream_will_not_read_is_heard_without_a_spin(upstream, transport):
    """It keeps the connection open, reads no more, and the gateway's own buffers are full."""
    done = threading.Event()

    def script(connection, _number):
        connection.sendall(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig")
        done.wait(30)

    server = upstream(script)
    exchange = transport.open(server.url, {}, b"x" * (32 << 20), ClientWatch(deadline=time.monotonic() + 10))
    with closing(exchange):
        assert list(exchange.wait_for_headers()) == []
        assert (exchange.status, exchange.read_body()) == (413, b"big")
    done.set()
    with closing(transport.open(server.url, {}, b"{}", ClientWatch(deadline=time.monotonic() + 10))) as again:
        list(again.wait_for_headers())
    assert server.connections == 2, "a request that was not sent whole leaves no connection for the next"


def test_an_upstream_that_says_nothing_while_it_does_not_read_costs_no_time(transport):
    listener = socket.create_server(("127.0.0.1", 0))
    watch = ClientWatch(deadline=time.monotonic() + 1)
    exchange = transport.open(f"http://127.0.0.1:{listener.getsockname()[1]}/", {}, b"x" * (32 << 20), watch)
    spent = time.thread_time()
    with closing(listener), closing(exchange), pytest.raises(requests.ReadTimeout):
        list(exchange.wait_for_headers())
    assert time.thread_time() - spent < 0.5
