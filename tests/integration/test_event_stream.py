"""The event stream as the client receives it, from upstreams that keep to the format and from upstreams that do not."""

import json

import pytest
from openai import APIError

from tests.support.http_client import chat_request, expect_error, post, post_stream
from tests.support.scripted_upstream import (
    DONE,
    RESET,
    ROLE,
    STOP,
    USAGE,
    chunk,
    json_response,
    response_head,
    sse_response,
    text_chunk,
)

HELLO_EVENTS = (ROLE, text_chunk("Hel"), text_chunk("lo"), STOP)
INCLUDE_USAGE = {"stream_options": {"include_usage": True}}


def stream_request(scripted_upstream, *events, **fields):
    """Return a request to which the upstream responds with a stream of these events."""
    return chat_request("openai/" + scripted_upstream.add_model(sse_response(*events)), **fields)


def anthropic_frame(event):
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def test_the_headers_are_those_of_an_event_stream(gateway, scripted_upstream):
    request = stream_request(scripted_upstream, *HELLO_EVENTS, DONE)
    response = post_stream(gateway, request)
    assert response.status == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"
    assert response.headers["content-length"] is None
    assert response.headers["content-encoding"] is None
    assert response.headers["x-gateway-provider"] == "openai"
    assert response.headers["x-gateway-model"] == request["model"].removeprefix("openai/")
    assert response.headers["x-gateway-attempts"] == "openai:200"


def test_a_stream_is_not_compressed_even_if_the_client_accepts_it(gateway, scripted_upstream):
    response = post_stream(
        gateway,
        stream_request(scripted_upstream, *HELLO_EVENTS, DONE),
        **{"Accept-Encoding": "gzip, br, zstd, deflate"},
    )
    assert response.headers["content-encoding"] is None
    assert response.text == "Hello"


def test_each_chunk_is_a_data_line_and_an_empty_line(gateway, scripted_upstream):
    unusual = b": hi\r\nevent: x\r\nid: 7\r\nretry: 10\r\ndata: %b\r\n\r\n" % json.dumps(text_chunk("Hel")).encode()
    split = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m",\ndata: "choices":[]}\n\n'
    response = post_stream(
        gateway,
        stream_request(
            scripted_upstream, ROLE, unusual, b": OPENROUTER PROCESSING\n\n", split, text_chunk("lo\n\n"), STOP, DONE
        ),
    )
    assert response.text == "Hello\n\n"
    assert len(response.lines) % 2 == 0
    assert all(line.startswith(b"data: ") for line in response.lines[::2])
    assert all(line == b"" for line in response.lines[1::2])
    assert response.done


def test_id_created_and_model_stay_the_same(gateway, scripted_upstream):
    changing = [
        {**event, "id": f"chatcmpl-{number}", "created": number, "model": model}
        for number, (event, model) in enumerate(zip(HELLO_EVENTS, ("a", "b", "", "c"), strict=True))
    ]
    response = post_stream(gateway, stream_request(scripted_upstream, *changing, USAGE, DONE, **INCLUDE_USAGE))
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in response.chunks}) == 1
    assert {chunk["object"] for chunk in response.chunks} == {"chat.completion.chunk"}


@pytest.mark.parametrize("order", [(0, 1, 0, 1), (1, 0, 0, 1)])
def test_the_first_delta_of_each_choice_has_the_role(gateway, scripted_upstream, order):
    texts = [text_chunk(f"{number}", index=index) for number, index in enumerate(order)]
    roles_again = [chunk({"role": "assistant", "content": "x"}, index=index) for index in (0, 1)]
    ends = [chunk(finish_reason="stop", index=index) for index in (0, 1)]
    response = post_stream(gateway, stream_request(scripted_upstream, *texts, *roles_again, *ends, DONE, n=2))
    for index in (0, 1):
        roles = [choice["delta"].get("role") for choice in response.choices if choice["index"] == index]
        assert roles[0] == "assistant"


