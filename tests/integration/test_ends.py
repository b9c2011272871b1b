"""A worker that ends, and connections that end: whoever connected is answered, whoever comes later is refused, nobody waits."""

import json
import signal
import socket
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import requests

from tests.support import servers
from tests.support.http_client import CHAT, chat, opened, request_head
from tests.support.servers import PATIENCE, eventually

CLIENTS = 30
GRACE = 20
RESET = b"reset"
UNLUCKY = 3
"""Who may connect in the instant between the last accept and the close: the kernel has no way to do both at once. It was
each client, at each end."""


@pytest.fixture
def ending(tmp_path, worker_class):
    environ = {"GATEWAY_WORKER_CLASS": worker_class, "GATEWAY_THREADS": "100", "GRACEFUL_TIMEOUT": str(GRACE)}
    with servers.gateway(tmp_path, **environ, GATEWAY_ECHO_PACE="0.3") as server:
        yield server


def asked(server):
    body = json.dumps(chat()).encode()
    return request_head(server, **{"Content-Length": str(len(body)), "Connection": "close"}) + body


def asking(server, over, seen):
    """Ask on one new connection after another, until it is over or nobody listens any more."""
    while not over.is_set():
        try:
            client = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
        except ConnectionRefusedError:
            return
        with client:
            try:
                client.sendall(asked(server))
                seen[client.recv(12)] += 1
            except (BrokenPipeError, ConnectionResetError):
                seen[RESET] += 1


@pytest.mark.parametrize("word", [signal.SIGTERM, signal.SIGHUP])
def test_whoever_connects_to_a_worker_that_ends_is_answered(ending, word):
    over, seen = threading.Event(), Counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(asking, ending, over, seen) for _ in range(CLIENTS)]
        assert eventually(lambda: seen.total() > 1000, PATIENCE)
        for ends in range(3 if word == signal.SIGHUP else 1):
            ending.process.send_signal(word)
            assert eventually(lambda ends=ends: ending.said().count("Worker exiting") > ends, PATIENCE)
        over.set()
        for client in clients:
            client.result()
    assert set(seen) <= {b"HTTP/1.1 200", RESET}
    assert seen[RESET] <= UNLUCKY


def test_a_worker_that_drains_refuses_who_comes_later(ending):
    with opened(ending, chat(stream=True)) as stream:
        assert stream.recv(12) == b"HTTP/1.1 200"
        ending.process.terminate()
        assert eventually(lambda: refused(ending), 3)


def refused(server):
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_kept_connection_without_a_request_does_not_delay_the_end(ending):
    with requests.Session() as session:
        assert session.get(ending.url + "/health", timeout=5).ok
        ending.process.terminate()
        assert ending.process.wait(GRACE / 2) == 0


def test_clients_that_do_not_close_their_end_keep_nobody_waiting(ending):
    with ExitStack() as stack:
        for _ in range(20):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", ending.port), timeout=PATIENCE))
            client.sendall(asked(ending))
        assert requests.post(ending.url + CHAT, json=chat(), timeout=5).ok
        assert requests.post(ending.url + CHAT, json=chat(), timeout=5).ok
