"""
Clients that stop reading in the middle of 50 MB, and later read on.

Here they stop for 5 s. How long it is does not matter to what is held: the gateway reads from the upstream only when it
has written to the client, so that what waits, waits in the kernel's buffers and in the upstream.
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
from tests.support.http_client import Stream, chat, get, opened
from tests.support.scripted_upstream import DONE, ROLE, STOP, completion, plain, streamed, text
from tests.support.scripted_upstream import upstream as scripted
from tests.support.servers import Server, eventually

MB = 1 << 20
WHOLE = 50 * MB
PIECE = 16 << 10
"""Bytes of text in a chunk."""
STALL = 5.0
LOOK = 0.1
HELD = 1 * MB
NOISE = 1 * MB
"""What the allocator may take for other reasons."""
BUFFERED = WHOLE // 4
"""More than the kernel's buffers hold: all of them but the gateway's own are small here."""
SMALL = 1 << 16

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="only Linux says how much memory is used"
)


@dataclass
class Poured:
    """A script that is made as it is sent, and knows how far it is."""

    size: int
    begun: int = 0
    """Bytes of text in the chunks that were begun."""

    @property
    def texts(self) -> Iterator[str]:
        return (f"{start:015d} ".ljust(PIECE, "x") for start in range(0, self.size, PIECE))

    def __iter__(self) -> Iterator[Any]:
        head, *rest, last = streamed(ROLE, STOP, DONE)
        yield head + rest[0]
        for said in self.texts:
            self.begun += PIECE
            yield streamed(text(said))[1]
        yield b"".join(rest[1:]) + last


@pytest.fixture(scope="module")
def pouring():
    """An upstream whose connections take little in advance."""
    with scripted() as server:
        server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
        yield server


@pytest.fixture
def gateway(tmp_path, pouring, worker_class):
    """A gateway of its own: nothing else may use memory."""
    with servers.gateway(tmp_path, **provider_urls(pouring.url), GATEWAY_WORKER_CLASS=worker_class) as server:
        yield server


@contextmanager
def answered(server: Server, body: dict[str, Any]) -> Iterator[HTTPResponse]:
    """The answer to a client whose kernel takes little in advance; its body is unread."""
    with opened(server, body) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        with closing(HTTPResponse(client)) as response:
            response.begin()
            yield response


def memory(server: Server) -> int:
    """Bytes of its own that the gateway's one worker has."""
    (worker,) = re.findall(r"Booting worker with pid: (\d+)", server.said())
    status = Path(f"/proc/{worker}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) << 10


def memory_while_stalled(server: Server) -> int:
    """The most that it has while nobody reads. Others are answered meanwhile."""
    most, until = 0, time.monotonic() + STALL
    while time.monotonic() < until:
        most = max(most, memory(server))
        time.sleep(LOOK)
        assert get(server, "/health/live").status_code == 200
    return most


def heard(response: HTTPResponse, begun: Stream | None = None, lines: int = -1) -> Stream:
    """A stream so far: so many lines of it more, or all."""
    told = begun or Stream(response.status, response.headers)
    for line in response:
        told.heard.append((0.0, line.removesuffix(b"\n")))
        lines -= 1
        if not lines:
            break
    return told


def test_a_stream_waits_in_the_upstream_until_its_client_reads_on(gateway, pouring):
    warm, script = Poured(WHOLE // 10), Poured(WHOLE)
    with answered(gateway, chat(f"openai/{pouring.model(warm)}", stream=True)) as response:
        assert heard(response).done
    before = memory(gateway)
    model = pouring.model(script)
    with answered(gateway, chat(f"openai/{model}", stream=True)) as response:
        told = heard(response, lines=50)
        (call,) = pouring.calls[model]
        assert eventually(lambda: stands_still(script))
        begun = script.begun
        most = memory_while_stalled(gateway)
        print("MB sent by the upstream", round(begun / MB, 2))
        print("MB held", round((most - before) / MB, 2))
        assert call.end is None
        assert script.begun == begun
        assert begun < BUFFERED
        assert most - before < HELD + NOISE
        heard(response, told)
    print("MB held after it", round((memory(gateway) - before) / MB, 2))
    assert eventually(lambda: call.end) == "sent"
    assert told.done
    assert told.finishes == ["stop"]
    whole = told.text == "".join(script.texts)
    assert whole, "not an equation: the difference of 50 MB takes long to print"


def stands_still(script: Poured) -> bool:
    """Whether nothing is sent for a while."""
    begun = script.begun
    time.sleep(0.5)
    return begun == script.begun


def test_a_plain_answer_is_whole_after_a_stall(gateway, pouring):
    """It is held as a whole, by design; how much memory that takes is recorded, not judged."""
    said = "".join(Poured(WHOLE).texts)
    model = pouring.model(plain(completion(said)))
    before = memory(gateway)
    with answered(gateway, chat(f"openai/{model}")) as response:
        body = response.read(100_000)
        most = memory_while_stalled(gateway)
        body += response.read()
    print("MB held", round((most - before) / MB, 2))
    print("MB held after it", round((memory(gateway) - before) / MB, 2))
    assert response.status == 200
    whole = said.encode() in body
    assert whole, f"{len(body)} bytes of {len(said)}"
    assert body.endswith(b"}")
