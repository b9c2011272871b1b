"""Plain responses and the frames of streamed ones."""

import json
import time

import pytest

from gateway.completions.completion import complete
from gateway.completions.event_stream import stream
from gateway.errors import ClientDisconnected, UpstreamFailed
from gateway.stream_events import PAUSE
from tests.support.fakes import COMPLETION, RESET, USAGE, FakeUpstreams, call, chunk, plain, sse


def frames(upstreams, client_call):
    """The data of every frame, parsed."""
    wire = b"".join(stream(upstreams.router, client_call))
    lines = [line for line in wire.decode().split("\n\n") if line]
    assert all(line.startswith("data: ") for line in lines)
    return [line if line == "data: [DONE]" else json.loads(line[6:]) for line in lines]


WHOLE = (chunk("a", role="assistant"), chunk("b"), chunk(finish="stop"), USAGE, "[DONE]")


def test_usage_that_was_not_requested_is_recorded_but_not_sent():
    client_call = call(stream=True)
    received = frames(FakeUpstreams(sse(*WHOLE)), client_call)
    assert received[-1] == "data: [DONE]"
    assert all("usage" not in item and item["choices"] for item in received[:-1])
    assert client_call.usage == USAGE["usage"]
    assert client_call.outcome == "completed"


def test_requested_usage_is_null_until_its_own_chunk():
    received = frames(FakeUpstreams(sse(*WHOLE)), call(stream=True, stream_options={"include_usage": True}))
    assert [item["usage"] for item in received[:-1]] == [None, None, None, USAGE["usage"]]
    assert received[-2]["choices"] == []


def test_usage_that_no_upstream_reported_is_estimated_and_marked():
    received = frames(FakeUpstreams(sse(*WHOLE[:3])), call(stream=True, stream_options={"include_usage": True}))
    assert received[-2]["usage"]["estimated"] is True
    assert received[-2]["usage"]["completion_tokens"] > 0
    answer = complete(FakeUpstreams(plain({**COMPLETION, "usage": None})).router, call())
    assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4, "estimated": True}


def tool_call(arguments):
    return {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}


@pytest.mark.parametrize(
    ("message", "tokens"),
    [
        ({"content": "日本語" * 20}, 45),
        ({"content": None, "refusal": "I will not do that. " * 5}, 25),
        ({"content": "4", "reasoning_content": "two and two" * 10}, 28),
        ({"content": None, "tool_calls": [tool_call("{}" * 40)]}, 23),
    ],
    ids=["beyond ASCII", "refusal", "reasoning", "tool call"],
)
def test_a_streamed_and_a_plain_response_have_the_same_estimate(message, tokens):
    finish_reason = "tool_calls" if message.get("tool_calls") else "stop"
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish_reason}
    completion = complete(FakeUpstreams(plain({**COMPLETION, "choices": [choice], "usage": None})).router, call())
    delta = {**message, "tool_calls": [{"index": 0, **item} for item in message.get("tool_calls", ())]}
    whole = {"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": None}
    end = {"index": 0, "delta": {}, "finish_reason": finish_reason}
    script = sse(*({**WHOLE[0], "choices": [item]} for item in (whole, end)), "[DONE]")
    received = frames(FakeUpstreams(script), call(stream=True, stream_options={"include_usage": True}))
    assert received[-2]["usage"] == completion["usage"]
    assert completion["usage"]["completion_tokens"] == tokens


def test_a_broken_stream_ends_with_an_error_frame():
    client_call = call(stream=True, stream_options={"include_usage": True})
    received = frames(FakeUpstreams(sse(chunk("a"), RESET)), client_call)
    assert received[-1]["error"].keys() == {"message", "type", "param", "code"}
    assert not any(item["choices"][0]["finish_reason"] for item in received[:-1])
    assert (client_call.outcome, type(client_call.error)) == ("failed", UpstreamFailed)


def test_a_failure_before_content_is_raised():
    with pytest.raises(UpstreamFailed):
        stream(FakeUpstreams(sse(RESET)).router, call(stream=True))


def test_chunks_that_arrived_together_are_sent_together():
    block = b"".join(b"data: %b\n\n" % json.dumps(item).encode() for item in WHOLE[:3])
    assert len(list(stream(FakeUpstreams(sse(block, "[DONE]")).router, call(stream=True)))) == 2


def test_a_late_stream_begins_with_pings_and_has_the_trail_in_its_last_chunk():
    client_call = call(stream=True)
    blocks = list(stream(FakeUpstreams(sse(PAUSE, *WHOLE)).router, client_call, first_content=0, ping_interval=0))
    assert blocks[0] == b": ping\n"
    chunks = [json.loads(line[6:]) for line in b"".join(blocks).splitlines() if line.startswith(b"data: {")]
    assert chunks[-1]["gateway"] == {"attempts": "openai:200", "provider": "openai", "model": "gpt-x"}
    assert not any("gateway" in item for item in chunks[:-1])


def test_after_the_pings_a_failure_is_an_error_frame():
    blocks = list(stream(FakeUpstreams(sse(PAUSE, RESET)).router, call(stream=True), first_content=0))
    assert b'"error"' in blocks[-1]
    assert b"DONE" not in blocks[-1]


def test_a_disconnected_client_is_the_outcome_of_its_call():
    client_call = call(stream=True)
    list(stream(FakeUpstreams(sse(chunk("a"), ClientDisconnected("left"))).router, client_call))
    assert client_call.outcome == "client_disconnected"


def test_a_stream_closed_early_counts_as_disconnected_and_closes_the_upstream():
    upstreams, client_call = FakeUpstreams(sse(*WHOLE)), call(stream=True)
    frames = stream(upstreams.router, client_call)
    next(frames)
    frames.close()
    client_call.close()
    assert client_call.outcome == "client_disconnected"
    assert upstreams.transport.opened[0].closed


def test_the_next_ping_is_due_within_15_seconds():
    client_call, before = call(stream=True), time.monotonic()
    stream(FakeUpstreams(sse(*WHOLE)).router, client_call)
    assert before < client_call.watch.yield_at < before + 15


def test_a_plain_response_has_its_usage_recorded():
    client_call = call()
    assert complete(FakeUpstreams(plain(COMPLETION)).router, client_call) == COMPLETION
    assert (client_call.usage, client_call.outcome) == (COMPLETION["usage"], "completed")


def test_tokens_are_settled_when_estimated_and_when_the_stream_breaks():
    for blocks in (WHOLE, WHOLE[:3], (chunk("some words"), RESET)):
        upstreams = FakeUpstreams(sse(*blocks))
        list(stream(upstreams.router, call(stream=True)))
        ((name, tokens),) = upstreams.tokens
        assert name == "openai"
        assert tokens > 2
    upstreams = FakeUpstreams(plain({**COMPLETION, "usage": None}))
    complete(upstreams.router, call())
    assert upstreams.tokens == [("openai", 4)]