def test_each_choice_has_a_single_finish_reason(gateway, scripted_upstream):
    events = (
        text_chunk("a"),
        text_chunk("b", index=1),
        STOP,
        STOP,
        chunk(finish_reason="length", index=1),
        STOP,
        chunk({"content": ""}),
    )
    response = post_stream(gateway, stream_request(scripted_upstream, *events, DONE, n=2))
    assert response.done
    reasons = [(choice["index"], choice["finish_reason"]) for choice in response.choices if choice["finish_reason"]]
    assert sorted(reasons) == [(0, "stop"), (1, "length")]


def test_tool_calls_have_an_index_even_if_the_upstream_sends_none(gateway, scripted_upstream):
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    other = {**call, "id": "call_2"}
    response = post_stream(
        gateway,
        stream_request(
            scripted_upstream, ROLE, chunk({"tool_calls": [call, other]}), chunk(finish_reason="tool_calls"), DONE
        ),
    )
    calls = [call for choice in response.choices for call in choice["delta"].get("tool_calls") or ()]
    assert [(call["index"], call["id"]) for call in calls] == [(0, "call_1"), (1, "call_2")]


def test_tool_call_indexes_start_at_zero_even_if_the_upstream_numbers_its_text_block_too(gateway, scripted_upstream):
    usage = {"input_tokens": 5, "output_tokens": 2}
    message = {"id": "m", "type": "message", "role": "assistant", "model": "c", "content": [], "usage": usage}
    blocks = [
        {"type": "text", "text": ""},
        *({"type": "tool_use", "id": f"t{number}", "name": "f", "input": {}} for number in (0, 1)),
    ]
    deltas = [
        {"type": "text_delta", "text": "Hi"},
        *({"type": "input_json_delta", "partial_json": "{}"} for _ in (0, 1)),
    ]
    block_events = [
        event
        for index, (block, delta) in enumerate(zip(blocks, deltas, strict=True))
        for event in (
            {"type": "content_block_start", "index": index, "content_block": block},
            {"type": "content_block_delta", "index": index, "delta": delta},
            {"type": "content_block_stop", "index": index},
        )
    ]
    finish = {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": usage}
    events = [
        {"type": "message_start", "message": message},
        {"type": "ping"},
        *block_events,
        finish,
        {"type": "message_stop"},
    ]
    response = post_stream(
        gateway, chat_request("anthropic/" + scripted_upstream.add_model(sse_response(*map(anthropic_frame, events))))
    )
    calls = [call for choice in response.choices for call in choice["delta"].get("tool_calls") or ()]
    assert all("index" in call for call in calls)
    assert [(call["index"], call["id"]) for call in calls if call.get("id")] == [(0, "t0"), (1, "t1")]
    assert response.finish_reasons == ["tool_calls"]
    assert response.text == "Hi"


def test_usage_is_null_in_every_chunk_except_the_last_which_has_no_choices(gateway, scripted_upstream):
    response = post_stream(gateway, stream_request(scripted_upstream, *HELLO_EVENTS, USAGE, DONE, **INCLUDE_USAGE))
    *content, last = response.chunks
    assert all(chunk["usage"] is None and chunk["choices"] for chunk in content)
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] == 7
    assert response.data[-1] == b"[DONE]"


@pytest.mark.parametrize("where", ["with the finish_reason", "in each chunk", "in x_groq", "missing"])
def test_usage_is_in_the_last_chunk_wherever_the_upstream_puts_it(gateway, scripted_upstream, where):
    usage = USAGE["usage"]
    events = {
        "with the finish_reason": (*HELLO_EVENTS[:-1], {**STOP, "usage": usage}),
        "in each chunk": tuple({**event, "usage": usage} for event in HELLO_EVENTS),
        "in x_groq": (*HELLO_EVENTS[:-1], {**STOP, "x_groq": {"id": "r", "usage": usage}}),
        "missing": HELLO_EVENTS,
    }[where]
    vendor = "groq" if where == "in x_groq" else "openai"
    response = post_stream(
        gateway, chat_request(f"{vendor}/" + scripted_upstream.add_model(sse_response(*events, DONE)), **INCLUDE_USAGE)
    )
    *content, last = response.chunks
    assert all(chunk["usage"] is None and chunk["choices"] for chunk in content)
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] == 7 or where == "missing"
    assert response.text == "Hello"


