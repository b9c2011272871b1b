"""Clients that stop reading, or that send an incomplete request, hold no resource for long."""

import json
import socket
import time
from contextlib import ExitStack, closing

import pytest

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


@pytest.mark.parametrize("worker_class", ["gthread"], indirect=True)
def test_an_incomplete_request_head_holds_no_thread(gateway):
    with ExitStack() as stack:
        for _ in range(6):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port)))
            client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n")
        assert get(gateway, "/health/live").status_code == 200, "while all of them are connected"
