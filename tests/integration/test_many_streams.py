"""As many concurrent streams as a worker is meant for: each is complete, and /health/live responds meanwhile."""

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
from tests.support.http_client import StreamedResponse, chat_request, post, send_request
from tests.support.servers import Server

STREAMS = {"gevent": 1000, "gthread": 500}
THREADS = 530
# Seconds per word: a stream takes about 12 s, so that all are open before the first ends.
PACE = 0.8
OTHER_FILES = 500  # descriptors that the tests need beside the streams
# Seconds; less than half of what the streams take, so that a late response is not mistaken for a concurrent one.
MAX_HEALTH_SECONDS = 5.0


@pytest.fixture
def stream_count(worker_class):
    """The number of streams, with a limit of open files for it, which child processes inherit."""
    count = STREAMS[worker_class]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count + OTHER_FILES:
        pytest.skip(f"a process may open {hard} files here")
    if soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + OTHER_FILES), hard))
    yield count
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def slow_gateway(tmp_path, worker_class, stream_count):
    environ = {
        "GATEWAY_WORKER_CLASS": worker_class,
        "GATEWAY_THREADS": str(THREADS),
        "GATEWAY_ECHO_PACE": str(PACE),
        "GRACEFUL_TIMEOUT": "10",
    }
    with servers.run_gateway(tmp_path, **environ) as server:
        yield server


def read_all(clients: list) -> tuple[list[bytes], list[float], list[float]]:
    """Return what each client receives until its connection closes, and the times of its first byte and of the close."""
    received, first_times, close_times = [b""] * len(clients), [0.0] * len(clients), [0.0] * len(clients)
    with selectors.DefaultSelector() as selector:
        for number, client in enumerate(clients):
            client.setblocking(False)
            selector.register(client, selectors.EVENT_READ, number)
        while selector.get_map():
            ready = selector.select(60)
            assert ready, "no client receives anything"
            for key, _ in ready:
                data, number = key.fileobj.recv(1 << 16), key.data
                received[number] += data
                first_times[number] = first_times[number] or time.monotonic()
                if not data:
                    close_times[number] = time.monotonic()
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
    return received, first_times, close_times


def parse_stream(data: bytes) -> StreamedResponse:
    """Parse the bytes of a response. http.client raises an error if they are truncated."""
    with HTTPResponse(SimpleNamespace(makefile=lambda *_: BytesIO(data))) as response:
        response.begin()
        stream = StreamedResponse(response.status, response.headers)
        stream.timed_lines = [(0.0, line) for line in response.read().split(b"\n")]
    return stream


@contextmanager
def health_checks(server: Server) -> Iterator[list[tuple[int, float]]]:
    """Request /health/live again and again; yield the list of statuses and durations."""
    stop, checks = threading.Event(), []

    def check() -> None:
        while not stop.wait(0.1):
            start = time.monotonic()
            status = requests.get(server.url + "/health/live", timeout=30).status_code
            checks.append((status, time.monotonic() - start))

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(check)
        try:
            yield checks
        finally:
            stop.set()
        future.result()


def test_a_worker_serves_many_streams_and_health_checks_at_the_same_time(slow_gateway, stream_count):
    sample = post(slow_gateway, chat_request(content="client")).json()["choices"][0]["message"]["content"]
    with ExitStack() as stack, health_checks(slow_gateway) as checks:
        start = time.monotonic()
        clients = [
            stack.enter_context(
                send_request(slow_gateway, chat_request(content=f"client {number}", stream=True), Connection="close")
            )
            for number in range(stream_count)
        ]
        print("seconds to open the streams", round(time.monotonic() - start, 2))
        received, first_times, close_times = read_all(clients)
        print("seconds in total", round(time.monotonic() - start, 2))
    print("health checks", len(checks))
    print("seconds of the longest health check", round(max(seconds for _, seconds in checks), 3))
    assert max(first_times) < min(close_times), "all streams were open at the same time"
    streams = [parse_stream(data) for data in received]
    assert {stream.status for stream in streams} == {200}
    assert all(stream.done and stream.finish_reasons == ["stop"] for stream in streams)
    assert [stream.text for stream in streams] == [f"{sample} {number}" for number in range(stream_count)]
    assert {status for status, _ in checks} == {200}
    assert max(seconds for _, seconds in checks) < MAX_HEALTH_SECONDS
