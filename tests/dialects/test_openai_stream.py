"""The stream of an OpenAI-compatible vendor as OpenAI would have sent it."""

import json

import pytest

from gateway.dialects.openai.adapter import ADAPTER
from gateway.errors import UpstreamFailed
from gateway.stream_events import PAUSE, Event, Pause
from tests.support.openai_dialect import target_request


def chunk(delta=None, finish_reason=None, **fields):
    choices = [{"index": 0, "delta": delta if delta is not None else {}, "finish_reason": finish_reason}]
    return {
        "id": "x",
        "object": "chat.completion.chunk",
        "created": 5,
        "model": "served",
        "choices": choices,
        **fields,
    }


def stream(*items):
    """The chunks that come of events, and of objects that become events, with [DONE] after them."""
    events = [item if isinstance(item, Event) else Event("", json.dumps(item).encode()) for item in items]
    return list(ADAPTER.chunks(target_request(), [*events, Event("", b"[DONE]")]))


def choices_of(chunks):
    return [choice for received in chunks for choice in received["choices"]]


def deltas(chunks):
    return [choice["delta"] for choice in choices_of(chunks)]


def test_only_the_first_delta_has_the_role():
    chunks = stream(chunk({"content": "a"}), chunk({"role": "assistant", "content": "b"}), chunk({}, "stop"))
    assert deltas(chunks) == [{"content": "a", "role": "assistant"}, {"content": "b"}, {}]


def test_a_pause_is_passed_on():
    event = Event("", json.dumps(chunk({"content": "a"})).encode())
    items = list(ADAPTER.chunks(target_request(), [PAUSE, event, PAUSE]))
    assert [isinstance(item, Pause) for item in items] == [True, False, True]


def test_id_model_and_created_are_the_same_in_every_chunk():
    chunks = stream(chunk({"content": "a"}), {**chunk({}, "stop"), "id": "other", "model": "m2", "created": 6.5})
    assert {(received["id"], received["model"], received["created"]) for received in chunks} == {("x", "served", 5)}


def test_a_first_chunk_without_an_id_gets_the_id_of_the_next():
    first = {"id": "", "model": "", "object": "", "choices": [], "prompt_filter_results": [1]}
    chunks = stream(first, chunk({"content": "a"}), chunk({}, "stop"))
    assert chunks[0]["prompt_filter_results"] == [1]
    assert {received["id"] for received in chunks} == {"x"}


@pytest.mark.parametrize(
    "vendor_chunks",
    [
        [chunk({}, "stop", usage={"prompt_tokens": 1})],
        [chunk({}, "stop"), {**chunk(), "choices": [], "usage": {"prompt_tokens": 1}}],
        [chunk({}, "stop"), chunk({}, usage={"prompt_tokens": 1})],
        [chunk({}, "stop", x_groq={"usage": {"prompt_tokens": 1}})],
        [chunk({"content": "a"}, usage={"prompt_tokens": 9}), chunk({}, "stop", usage={"prompt_tokens": 1})],
    ],
)
def test_usage_is_sent_in_a_last_chunk_whatever_chunk_had_it(vendor_chunks):
    chunks = stream(chunk({"content": "a"}), *vendor_chunks)
    assert [received["usage"] for received in chunks if received.get("usage")] == [{"prompt_tokens": 1}]
    assert chunks[-1]["choices"] == []
    assert [choice["finish_reason"] for choice in choices_of(chunks) if choice["finish_reason"]] == ["stop"]


def test_a_repeated_finish_reason_is_sent_once():
    chunks = stream(chunk({"content": "a"}, "stop"), chunk({"content": ""}, "stop"))
    assert [choice["finish_reason"] for choice in choices_of(chunks)] == ["stop"]


def test_content_after_a_finish_reason_is_sent():
    chunks = stream(chunk({"content": "a"}, "stop"), chunk({"content": "b"}, "stop"))
    assert "".join(delta["content"] for delta in deltas(chunks)) == "ab"


def test_tool_calls_are_numbered_from_zero_whatever_the_vendors_indexes():
    calls = [
        {"id": "a", "index": 1, "function": {"name": "f", "arguments": ""}},
        {"id": "", "index": 1, "function": {"name": "", "arguments": "{}"}},
        {"id": "b", "index": 1, "function": {"name": "g", "arguments": "{}"}},
        {"id": "c", "function": {"name": "h", "arguments": {"x": 1}}},
    ]
    chunks = stream(*(chunk({"tool_calls": [call]}) for call in calls))
    received = [delta["tool_calls"][0] for delta in deltas(chunks)]
    assert [call["index"] for call in received] == [0, 0, 1, 2]
    assert [call.get("id") for call in received] == ["a", None, "b", "c"]
    assert "name" not in received[1]["function"]
    assert json.loads(received[3]["function"]["arguments"]) == {"x": 1}


def test_reasoning_becomes_reasoning_content():
    chunks = stream(chunk({"reasoning": "Hm"}), chunk({"content": "Hi", "reasoning": None}), chunk({}, "stop"))
    assert deltas(chunks)[0] == {"reasoning_content": "Hm", "role": "assistant"}
    assert deltas(chunks)[1] == {"content": "Hi"}


def test_a_cumulative_message_beside_the_delta_is_removed():
    data = chunk({"content": "a"})
    data["choices"][0]["message"] = {"content": "a"}
    assert "message" not in stream(data)[0]["choices"][0]


@pytest.mark.parametrize("event", [Event("error", b'{"error": {"message": "over"}}'), Event("", b'{"error": "over"}')])
def test_an_error_event_is_raised(event):
    with pytest.raises(UpstreamFailed, match="over"):
        stream(chunk({"content": "a"}), event)


@pytest.mark.parametrize("data", [b"text", b"[]", b'"x"'])
def test_an_event_that_is_not_a_json_object_raises_upstream_failed(data):
    with pytest.raises(UpstreamFailed):
        stream(Event("", data))


def test_unknown_fields_are_passed_on():
    data = chunk({"content": "a", "unknown": 1}, unknown=2, obfuscation="xx")
    assert stream(data)[0] == {
        **data,
        "choices": [{**data["choices"][0], "delta": {"content": "a", "unknown": 1, "role": "assistant"}}],
    }
