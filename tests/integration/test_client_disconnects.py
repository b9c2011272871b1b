"""A client that disconnects: the gateway aborts the upstream call at once, and the log has status 499."""

import socket
import struct
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.http_client import chat_request, get, send_request
from tests.support.scripted_upstream import ROLE, STOP, json_response, response_head, sse_response, text_chunk
from tests.support.servers import wait_until

LONG_SILENCE = 30.0
ABORT_TIMEOUT = 5.0  # seconds; a silence lasts six times as long
WORDS = [step for number in range(600) for step in (text_chunk(f"{number} "), 0.05)]
UPSTREAMS = {
    "silent before the headers": [LONG_SILENCE],
    "silent after the headers": [response_head(200, "text/event-stream", transfer_encoding="chunked"), LONG_SILENCE],
    "silent after the first content": sse_response(ROLE, text_chunk("Hel"), LONG_SILENCE, text_chunk("lo"), STOP),
    "continuous text": sse_response(ROLE, *WORDS),
    "comments before the content": sse_response(ROLE, *(step for _ in range(600) for step in (b": beat\n\n", 0.05))),
    "silent inside the body": [response_head(200, content_length=1000) + b"{", LONG_SILENCE],
    "slow body": [
        response_head(200, content_length=10000),
        *(step for _ in range(600) for step in (b" ", 0.05)),
    ],
}
CASES = [
    *(("streamed", name) for name in list(UPSTREAMS)[:5]),
    ("plain", "silent before the headers"),
    ("plain", "silent inside the body"),
    ("plain", "slow body"),
]


def call_and_disconnect(gateway, scripted_upstream, form, name, disconnect):
    """Call a model, disconnect, and return the outcome of the upstream call and the log line."""
    model = scripted_upstream.add_model(UPSTREAMS[name])
    request_id = f"disconnect-{model}"
    headers = {"X-Request-Id": request_id}
    with send_request(gateway, chat_request(f"openai/{model}", stream=form == "streamed"), **headers) as client:
        (call,) = wait_until(lambda: scripted_upstream.calls[model], 10)
        if form == "streamed" and name in ("continuous text", "silent after the first content"):
            assert client.recv(100).startswith(b"HTTP/1.1 200")
        disconnect(client)
    outcome = wait_until(lambda: call.outcome, ABORT_TIMEOUT)
    return outcome, gateway.request_log(request_id)


def close(client):
    client.close()


def reset(client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def pipeline_and_close(client):
    """A request that the client sent early must not hide that it disconnected."""
    client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    client.close()


@pytest.fixture(scope="module")
def disconnects(gateway, scripted_upstream):
    """Futures of every case with every way to disconnect; they run at the same time."""
    with ThreadPoolExecutor(32) as pool:
        return {
            (*case, disconnect.__name__): pool.submit(
                call_and_disconnect, gateway, scripted_upstream, *case, disconnect
            )
            for case in CASES
            for disconnect in (close, reset, pipeline_and_close)
        }


@pytest.mark.parametrize("disconnect", ["close", "reset", "pipeline_and_close"])
@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_the_gateway_aborts_the_upstream_call(disconnects, case, disconnect):
    outcome, _ = disconnects[(*case, disconnect)].result()
    assert outcome == "aborted"


@pytest.mark.parametrize("disconnect", ["close", "reset", "pipeline_and_close"])
@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_the_log_has_status_499_and_outcome_client_disconnected(disconnects, case, disconnect):
    _, line = disconnects[(*case, disconnect)].result()
    assert line["status"] == 499
    assert line["outcome"] == "client_disconnected"


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_disconnects_between_two_attempts_ends_the_retry(gateway, scripted_upstream, stream):
    model = scripted_upstream.add_model(
        json_response({"error": {"message": "Busy."}}, 503, retry_after=2), [LONG_SILENCE]
    )
    request_id = f"between-attempts-{model}"
    with send_request(gateway, chat_request(f"openai/{model}", stream=stream), **{"X-Request-Id": request_id}):
        assert wait_until(lambda: scripted_upstream.calls[model] and scripted_upstream.calls[model][0].outcome)
    line = gateway.request_log(request_id, timeout=10)
    assert (line["status"], line["outcome"]) == (499, "client_disconnected")
    assert wait_until(lambda: all(call.outcome for call in scripted_upstream.calls[model]))


def test_the_worker_still_responds_after_the_disconnects(disconnects, gateway):
    for future in disconnects.values():
        future.exception()
    assert get(gateway, "/health").status_code == 200
