"""The wire contract of streams, a test a sentence, with upstreams that do what they should not."""

import json

import pytest
from openai import APIError

from tests.support.http_client import chat, error, post, stream
from tests.support.scripted_upstream import DONE, RESET, ROLE, STOP, USAGE, chunk, head, plain, streamed, text

HELLO = (ROLE, text("Hel"), text("lo"), STOP)
ASKED_USAGE = {"stream_options": {"include_usage": True}}


def asked(upstream, *steps, **options):
    """A request whose answer is a stream of these events."""
    return chat("openai/" + upstream.model(streamed(*steps)), **options)


def said(event):
    """An event as Anthropic sends it."""
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def test_the_headers_are_those_of_an_event_stream(gateway, upstream):
    request = asked(upstream, *HELLO, DONE)
    heard = stream(gateway, request)
    assert heard.status == 200
    assert heard.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert heard.headers["cache-control"] == "no-cache"
    assert heard.headers["x-accel-buffering"] == "no"
    assert heard.headers["content-length"] is None
    assert heard.headers["content-encoding"] is None
    assert heard.headers["x-gateway-provider"] == "openai"
    assert heard.headers["x-gateway-model"] == request["model"].removeprefix("openai/")
    assert heard.headers["x-gateway-attempts"] == "openai:200"


def test_no_compression_even_where_the_client_takes_it(gateway, upstream):
    heard = stream(gateway, asked(upstream, *HELLO, DONE), **{"Accept-Encoding": "gzip, br, zstd, deflate"})
    assert heard.headers["content-encoding"] is None
    assert heard.text == "Hello"


def test_each_chunk_is_one_data_line_and_a_blank_line(gateway, upstream):
    odd = b": hi\r\nevent: x\r\nid: 7\r\nretry: 10\r\ndata: %b\r\n\r\n" % json.dumps(text("Hel")).encode()
    split = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m",\ndata: "choices":[]}\n\n'
    heard = stream(
        gateway, asked(upstream, ROLE, odd, b": OPENROUTER PROCESSING\n\n", split, text("lo\n\n"), STOP, DONE)
    )
    assert heard.text == "Hello\n\n"
    assert len(heard.lines) % 2 == 0
    assert all(line.startswith(b"data: ") for line in heard.lines[::2])
    assert all(line == b"" for line in heard.lines[1::2])
    assert heard.done


def test_id_created_and_model_stay_the_same(gateway, upstream):
    changing = [
        {**one, "id": f"chatcmpl-{n}", "created": n, "model": model}
        for n, (one, model) in enumerate(zip(HELLO, ("a", "b", "", "c"), strict=True))
    ]
    heard = stream(gateway, asked(upstream, *changing, USAGE, DONE, **ASKED_USAGE))
    assert len({(one["id"], one["created"], one["model"]) for one in heard.chunks}) == 1
    assert {one["object"] for one in heard.chunks} == {"chat.completion.chunk"}


@pytest.mark.parametrize("order", [(0, 1, 0, 1), (1, 0, 0, 1)])
def test_the_first_delta_of_a_choice_has_the_role_and_no_other(gateway, upstream, order):
    told = [text(f"{n}", index=index) for n, index in enumerate(order)]
    loud = [chunk({"role": "assistant", "content": "x"}, index=index) for index in (0, 1)]
    ends = [chunk(finish="stop", index=index) for index in (0, 1)]
    heard = stream(gateway, asked(upstream, *told, *loud, *ends, DONE, n=2))
    for index in (0, 1):
        roles = [choice["delta"].get("role") for choice in heard.choices if choice["index"] == index]
        assert roles[0] == "assistant"


def test_each_choice_has_exactly_one_finish_reason(gateway, upstream):
    twice = (text("a"), text("b", index=1), STOP, STOP, chunk(finish="length", index=1), STOP, chunk({"content": ""}))
    heard = stream(gateway, asked(upstream, *twice, DONE, n=2))
    assert heard.done
    ends = [(one["index"], one["finish_reason"]) for one in heard.choices if one["finish_reason"]]
    assert sorted(ends) == [(0, "stop"), (1, "length")]


def test_tool_calls_carry_an_index_where_the_upstream_forgot_it(gateway, upstream):
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    other = {**call, "id": "call_2"}
    heard = stream(
        gateway, asked(upstream, ROLE, chunk({"tool_calls": [call, other]}), chunk(finish="tool_calls"), DONE)
    )
    calls = [call for choice in heard.choices for call in choice["delta"].get("tool_calls") or ()]
    assert [(call["index"], call["id"]) for call in calls] == [(0, "call_1"), (1, "call_2")]


