"""Bounds on what an upstream may send and a client may name, and nonsense of an upstream, which is its own failure."""

import gzip
import json

import pytest

from tests.support import servers
from tests.support.environment import provider_urls
from tests.support.http_client import chat_request, expect_error, get, post, post_stream
from tests.support.scripted_upstream import (
    DONE,
    ROLE,
    STOP,
    anthropic_message,
    chunk,
    completion,
    json_response,
    response_head,
    sse_response,
    text_chunk,
)

MAX_RESPONSE, MAX_EVENT, MAX_BEFORE_CONTENT = 256 << 10, 64 << 10, 32 << 10
PLAIN = {"openai": completion, "anthropic": anthropic_message}


@pytest.fixture(scope="module")
def bounded_gateway(worker_class, tmp_path_factory, scripted_upstream):
    with servers.run_gateway(
        tmp_path_factory.mktemp("bounded"),
        **provider_urls(scripted_upstream.url),
        GATEWAY_WORKER_CLASS=worker_class,
        MAX_RESPONSE=str(MAX_RESPONSE),
        MAX_EVENT=str(MAX_EVENT),
        MAX_BEFORE_CONTENT=str(MAX_BEFORE_CONTENT),
        MAX_MODEL_NAME="100",
        MAX_BETAS="200",
        RETRY_MAX_ATTEMPTS="1",
        BREAKER="off",
    ) as server:
        yield server


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/embeddings"])
def test_a_long_model_name_is_refused(bounded_gateway, path):
    body = {**chat_request("openai/" + "x" * 100), "input": "a"}
    assert expect_error(post(bounded_gateway, body, path), 400)["param"] == "model"


def test_a_long_name_among_the_fallbacks_is_refused(bounded_gateway):
    body = chat_request("openai/a", models=["openai/b", "openai/" + "x" * 100])
    assert expect_error(post(bounded_gateway, body), 400)["param"] == "models[1]"


def test_long_betas_are_refused(bounded_gateway):
    body = chat_request("anthropic/a", betas=["b" * 200])
    assert expect_error(post(bounded_gateway, body), 400)["param"] == "betas"


@pytest.mark.parametrize("vendor", PLAIN)
def test_a_plain_response_beyond_the_bound_is_a_failure_of_the_upstream(bounded_gateway, scripted_upstream, vendor):
    name = scripted_upstream.add_model(json_response(PLAIN[vendor]("x" * MAX_RESPONSE)))
    expect_error(post(bounded_gateway, chat_request(f"{vendor}/{name}")), 502)


def test_a_response_that_expands_beyond_the_bound_is_a_failure_of_the_upstream(bounded_gateway, scripted_upstream):
    packed = gzip.compress(json.dumps(completion("x" * 50 * MAX_RESPONSE)).encode())
    assert len(packed) < MAX_RESPONSE
    head = response_head(content_length=len(packed), content_encoding="gzip")
    expect_error(post(bounded_gateway, chat_request("openai/" + scripted_upstream.add_model([head + packed]))), 502)


@pytest.mark.parametrize("vendor", PLAIN)
@pytest.mark.parametrize("stream", [False, True])
def test_a_long_error_text_is_cut(bounded_gateway, scripted_upstream, vendor, stream):
    body = {"type": "error", "error": {"type": "t" * 50_000, "code": "c" * 50_000, "message": "x" * 100_000}}
    name = scripted_upstream.add_model(json_response(body, 400))
    error = expect_error(post(bounded_gateway, chat_request(f"{vendor}/{name}", stream=stream)), 400)
    assert len(error["message"]) < 9000
    assert len(error["code"] or "") < 9000


@pytest.mark.parametrize("vendor", PLAIN)
def test_a_deeply_nested_error_is_an_error(bounded_gateway, scripted_upstream, vendor):
    body = b'{"error":' * 900 + b"1" + b"}" * 900
    name = scripted_upstream.add_model(json_response(body, 400))
    expect_error(post(bounded_gateway, chat_request(f"{vendor}/{name}")), 400)


def test_an_event_beyond_the_bound_ends_the_stream(bounded_gateway, scripted_upstream):
    name = scripted_upstream.add_model(sse_response(text_chunk("Hi"), text_chunk("x" * 3 * MAX_EVENT), STOP, DONE))
    stream = post_stream(bounded_gateway, chat_request(f"openai/{name}"))
    assert (stream.text, stream.done) == ("Hi", False)
    assert str(MAX_EVENT) in stream.error["message"]


CONTENTLESS = {
    "openai": chunk({}, pad="x" * 1000),
    "anthropic": {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "signature_delta", "signature": "x" * 1000},
    },
}


