"""A worker that exits: connections that it accepted are served, later ones are refused, idle ones delay nothing."""

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
from tests.support.http_client import CHAT, chat_request, request_head, send_request
from tests.support.servers import START_TIMEOUT, wait_until

CLIENTS = 30
GRACE_PERIOD = 20
RESET = b"reset"
# Connections may arrive between the last accept() and close(), which the kernel cannot do in one step, and are reset.
MAX_RESETS = 3


@pytest.fixture
def gateway(tmp_path, worker_class):
    environ = {"GATEWAY_WORKER_CLASS": worker_class, "GATEWAY_THREADS": "100", "GRACEFUL_TIMEOUT": str(GRACE_PERIOD)}
    with servers.run_gateway(tmp_path, **environ, GATEWAY_ECHO_PACE="0.3") as server:
        yield server


def request_bytes(server):
    body = json.dumps(chat_request()).encode()
    return request_head(server, **{"Content-Length": str(len(body)), "Connection": "close"}) + body


def send_requests(server, stop, first_bytes):
    """Send requests, each on a new connection, until `stop` is set or the connection is refused."""
    while not stop.is_set():
        try:
            client = socket.create_connection(("127.0.0.1", server.port), timeout=START_TIMEOUT)
        except ConnectionRefusedError:
            return
        with client:
            try:
                client.sendall(request_bytes(server))
                first_bytes[client.recv(12)] += 1
            except (BrokenPipeError, ConnectionResetError):
                first_bytes[RESET] += 1


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGHUP])
def test_a_worker_that_exits_serves_the_connections_that_it_accepted(gateway, signal_number):
    stop, first_bytes = threading.Event(), Counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(send_requests, gateway, stop, first_bytes) for _ in range(CLIENTS)]
        assert wait_until(lambda: first_bytes.total() > 1000, START_TIMEOUT)
        for exits in range(3 if signal_number == signal.SIGHUP else 1):
            gateway.process.send_signal(signal_number)
            assert wait_until(lambda exits=exits: gateway.output().count("Worker exiting") > exits, START_TIMEOUT)
        stop.set()
        for client in clients:
            client.result()
    assert set(first_bytes) <= {b"HTTP/1.1 200", RESET}
    assert first_bytes[RESET] <= MAX_RESETS


def test_a_worker_that_shuts_down_refuses_new_connections(gateway):
    with send_request(gateway, chat_request(stream=True)) as stream:
        assert stream.recv(12) == b"HTTP/1.1 200"
        gateway.process.terminate()
        assert wait_until(lambda: is_refused(gateway), 3)


def is_refused(server):
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


def test_an_idle_connection_does_not_delay_the_exit(gateway):
    with requests.Session() as session:
        assert session.get(gateway.url + "/health", timeout=5).ok
        gateway.process.terminate()
        assert gateway.process.wait(GRACE_PERIOD / 2) == 0


def test_connections_that_clients_do_not_close_block_no_other_client(gateway):
    with ExitStack() as stack:
        for _ in range(20):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=START_TIMEOUT))
            client.sendall(request_bytes(gateway))
        assert requests.post(gateway.url + CHAT, json=chat_request(), timeout=5).ok
        assert requests.post(gateway.url + CHAT, json=chat_request(), timeout=5).ok