def test_tool_calls_are_counted_from_zero_where_the_upstream_counts_its_text_too(gateway, upstream):
    used = {"input_tokens": 5, "output_tokens": 2}
    begun = {"id": "m", "type": "message", "role": "assistant", "model": "c", "content": [], "usage": used}
    blocks = [
        {"type": "text", "text": ""},
        *({"type": "tool_use", "id": f"t{n}", "name": "f", "input": {}} for n in (0, 1)),
    ]
    deltas = [
        {"type": "text_delta", "text": "Hi"},
        *({"type": "input_json_delta", "partial_json": "{}"} for _ in (0, 1)),
    ]
    inner = [
        event
        for n, (block, delta) in enumerate(zip(blocks, deltas, strict=True))
        for event in (
            {"type": "content_block_start", "index": n, "content_block": block},
            {"type": "content_block_delta", "index": n, "delta": delta},
            {"type": "content_block_stop", "index": n},
        )
    ]
    ended = {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": used}
    events = [{"type": "message_start", "message": begun}, {"type": "ping"}, *inner, ended, {"type": "message_stop"}]
    heard = stream(gateway, chat("anthropic/" + upstream.model(streamed(*map(said, events)))))
    calls = [call for choice in heard.choices for call in choice["delta"].get("tool_calls") or ()]
    assert all("index" in call for call in calls)
    assert [(call["index"], call["id"]) for call in calls if call.get("id")] == [(0, "t0"), (1, "t1")]
    assert heard.finishes == ["tool_calls"]
    assert heard.text == "Hi"


def test_usage_is_null_on_every_chunk_then_in_one_without_choices_then_done(gateway, upstream):
    heard = stream(gateway, asked(upstream, *HELLO, USAGE, DONE, **ASKED_USAGE))
    *content, last = heard.chunks
    assert all(one["usage"] is None and one["choices"] for one in content)
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] == 7
    assert heard.data[-1] == b"[DONE]"


@pytest.mark.parametrize("where", ["with the finish", "in each chunk", "in x_groq", "nowhere"])
def test_usage_comes_once_however_the_upstream_says_it(gateway, upstream, where):
    used = USAGE["usage"]
    hello = {
        "with the finish": (*HELLO[:-1], {**STOP, "usage": used}),
        "in each chunk": tuple({**one, "usage": used} for one in HELLO),
        "in x_groq": (*HELLO[:-1], {**STOP, "x_groq": {"id": "r", "usage": used}}),
        "nowhere": HELLO,
    }[where]
    vendor = "groq" if where == "in x_groq" else "openai"
    heard = stream(gateway, chat(f"{vendor}/" + upstream.model(streamed(*hello, DONE)), **ASKED_USAGE))
    *content, last = heard.chunks
    assert all(one["usage"] is None and one["choices"] for one in content)
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] == 7 or where == "nowhere"
    assert heard.text == "Hello"


def test_a_usage_chunk_with_more_in_it_is_one_chunk(gateway, upstream):
    heard = stream(gateway, asked(upstream, *HELLO, {**USAGE, "obfuscation": "x"}, DONE, **ASKED_USAGE))
    assert [one["usage"] and one["usage"]["total_tokens"] for one in heard.chunks if not one["choices"]] == [7]
    heard = stream(gateway, asked(upstream, *HELLO, {**USAGE, "obfuscation": "x"}, DONE))
    assert all(one["choices"] for one in heard.chunks)


@pytest.mark.parametrize("told", [{}, {"stream_options": {"include_usage": False}}, {"stream_options": None}])
def test_a_client_that_did_not_ask_sees_no_usage_though_upstream_was_asked(gateway, upstream, told):
    request = asked(upstream, *HELLO, USAGE, DONE, **told)
    heard = stream(gateway, request)
    assert all("usage" not in one and one["choices"] for one in heard.chunks)
    (call,) = upstream.calls[request["model"].removeprefix("openai/")]
    assert call.json["stream_options"]["include_usage"] is True


EARLY = {
    "a status": (plain({"error": {"message": "Busy.", "type": "x"}}, 500), 502),
    "overloaded": (plain({"error": {"message": "Busy.", "type": "x"}}, 529), 503),
    "an error event": (streamed({"error": {"message": "Busy.", "type": "server_error"}}), 502),
    "an error event after the role": (streamed(ROLE, {"error": {"message": "Busy.", "type": "server_error"}}), 502),
    "a clean end": (streamed(), 502),
    "a clean end after the role": (streamed(ROLE), 502),
    "done after the role": (streamed(ROLE, DONE), 502),
    "a cut after the role": (streamed(ROLE, RESET), 502),
    "no answer": ([RESET], 502),
    "nonsense": ([b"SSH-2.0-OpenSSH\r\n\r\n"], 502),
    "nonsense in an event": (streamed(b"data: {nonsense\n\n"), 502),
    "HTML": (plain(b"<html>", 200), 502),
}


