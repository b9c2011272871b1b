"""A client that hangs up: the upstream's call ends at once, silent or not, and the log says 499."""

import socket
import struct
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.http_client import chat, get, opened
from tests.support.scripted_upstream import ROLE, STOP, head, plain, streamed, text
from tests.support.servers import eventually

FOREVER = 30.0
SOON = 5.0
"""Seconds; a stall lasts six times as long."""
CHATTER = [step for n in range(600) for step in (text(f"{n} "), 0.05)]
UPSTREAMS = {
    "silent before its headers": [FOREVER],
    "silent after its headers": [head(200, "text/event-stream", transfer_encoding="chunked"), FOREVER],
    "silent after its first content": streamed(ROLE, text("Hel"), FOREVER, text("lo"), STOP),
    "chatty": streamed(ROLE, *CHATTER),
    "heartbeats before its content": streamed(ROLE, *(step for _ in range(600) for step in (b": beat\n\n", 0.05))),
    "silent in mid-body": [head(200, content_length=1000) + b"{", FOREVER],
    "trickling its body": [head(200, content_length=10000), *(step for _ in range(600) for step in (b" ", 0.05))],
}
CASES = [
    *(("streamed", name) for name in list(UPSTREAMS)[:5]),
    ("plain", "silent before its headers"),
    ("plain", "silent in mid-body"),
    ("plain", "trickling its body"),
]


def left(gateway, upstream, kind, name, leave):
    """How the upstream's call ended soon, and the log line, of a client that left as `leave` does."""
    model = upstream.model(UPSTREAMS[name])
    ident = f"leaver-{model}"
    headers = {"X-Request-Id": ident}
    with opened(gateway, chat(f"openai/{model}", stream=kind == "streamed"), **headers) as client:
        (call,) = eventually(lambda: upstream.calls[model], 10)
        if kind == "streamed" and name in ("chatty", "silent after its first content"):
            assert client.recv(100).startswith(b"HTTP/1.1 200")
        leave(client)
    end = eventually(lambda: call.end, SOON)
    return end, gateway.log(ident)


def close(client):
    client.close()


def reset(client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def pipeline_and_close(client):
    """Some clients send their next request early; it must not hide that they left."""
    client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    client.close()


@pytest.fixture(scope="module")
def leavings(gateway, upstream):
    """Every case with every way of leaving, all at once."""
    with ThreadPoolExecutor(32) as pool:
        return {
            (*case, leave.__name__): pool.submit(left, gateway, upstream, *case, leave)
            for case in CASES
            for leave in (close, reset, pipeline_and_close)
        }


@pytest.mark.parametrize("leave", ["close", "reset", "pipeline_and_close"])
@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_the_upstream_sees_the_client_leave(leavings, case, leave):
    end, _ = leavings[(*case, leave)].result()
    assert end == "client-gone"


@pytest.mark.parametrize("leave", ["close", "reset", "pipeline_and_close"])
@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_the_log_says_499_and_abandoned(leavings, case, leave):
    _, line = leavings[(*case, leave)].result()
    assert line["status"] == 499
    assert line["outcome"] == "client_disconnected"


@pytest.mark.parametrize("streams", [False, True])
def test_a_client_that_leaves_between_two_attempts_leaves_no_call_behind(gateway, upstream, streams):
    model = upstream.model(plain({"error": {"message": "Busy."}}, 503, retry_after=2), [FOREVER])
    ident = f"impatient-{model}"
    with opened(gateway, chat(f"openai/{model}", stream=streams), **{"X-Request-Id": ident}):
        assert eventually(lambda: upstream.calls[model] and upstream.calls[model][0].end)
    line = gateway.log(ident, patience=10)
    assert (line["status"], line["outcome"]) == (499, "client_disconnected")
    assert eventually(lambda: all(call.end for call in upstream.calls[model]))


def test_the_worker_is_as_good_as_before(leavings, gateway):
    for one in leavings.values():
        one.exception()
    assert get(gateway, "/health").status_code == 200
