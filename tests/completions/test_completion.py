"""The frames that a client is sent."""

import json
import time

import pytest

from gateway.completions.completion import complete
from gateway.completions.event_stream import stream
from gateway.errors import ClientDisconnected, UpstreamFailed
from gateway.stream_events import PAUSE
from tests.support.fakes import COMPLETION, RESET, USAGE, Room, call, chunk, plain, sse


def frames(room, asked):
    """The data of every frame, parsed."""
    wire = b"".join(stream(room.router, asked))
    lines = [line for line in wire.decode().split("\n\n") if line]
    assert all(line.startswith("data: ") for line in lines)
    return [line if line == "data: [DONE]" else json.loads(line[6:]) for line in lines]


WHOLE = (chunk("a", role="assistant"), chunk("b"), chunk(finish="stop"), USAGE, "[DONE]")


def test_usage_that_was_not_asked_for_is_not_told_but_known():
    asked = call(stream=True)
    told = frames(Room(sse(*WHOLE)), asked)
    assert told[-1] == "data: [DONE]"
    assert all("usage" not in one and one["choices"] for one in told[:-1])
    assert asked.usage == USAGE["usage"]
    assert asked.outcome == "completed"


def test_usage_that_was_asked_for_is_null_until_its_own_chunk():
    told = frames(Room(sse(*WHOLE)), call(stream=True, stream_options={"include_usage": True}))
    assert [one["usage"] for one in told[:-1]] == [None, None, None, USAGE["usage"]]
    assert told[-2]["choices"] == []


def test_usage_that_no_upstream_counted_is_estimated_and_says_so():
    told = frames(Room(sse(*WHOLE[:3])), call(stream=True, stream_options={"include_usage": True}))
    assert told[-2]["usage"]["estimated"] is True
    assert told[-2]["usage"]["completion_tokens"] > 0
    answer = complete(Room(plain({**COMPLETION, "usage": None})).router, call())
    assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "estimated": True}


def test_a_stream_that_breaks_ends_with_an_error_frame_and_nothing_after():
    asked = call(stream=True, stream_options={"include_usage": True})
    told = frames(Room(sse(chunk("a"), RESET)), asked)
    assert told[-1]["error"].keys() == {"message", "type", "param", "code"}
    assert not any(one["choices"][0]["finish_reason"] for one in told[:-1])
    assert (asked.outcome, type(asked.error)) == ("failed", UpstreamFailed)


def test_a_failure_before_content_is_raised_not_sent():
    with pytest.raises(UpstreamFailed):
        stream(Room(sse(RESET)).router, call(stream=True))


def test_what_arrived_together_is_sent_together():
    block = b"".join(b"data: %b\n\n" % json.dumps(one).encode() for one in WHOLE[:3])
    assert len(list(stream(Room(sse(block, "[DONE]")).router, call(stream=True)))) == 2


def test_a_stream_that_nobody_answered_in_time_begins_with_pings_and_signs_its_last_chunk():
    asked = call(stream=True)
    blocks = list(stream(Room(sse(PAUSE, *WHOLE)).router, asked, first_content=0, ping_every=0))
    assert blocks[0] == b": ping\n"
    chunks = [json.loads(line[6:]) for line in b"".join(blocks).splitlines() if line.startswith(b"data: {")]
    assert chunks[-1]["gateway"] == {"attempts": "openai:200", "provider": "openai", "model": "gpt-x"}
    assert not any("gateway" in one for one in chunks[:-1])


def test_after_the_pings_a_failure_is_an_error_frame():
    blocks = list(stream(Room(sse(PAUSE, RESET)).router, call(stream=True), first_content=0))
    assert b'"error"' in blocks[-1]
    assert b"DONE" not in blocks[-1]


def test_a_client_that_left_leaves_the_call_abandoned():
    asked = call(stream=True)
    list(stream(Room(sse(chunk("a"), ClientDisconnected("left"))).router, asked))
    assert asked.outcome == "client_disconnected"


def test_a_stream_that_is_closed_early_leaves_the_call_abandoned_and_the_upstream_closed():
    room, asked = Room(sse(*WHOLE)), call(stream=True)
    frames = stream(room.router, asked)
    next(frames)
    frames.close()
    asked.close()
    assert asked.outcome == "client_disconnected"
    assert room.transport.given[0].closed


def test_the_client_must_hear_something_in_time():
    asked, before = call(stream=True), time.monotonic()
    stream(Room(sse(*WHOLE)).router, asked)
    assert before < asked.watch.yield_at < before + 15


def test_a_plain_answer_is_accounted():
    asked = call()
    assert complete(Room(plain(COMPLETION)).router, asked) == COMPLETION
    assert (asked.usage, asked.outcome) == (COMPLETION["usage"], "completed")


def test_what_was_used_is_settled_also_when_it_is_only_estimated_or_the_answer_breaks_off():
    for blocks in (WHOLE, WHOLE[:3], (chunk("some words"), RESET)):
        room = Room(sse(*blocks))
        list(stream(room.router, call(stream=True)))
        ((name, tokens),) = room.record_tokens
        assert name == "openai"
        assert tokens > 2
    room = Room(plain({**COMPLETION, "usage": None}))
    complete(room.router, call())
    assert room.record_tokens == [("openai", 7)]