def test_a_usage_chunk_with_unknown_fields_stays_a_single_chunk(gateway, scripted_upstream):
    response = post_stream(
        gateway, stream_request(scripted_upstream, *HELLO_EVENTS, {**USAGE, "obfuscation": "x"}, DONE, **INCLUDE_USAGE)
    )
    assert [chunk["usage"] and chunk["usage"]["total_tokens"] for chunk in response.chunks if not chunk["choices"]] == [
        7
    ]
    response = post_stream(
        gateway, stream_request(scripted_upstream, *HELLO_EVENTS, {**USAGE, "obfuscation": "x"}, DONE)
    )
    assert all(chunk["choices"] for chunk in response.chunks)


@pytest.mark.parametrize("fields", [{}, {"stream_options": {"include_usage": False}}, {"stream_options": None}])
def test_the_gateway_requests_usage_upstream_and_hides_it_from_a_client_that_did_not_request_it(
    gateway, scripted_upstream, fields
):
    request = stream_request(scripted_upstream, *HELLO_EVENTS, USAGE, DONE, **fields)
    response = post_stream(gateway, request)
    assert all("usage" not in chunk and chunk["choices"] for chunk in response.chunks)
    (call,) = scripted_upstream.calls[request["model"].removeprefix("openai/")]
    assert call.json["stream_options"]["include_usage"] is True


FAILURES_BEFORE_CONTENT = {
    "error status": (json_response({"error": {"message": "Busy.", "type": "x"}}, 500), 502),
    "overloaded": (json_response({"error": {"message": "Busy.", "type": "x"}}, 529), 503),
    "error event": (sse_response({"error": {"message": "Busy.", "type": "server_error"}}), 502),
    "error event after the role": (sse_response(ROLE, {"error": {"message": "Busy.", "type": "server_error"}}), 502),
    "stream ends": (sse_response(), 502),
    "stream ends after the role": (sse_response(ROLE), 502),
    "[DONE] after the role": (sse_response(ROLE, DONE), 502),
    "reset after the role": (sse_response(ROLE, RESET), 502),
    "reset without a response": ([RESET], 502),
    "not HTTP": ([b"SSH-2.0-OpenSSH\r\n\r\n"], 502),
    "event is not JSON": (sse_response(b"data: {nonsense\n\n"), 502),
    "HTML": (json_response(b"<html>", 200), 502),
}


@pytest.mark.parametrize("case", FAILURES_BEFORE_CONTENT)
def test_a_failure_before_the_first_content_is_an_http_status(gateway, scripted_upstream, case):
    script, status = FAILURES_BEFORE_CONTENT[case]
    response = post(gateway, chat_request("openai/" + scripted_upstream.add_model(script), stream=True))
    error = expect_error(response, status)
    assert error["code"] in ("upstream_error", "overloaded")
    assert ("Busy." in error["message"]) == (b"Busy." in b"".join(step for step in script if isinstance(step, bytes)))


FAILURES_AFTER_CONTENT = {
    "error event": sse_response(
        ROLE, text_chunk("Hel"), {"error": {"message": "Out of steam.", "type": "server_error"}}
    ),
    "stream ends": sse_response(ROLE, text_chunk("Hel")),
    "connection closes, neither Content-Length nor chunked": [
        response_head(200, "text/event-stream"),
        b"data: %b\n\n" % json.dumps(text_chunk("Hel")).encode(),
    ],
    "[DONE] without a finish_reason": sse_response(ROLE, text_chunk("Hel"), DONE),
    "only one choice of two finishes": sse_response(
        text_chunk("Hel"), text_chunk("x", index=1), chunk(finish_reason="stop", index=1), DONE
    ),
    "reset": sse_response(ROLE, text_chunk("Hel"), 0.2, RESET),
    "last chunk missing": sse_response(ROLE, text_chunk("Hel"), last=b""),
    "chunk truncated": sse_response(ROLE, text_chunk("Hel"), last=b"ff\r\ndata: {"),
    "event is not JSON": sse_response(ROLE, text_chunk("Hel"), b"data: {nonsense\n\n", text_chunk("lo"), STOP, DONE),
}