@pytest.mark.parametrize("case", EARLY)
def test_a_failure_before_the_first_content_is_an_http_status(gateway, upstream, case):
    script, status = EARLY[case]
    answer = post(gateway, chat("openai/" + upstream.model(script), stream=True))
    told = error(answer, status)
    assert told["code"] in ("upstream_error", "overloaded")
    assert ("Busy." in told["message"]) == (b"Busy." in b"".join(step for step in script if isinstance(step, bytes)))


LATE = {
    "an error event": streamed(ROLE, text("Hel"), {"error": {"message": "Out of steam.", "type": "server_error"}}),
    "a clean end": streamed(ROLE, text("Hel")),
    "a clean end where nothing says how long": [
        head(200, "text/event-stream"),
        b"data: %b\n\n" % json.dumps(text("Hel")).encode(),
    ],
    "done without a finish_reason": streamed(ROLE, text("Hel"), DONE),
    "one choice of two": streamed(text("Hel"), text("x", index=1), chunk(finish="stop", index=1), DONE),
    "a cut": streamed(ROLE, text("Hel"), 0.2, RESET),
    "a cut between chunks": streamed(ROLE, text("Hel"), last=b""),
    "a cut within a chunk": streamed(ROLE, text("Hel"), last=b"ff\r\ndata: {"),
    "nonsense": streamed(ROLE, text("Hel"), b"data: {nonsense\n\n", text("lo"), STOP, DONE),
}


@pytest.mark.parametrize("case", LATE)
def test_a_failure_after_the_first_content_is_an_error_frame_and_the_end(gateway, upstream, case):
    heard = stream(gateway, chat("openai/" + upstream.model(LATE[case])))
    assert heard.status == 200
    assert heard.text.startswith("Hel")
    assert heard.error["type"] == "server_error"
    assert ("Out of steam." in heard.error["message"]) == (case == "an error event")
    assert not heard.done
    assert 0 not in [choice["index"] for choice in heard.choices if choice["finish_reason"]]
    assert heard.lines[-1] == b""


@pytest.mark.parametrize("case", LATE)
def test_the_sdk_raises_what_an_error_frame_says(to_gateway, upstream, case):
    request = chat("openai/" + upstream.model(LATE[case]), stream=True)
    with to_gateway.chat.completions.create(**request) as chunks, pytest.raises(APIError) as raised:
        list(chunks)
    assert raised.value.body["code"] == "upstream_error"


def test_an_upstream_that_forgets_done_after_its_finish_reason_did_succeed(gateway, upstream):
    heard = stream(gateway, asked(upstream, *HELLO))
    assert heard.text == "Hello"
    assert heard.finishes == ["stop"]
    assert heard.done


@pytest.mark.parametrize("last", [b"", RESET, b"nonsense"])
def test_a_cut_after_done_is_no_failure(gateway, upstream, last):
    heard = stream(gateway, chat("openai/" + upstream.model(streamed(*HELLO, DONE, last=last))))
    assert heard.done
    assert heard.text == "Hello"


def test_an_answer_that_is_not_streamed_is_streamed_all_the_same(gateway, upstream):
    whole = {"id": "c", "object": "chat.completion", "created": 1, "model": "up-1", "usage": USAGE["usage"]}
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
    heard = stream(gateway, chat("openai/" + upstream.model(plain({**whole, "choices": [choice]})), **ASKED_USAGE))
    assert heard.text == "Hello"
    assert heard.finishes == ["stop"]
    assert heard.chunks[-1]["usage"]["total_tokens"] == 7
    assert heard.done


def test_bytes_may_be_split_anywhere(gateway, upstream):
    body = b"".join(
        b"data: %b\r\n\r\n" % json.dumps(one, ensure_ascii=False).encode()
        for one in (ROLE, text("żółć "), text("🦜🏴‍☠️"), STOP)
    )
    pieces = [body[at : at + 1] for at in range(len(body))]
    heard = stream(gateway, asked(upstream, *pieces, DONE))
    assert heard.text == "żółć 🦜🏴‍☠️"
    assert heard.done


def test_reasoning_is_always_reasoning_content(gateway, upstream):
    for name in ("reasoning", "reasoning_content"):
        heard = stream(gateway, asked(upstream, ROLE, chunk({name: "Hm."}), *HELLO[1:], DONE))
        assert [one["delta"]["reasoning_content"] for one in heard.choices if "reasoning_content" in one["delta"]] == [
            "Hm."
        ]
        assert heard.text == "Hello"


def test_the_stream_arrives_as_it_is_told_not_at_its_end(gateway, upstream):
    heard = stream(gateway, chat("openai/" + upstream.model(streamed(ROLE, text("Hel"), 2, text("lo"), STOP))))
    times = [at for at, line in heard.heard if b"content" in line]
    assert heard.text == "Hello"
    assert times[0] < 1.5
    assert times[-1] > 1.9