@pytest.mark.parametrize("vendor", PLAIN)
def test_events_without_content_beyond_the_bound_are_a_failure_of_the_upstream(
    bounded_gateway, scripted_upstream, vendor
):
    start = {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}}
    events = [start if vendor == "anthropic" else CONTENTLESS[vendor], *[CONTENTLESS[vendor]] * 100]
    name = scripted_upstream.add_model(sse_response(*events, text_chunk("late"), STOP, DONE))
    error = expect_error(post(bounded_gateway, chat_request(f"{vendor}/{name}", stream=True)), 502)
    assert str(MAX_BEFORE_CONTENT) in error["message"]


@pytest.mark.parametrize("filler", [b": ping\n\n", b"data:\n\n", b"event: ping\nid: 4\n\n"])
def test_comments_and_empty_events_beyond_the_bounds_are_a_failure_of_the_upstream(
    bounded_gateway, scripted_upstream, filler
):
    flood = filler * ((MAX_BEFORE_CONTENT + 2 * MAX_EVENT) // len(filler))
    name = scripted_upstream.add_model(sse_response(ROLE, flood, text_chunk("late"), STOP, DONE))
    error = expect_error(post(bounded_gateway, chat_request(f"openai/{name}", stream=True)), 502)
    assert str(MAX_BEFORE_CONTENT + MAX_EVENT) in error["message"]


def test_comments_after_the_first_content_count_for_no_bound(bounded_gateway, scripted_upstream):
    flood = b": ping\n\n" * (MAX_BEFORE_CONTENT + 2 * MAX_EVENT)
    name = scripted_upstream.add_model(sse_response(text_chunk("Hi"), 0.1, flood, STOP, DONE))
    stream = post_stream(bounded_gateway, chat_request(f"openai/{name}"))
    assert (stream.text, stream.done) == ("Hi", True)


def test_a_long_stream_with_content_is_passed_on(bounded_gateway, scripted_upstream):
    name = scripted_upstream.add_model(sse_response(*[text_chunk("x" * 1000)] * 600, STOP, DONE))
    stream = post_stream(bounded_gateway, chat_request(f"openai/{name}"))
    assert (len(stream.text), stream.done) == (600_000, True)


EMPTY_EVENTS = [
    b"data:\n\n",
    b"data: \n\n",
    b"data\n\n",
    b"event: ping\ndata:\n\n",
    b"id: 4\n\n",
    b": x\n\n",
    b"\n\n\n",
]


@pytest.mark.parametrize("last", [DONE, b"data:  [DONE] \n\n", b"data:[DONE]\r\n\r\n"])
def test_legal_events_without_content_are_passed_over(bounded_gateway, scripted_upstream, last):
    name = scripted_upstream.add_model(sse_response(text_chunk("Hi"), *EMPTY_EVENTS, STOP, last))
    stream = post_stream(bounded_gateway, chat_request(f"openai/{name}"))
    assert (stream.text, stream.done) == ("Hi", True)


DEEP = json.loads("[" * 400 + "]" * 400)
NONSENSE = {
    "created": 1e308,
    "id": {"a": [1]},
    "model": [{}],
    "usage": {"prompt_tokens": "five", "completion_tokens": -(10**18), "total_tokens": 1e300, "input_tokens": "x"},
    "system_fingerprint": DEEP,
    "service_tier": {"a": 1},
    "stop_reason": {"a": []},
}


@pytest.mark.parametrize("field", NONSENSE)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("vendor", PLAIN)
def test_nonsense_of_an_upstream_is_left_out_or_its_failure(bounded_gateway, scripted_upstream, vendor, stream, field):
    nonsense = {field: NONSENSE[field]}
    if not stream:
        script = json_response(PLAIN[vendor](**nonsense))
    elif vendor == "openai":
        script = sse_response({**text_chunk("Hi"), **nonsense}, {**STOP, **nonsense}, DONE)
    else:
        message = {"type": "message_start", "message": {**anthropic_message(), "content": [], **nonsense}}
        block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "Hi"}}
        end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, **nonsense}
        script = sse_response(message, block, end, {"type": "message_stop"})
    name = scripted_upstream.add_model(script)
    if stream:
        streamed = post_stream(bounded_gateway, chat_request(f"{vendor}/{name}"))
        failed = streamed.status == 502 or (not streamed.done and streamed.error["code"] == "upstream_error")
        assert failed or (streamed.status == 200 and streamed.done and type(streamed.chunks[0]["id"]) is str)
    else:
        response = post(bounded_gateway, chat_request(f"{vendor}/{name}"))
        assert response.status_code == 502 or (response.status_code == 200 and type(response.json()["id"]) is str)
    assert get(bounded_gateway, "/health").status_code == 200
