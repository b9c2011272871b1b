"""As many streams at once as a worker is there for: each is whole, and the worker's health is told beside them."""

import resource
import selectors
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.client import HTTPResponse
from io import BytesIO
from types import SimpleNamespace

import pytest
import requests

from tests.support import servers
from tests.support.http_client import Stream, chat, opened, post
from tests.support.servers import Server

STREAMS = {"gevent": 1000, "gthread": 500}
THREADS = 530
PACE = 0.8
"""Seconds a word: a stream takes some 12 s, long enough that all are open before the first one ends."""
SPARE = 500
"""Files that the tests have open besides."""
HEALTHY = 5.0
"""Seconds: less than half of what the streams take. Health is told beside them, not after them."""


@pytest.fixture
def many(worker_class):
    """How many streams; this process may open as many files, which its children inherit."""
    count = STREAMS[worker_class]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count + SPARE:
        pytest.skip(f"a process may open {hard} files here")
    if soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + SPARE), hard))
    yield count
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def slow(tmp_path, worker_class, many):
    environ = {
        "GATEWAY_WORKER_CLASS": worker_class,
        "GATEWAY_THREADS": str(THREADS),
        "GATEWAY_ECHO_PACE": str(PACE),
        "GRACEFUL_TIMEOUT": "10",
    }
    with servers.gateway(tmp_path, **environ) as server:
        yield server


def read(clients: list) -> tuple[list[bytes], list[float], list[float]]:
    """All that each client hears until its connection ends, and when it heard the first and the last of it."""
    heard, begun, ended = [b""] * len(clients), [0.0] * len(clients), [0.0] * len(clients)
    with selectors.DefaultSelector() as selector:
        for number, client in enumerate(clients):
            client.setblocking(False)
            selector.register(client, selectors.EVENT_READ, number)
        while selector.get_map():
            ready = selector.select(60)
            assert ready, "nothing comes any more"
            for key, _ in ready:
                data, number = key.fileobj.recv(1 << 16), key.data
                heard[number] += data
                begun[number] = begun[number] or time.monotonic()
                if not data:
                    ended[number] = time.monotonic()
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
    return heard, begun, ended


def parsed(data: bytes) -> Stream:
    """What was heard, as a stream. http.client raises if it is cut."""
    with HTTPResponse(SimpleNamespace(makefile=lambda *_: BytesIO(data))) as response:
        response.begin()
        stream = Stream(response.status, response.headers)
        stream.heard = [(0.0, line) for line in response.read().split(b"\n")]
    return stream


@contextmanager
def health_asked(server: Server) -> Iterator[list[tuple[int, float]]]:
    """Status and time of its health, asked all the time."""
    over, told = threading.Event(), []

    def ask() -> None:
        while not over.wait(0.1):
            began = time.monotonic()
            status = requests.get(server.url + "/health/live", timeout=30).status_code
            told.append((status, time.monotonic() - began))

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask)
        try:
            yield told
        finally:
            over.set()
        asked.result()


def test_a_worker_holds_many_streams_and_its_health_is_told_beside_them(slow, many):
    sample = post(slow, chat(said="client")).json()["choices"][0]["message"]["content"]
    with ExitStack() as stack, health_asked(slow) as health:
        began = time.monotonic()
        clients = [
            stack.enter_context(opened(slow, chat(said=f"client {number}", stream=True), Connection="close"))
            for number in range(many)
        ]
        print("seconds to open them", round(time.monotonic() - began, 2))
        heard, begun, ended = read(clients)
        print("seconds in all", round(time.monotonic() - began, 2))
    print("health asked", len(health))
    print("longest wait for health in s", round(max(seconds for _, seconds in health), 3))
    assert max(begun) < min(ended), "all were open at once"
    streams = [parsed(data) for data in heard]
    assert {stream.status for stream in streams} == {200}
    assert all(stream.done and stream.finishes == ["stop"] for stream in streams)
    assert [stream.text for stream in streams] == [f"{sample} {number}" for number in range(many)]
    assert {status for status, _ in health} == {200}
    assert max(seconds for _, seconds in health) < HEALTHY
