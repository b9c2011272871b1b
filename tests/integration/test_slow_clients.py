"""Clients that take nothing, or send half of a head, hold nothing for ever."""

import json
import socket
import time
from contextlib import ExitStack, closing

import pytest

from tests.support import servers
from tests.support.environment import KEY, provider_urls
from tests.support.http_client import chat, get, request_head
from tests.support.scripted_upstream import ROLE, streamed, text
from tests.support.servers import eventually

ENDLESS = streamed(ROLE, *[text("x" * 60_000)] * 2000)
"""More than any socket's buffers take."""


@pytest.fixture
def gateway(worker_class, tmp_path, upstream):
    told = {
        "GATEWAY_WORKER_CLASS": worker_class,
        "VALID_API_KEYS": KEY,
        "GRACEFUL_TIMEOUT": "2",
        "GATEWAY_THREADS": "6",
    }
    with servers.gateway(tmp_path, **provider_urls(upstream.url), **told) as server:
        yield server


def deaf(gateway, ident, model, **headers):
    """A client that asks for a stream and reads nothing of it."""
    body = json.dumps(chat(f"openai/{model}", stream=True)).encode()
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", gateway.port))
    client.sendall(request_head(gateway, **{"Content-Length": str(len(body)), "X-Request-Id": ident}, **headers) + body)
    return client


def test_a_client_that_takes_nothing_is_given_up_when_its_time_is_over(gateway, upstream):
    model = upstream.model(ENDLESS)
    with closing(deaf(gateway, "deaf-in-time", model, **{"x-gateway-timeout": "1"})):
        (call,) = eventually(lambda: upstream.calls[model], 10)
        assert eventually(lambda: call.end, 5) == "client-gone"
        assert gateway.log("deaf-in-time")["outcome"] == "client_disconnected"
        assert eventually(lambda: get(gateway, "/health/ready").json()["calls"]["held"] == 0)


def test_a_client_that_takes_nothing_has_its_line_in_the_log_when_the_process_ends(gateway, upstream):
    model = upstream.model(ENDLESS)
    with closing(deaf(gateway, "deaf-at-the-end", model)):
        assert eventually(lambda: upstream.calls[model], 10)
        time.sleep(0.5)
        gateway.process.terminate()
        gateway.process.wait(30)
    assert gateway.log("deaf-at-the-end")["outcome"] == "client_disconnected"


def test_a_client_that_reads_late_gets_it_all(gateway, upstream):
    model = upstream.model(streamed(ROLE, *[text("x" * 60_000)] * 40, b"data: [DONE]\n\n"))
    heard = b""
    with closing(deaf(gateway, "late-reader", model)) as client:
        time.sleep(1.5)
        while piece := client.recv(1 << 20):
            heard += piece
            if b"0\r\n\r\n" in heard[-10:]:
                break
    assert heard.count(b"x" * 60_000) == 40


@pytest.mark.parametrize("worker_class", ["gthread"], indirect=True)
def test_half_a_head_does_not_hold_a_thread(gateway):
    with ExitStack() as stack:
        for _ in range(6):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port)))
            client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n")
        assert get(gateway, "/health/live").status_code == 200, "while all of them are still there"