@pytest.mark.parametrize("case", FAILURES_AFTER_CONTENT)
def test_a_failure_after_the_first_content_ends_the_stream_with_an_error_frame(gateway, scripted_upstream, case):
    response = post_stream(gateway, chat_request("openai/" + scripted_upstream.add_model(FAILURES_AFTER_CONTENT[case])))
    assert response.status == 200
    assert response.text.startswith("Hel")
    assert response.error["type"] == "server_error"
    assert ("Out of steam." in response.error["message"]) == (case == "error event")
    assert not response.done
    assert 0 not in [choice["index"] for choice in response.choices if choice["finish_reason"]]
    assert response.lines[-1] == b""


@pytest.mark.parametrize("case", FAILURES_AFTER_CONTENT)
def test_the_sdk_raises_the_error_of_an_error_frame(gateway_client, scripted_upstream, case):
    request = chat_request("openai/" + scripted_upstream.add_model(FAILURES_AFTER_CONTENT[case]), stream=True)
    with gateway_client.chat.completions.create(**request) as chunks, pytest.raises(APIError) as raised:
        list(chunks)
    assert raised.value.body["code"] == "upstream_error"


def test_a_stream_with_a_finish_reason_and_without_done_is_complete(gateway, scripted_upstream):
    response = post_stream(gateway, stream_request(scripted_upstream, *HELLO_EVENTS))
    assert response.text == "Hello"
    assert response.finish_reasons == ["stop"]
    assert response.done


@pytest.mark.parametrize("last", [b"", RESET, b"not a chunk"])
def test_a_connection_that_breaks_after_done_is_no_failure(gateway, scripted_upstream, last):
    response = post_stream(
        gateway, chat_request("openai/" + scripted_upstream.add_model(sse_response(*HELLO_EVENTS, DONE, last=last)))
    )
    assert response.done
    assert response.text == "Hello"


def test_a_plain_response_to_a_stream_request_becomes_a_stream(gateway, scripted_upstream):
    fields = {"id": "c", "object": "chat.completion", "created": 1, "model": "up-1", "usage": USAGE["usage"]}
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
    response = post_stream(
        gateway,
        chat_request(
            "openai/" + scripted_upstream.add_model(json_response({**fields, "choices": [choice]})), **INCLUDE_USAGE
        ),
    )
    assert response.text == "Hello"
    assert response.finish_reasons == ["stop"]
    assert response.chunks[-1]["usage"]["total_tokens"] == 7
    assert response.done


def test_the_upstream_may_split_its_bytes_anywhere(gateway, scripted_upstream):
    body = b"".join(
        b"data: %b\r\n\r\n" % json.dumps(event, ensure_ascii=False).encode()
        for event in (ROLE, text_chunk("żółć "), text_chunk("🦜🏴‍☠️"), STOP)
    )
    single_bytes = [body[index : index + 1] for index in range(len(body))]
    response = post_stream(gateway, stream_request(scripted_upstream, *single_bytes, DONE))
    assert response.text == "żółć 🦜🏴‍☠️"
    assert response.done


def test_reasoning_is_in_reasoning_content_whatever_the_upstream_calls_it(gateway, scripted_upstream):
    for name in ("reasoning", "reasoning_content"):
        response = post_stream(
            gateway, stream_request(scripted_upstream, ROLE, chunk({name: "Hm."}), *HELLO_EVENTS[1:], DONE)
        )
        assert [
            choice["delta"]["reasoning_content"]
            for choice in response.choices
            if "reasoning_content" in choice["delta"]
        ] == ["Hm."]
        assert response.text == "Hello"


def test_the_gateway_forwards_each_event_as_it_arrives(gateway, scripted_upstream):
    response = post_stream(
        gateway,
        chat_request(
            "openai/" + scripted_upstream.add_model(sse_response(ROLE, text_chunk("Hel"), 2, text_chunk("lo"), STOP))
        ),
    )
    times = [seconds for seconds, line in response.timed_lines if b"content" in line]
    assert response.text == "Hello"
    assert times[0] < 1.5
    assert times[-1] > 1.9
