"""
Clients that stop reading in the middle of 50 MB, and continue later.

They stop for 5 s. The length of the pause does not change what the gateway holds: it reads from the upstream only after
it has written to the client, so unread data stays in the buffers of the kernel and in the upstream.
"""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from tests.support import servers
from tests.support.environment import provider_urls
from tests.support.http_client import StreamedResponse, chat_request, get, send_request
from tests.support.scripted_upstream import (
    DONE,
    ROLE,
    STOP,
    completion,
    json_response,
    run_scripted_upstream,
    sse_response,
    text_chunk,
)
from tests.support.servers import Server, wait_until

MB = 1 << 20
TOTAL_SIZE = 50 * MB
PLAIN_SIZE = 25 * MB  # below MAX_RESPONSE
CHUNK_SIZE = 16 << 10  # bytes of text in a chunk
PAUSE = 5.0
SAMPLE_INTERVAL = 0.1
MAX_HELD = 1 * MB
ALLOCATOR_NOISE = 1 * MB
MAX_BUFFERED = TOTAL_SIZE // 4  # more than the socket buffers on the way hold
SOCKET_BUFFER = 1 << 16

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is measured in /proc")


@dataclass
class CountingScript:
    """A script that is generated as it is sent. `started`: bytes of text in the chunks sent, the current one included."""

    size: int
    started: int = 0

    @property
    def texts(self) -> Iterator[str]:
        return (f"{start:015d} ".ljust(CHUNK_SIZE, "x") for start in range(0, self.size, CHUNK_SIZE))

    def __iter__(self) -> Iterator[Any]:
        head, *events, last = sse_response(ROLE, STOP, DONE)
        yield head + events[0]
        for text in self.texts:
            self.started += CHUNK_SIZE
            yield sse_response(text_chunk(text))[1]
        yield b"".join(events[1:]) + last


@pytest.fixture(scope="module")
def large_upstream():
    """An upstream with small send buffers."""
    with run_scripted_upstream() as server:
        server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
        yield server


@pytest.fixture
def gateway(tmp_path, large_upstream, worker_class):
    """A gateway that serves nothing else, since its memory is measured."""
    with servers.run_gateway(
        tmp_path, **provider_urls(large_upstream.url), GATEWAY_WORKER_CLASS=worker_class
    ) as server:
        yield server


@contextmanager
def unread_response(server: Server, body: dict[str, Any]) -> Iterator[HTTPResponse]:
    """Yield a response, read up to its headers, on a socket with a small receive buffer."""
    with send_request(server, body) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER)
        with closing(HTTPResponse(client)) as response:
            response.begin()
            yield response


def memory(server: Server) -> int:
    """Return the bytes of anonymous memory of the gateway's one worker."""
    (worker,) = re.findall(r"Booting worker with pid: (\d+)", server.output())
    status = Path(f"/proc/{worker}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) << 10


def peak_memory_during_pause(server: Server) -> int:
    """Return the highest memory while the client does not read; other requests are served meanwhile."""
    peak, deadline = 0, time.monotonic() + PAUSE
    while time.monotonic() < deadline:
        peak = max(peak, memory(server))
        time.sleep(SAMPLE_INTERVAL)
        assert get(server, "/health/live").status_code == 200
    return peak


def read_lines(response: HTTPResponse, stream: StreamedResponse | None = None, lines: int = -1) -> StreamedResponse:
    """Read `lines` more lines of a stream, or all."""
    stream = stream or StreamedResponse(response.status, response.headers)
    for line in response:
        stream.timed_lines.append((0.0, line.removesuffix(b"\n")))
        lines -= 1
        if not lines:
            break
    return stream


def test_a_stream_waits_in_the_upstream_until_its_client_reads_again(gateway, large_upstream):
    warm_up, script = CountingScript(TOTAL_SIZE // 10), CountingScript(TOTAL_SIZE)
    with unread_response(gateway, chat_request(f"openai/{large_upstream.add_model(warm_up)}", stream=True)) as response:
        assert read_lines(response).done
    before = memory(gateway)
    model = large_upstream.add_model(script)
    with unread_response(gateway, chat_request(f"openai/{model}", stream=True)) as response:
        stream = read_lines(response, lines=50)
        (call,) = large_upstream.calls[model]
        assert wait_until(lambda: has_stopped(script))
        started = script.started
        peak = peak_memory_during_pause(gateway)
        print("MB sent by the upstream", round(started / MB, 2))
        print("MB held", round((peak - before) / MB, 2))
        assert call.outcome is None
        assert script.started == started
        assert started < MAX_BUFFERED
        assert peak - before < MAX_HELD + ALLOCATOR_NOISE
        read_lines(response, stream)
    print("MB held afterwards", round((memory(gateway) - before) / MB, 2))
    assert wait_until(lambda: call.outcome) == "sent"
    assert stream.done
    assert stream.finish_reasons == ["stop"]
    is_complete = stream.text == "".join(script.texts)  # pytest would take long to print a difference of 50 MB
    assert is_complete


def has_stopped(script: CountingScript) -> bool:
    """Return whether the script does not proceed for half a second."""
    started = script.started
    time.sleep(0.5)
    return started == script.started


def test_a_plain_response_is_complete_after_a_pause(gateway, large_upstream):
    """The gateway holds a plain response completely, by design: its memory is printed, not limited."""
    content = "".join(CountingScript(PLAIN_SIZE).texts)
    model = large_upstream.add_model(json_response(completion(content)))
    before = memory(gateway)
    with unread_response(gateway, chat_request(f"openai/{model}")) as response:
        body = response.read(100_000)
        peak = peak_memory_during_pause(gateway)
        body += response.read()
    print("MB held", round((peak - before) / MB, 2))
    print("MB held afterwards", round((memory(gateway) - before) / MB, 2))
    assert response.status == 200
    is_complete = content.encode() in body
    assert is_complete, f"{len(body)} bytes of {len(content)}"
    assert body.endswith(b"}")
