"""Clients that stop reading, or that send an incomplete request, hold no resource for long."""

import json
import socket
import threading
import time
from contextlib import ExitStack, closing, suppress

import pytest

from gateway.server.client_reader import HEAD_TIMEOUT
from tests.support import servers
from tests.support.environment import KEY, provider_urls
from tests.support.http_client import chat_request, get, request_head
from tests.support.scripted_upstream import ROLE, sse_response, text_chunk
from tests.support.servers import wait_until

# More than the buffers of any socket hold.
LARGE_STREAM = sse_response(ROLE, *[text_chunk("x" * 60_000)] * 2000)


@pytest.fixture
def gateway(worker_class, tmp_path, scripted_upstream):
    environ = {
        "GATEWAY_WORKER_CLASS": worker_class,
        "VALID_API_KEYS": KEY,
        "GRACEFUL_TIMEOUT": "2",
        "GATEWAY_THREADS": "6",
    }
    with servers.run_gateway(tmp_path, **provider_urls(scripted_upstream.url), **environ) as server:
        yield server


def request_without_reading(gateway, request_id, model, **headers):
    """Return the socket of a client that requested a stream and reads nothing."""
    body = json.dumps(chat_request(f"openai/{model}", stream=True)).encode()
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", gateway.port))
    client.sendall(
        request_head(gateway, **{"Content-Length": str(len(body)), "X-Request-Id": request_id}, **headers) + body
    )
    return client


def test_a_client_that_reads_nothing_is_dropped_after_the_timeout(gateway, scripted_upstream):
    model = scripted_upstream.add_model(LARGE_STREAM)
    with closing(request_without_reading(gateway, "timeout", model, **{"x-gateway-timeout": "1"})):
        (call,) = wait_until(lambda: scripted_upstream.calls[model], 10)
        assert wait_until(lambda: call.outcome, 5) == "aborted"
        assert gateway.request_log("timeout")["outcome"] == "client_disconnected"
        assert wait_until(lambda: get(gateway, "/health/ready").json()["calls"]["held"] == 0)


def test_a_client_that_reads_nothing_has_a_log_line_when_the_process_exits(gateway, scripted_upstream):
    model = scripted_upstream.add_model(LARGE_STREAM)
    with closing(request_without_reading(gateway, "shutdown", model)):
        assert wait_until(lambda: scripted_upstream.calls[model], 10)
        time.sleep(0.5)
        gateway.process.terminate()
        gateway.process.wait(30)
    assert gateway.request_log("shutdown")["outcome"] == "client_disconnected"


def test_a_client_that_reads_late_receives_the_complete_stream(gateway, scripted_upstream):
    model = scripted_upstream.add_model(sse_response(ROLE, *[text_chunk("x" * 60_000)] * 40, b"data: [DONE]\n\n"))
    received = b""
    with closing(request_without_reading(gateway, "late-reader", model)) as client:
        time.sleep(1.5)
        while data := client.recv(1 << 20):
            received += data
            if b"0\r\n\r\n" in received[-10:]:
                break
    assert received.count(b"x" * 60_000) == 40


MANY = 40  # more than the threads of the gateway
HALF_HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
STALLED = {
    "idle": b"",
    "half a head": HALF_HEAD,
    "half a body without a key": HALF_HEAD + b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
    "half a body": HALF_HEAD
    + b"Authorization: Bearer %b\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{" % KEY.encode(),
    "unread responses": b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n" * 8,
}


@pytest.mark.parametrize("sent", STALLED.values(), ids=STALLED)
def test_health_is_answered_beside_many_stalled_clients(gateway, sent):
    with ExitStack() as stack:
        for _ in range(MANY):
            client = stack.enter_context(closing(socket.socket()))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", gateway.port))
            client.sendall(sent)
        for _ in range(3):
            assert get(gateway, "/health/live").status_code == 200, "while all of them are connected"


def until_closed(client):
    """Return the seconds until the server closes the connection."""
    started = time.monotonic()
    with suppress(ConnectionResetError):
        while client.recv(65536):
            pass
    return time.monotonic() - started


@pytest.mark.parametrize("keepalive", ["0", "75"])
def test_an_incomplete_head_is_closed_after_its_timeout(tmp_path, worker_class, keepalive):
    with (
        servers.run_gateway(tmp_path, GATEWAY_WORKER_CLASS=worker_class, KEEPALIVE=keepalive) as gateway,
        socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as idle,
        socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as client,
    ):
        client.sendall(HALF_HEAD)
        assert until_closed(client) >= HEAD_TIMEOUT - 1
        until_closed(idle)


ENDLESS = {
    "chunks of one byte": ("Transfer-Encoding: chunked", b"1\r\nx\r\n" * 100_000),
    "chunks": ("Transfer-Encoding: chunked", (b"10000\r\n" + b"x" * 65536 + b"\r\n") * 16),
    "length": ("Content-Length: 999999999999", b"x" * (1 << 20)),
}


@pytest.mark.parametrize(("header", "data"), ENDLESS.values(), ids=ENDLESS)
def test_an_endless_body_without_a_key_is_cut_off_after_the_response(gateway, header, data):
    """What the gateway does not read stays in the buffers of the two sockets."""
    sent = 0
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as client:
        client.sendall(HALF_HEAD + f"Content-Type: application/json\r\n{header}\r\n\r\n".encode())
        head = client.recv(65536)
        with suppress(BrokenPipeError, ConnectionResetError):
            while sent < 64 << 20:
                client.sendall(data)
                sent += len(data)
    assert head.startswith(b"HTTP/1.1 401 ")
    assert b"\r\nConnection: close\r\n" in head
    assert sent < 32 << 20


def send_until_closed(client, data):
    with suppress(OSError):
        while True:
            client.sendall(data)


@pytest.mark.parametrize("path", ["/health", "/nothing"])
def test_pipelined_requests_without_end_leave_turns_to_others(gateway, path):
    requests = b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode() * 200
    with closing(socket.create_connection(("127.0.0.1", gateway.port))) as client:
        threads = [
            threading.Thread(target=send_until_closed, args=(client, requests)),
            threading.Thread(target=until_closed, args=(client,)),
        ]
        for thread in threads:
            thread.start()
        try:
            assert [get(gateway, "/health/live").status_code for _ in range(5)] == [200] * 5
        finally:
            client.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


def test_a_refused_request_whose_body_has_arrived_keeps_its_connection(gateway):
    head = HALF_HEAD + b"Content-Type: application/json\r\nContent-Length: 10000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
        for _ in range(3):
            client.sendall(head + b"x" * 10_000)
            response = client.recv(65536)
            assert response.startswith(b"HTTP/1.1 401 ")
            assert b"\r\nConnection: keep-alive\r\n" in response
