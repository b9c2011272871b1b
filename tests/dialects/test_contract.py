"""What every adapter guarantees, tested for each dialect over the same kinds of response."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.catalog.vendors import VENDORS
from gateway.dialects import ADAPTERS
from gateway.dialects.contract import TargetRequest
from gateway.stream_events import PAUSE, Pause
from tests.support.chat_strategies import JSON
from tests.support.dialect_samples import SAMPLES

CHAT = {
    "model": "any",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "How is the weather in Köln and Rom?"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Köln"}'}},
                {"id": "c2", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rom"}'}},
            ],
        },
        {"role": "tool", "tool_call_id": "c2", "content": "sun"},
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "weather",
                "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
            },
        }
    ],
    "temperature": 1.5,
    "stop": ["END"],
    "seed": 7,
}
CASES = [
    pytest.param(dialect, data, to_events(data), id=f"{dialect}: {name}")
    for dialect, (_, responses, to_events) in SAMPLES.items()
    for name, data in responses.items()
]


def target_request(dialect, **chat):
    return TargetRequest({**CHAT, **chat}, "a-model", VENDORS[SAMPLES[dialect][0]], "chatcmpl-ours", 1700000000)


def chunks(dialect, events):
    return ADAPTERS[dialect].chunks(target_request(dialect, stream=True), events)


def folded(stream):
    """(message, finish reasons, usage) of a stream's chunks, put together as a client does."""
    message, reasons, usage = {}, [], None
    for chunk in stream:
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            message = with_delta(message, choice["delta"])
            reasons += [choice["finish_reason"]] if choice["finish_reason"] else []
    calls = message.pop("tool_calls", None)
    message |= {"tool_calls": [calls[index] for index in sorted(calls)]} if calls else {}
    return message, reasons, usage


def with_delta(message, delta):
    extended = dict(message)
    for name, value in delta.items():
        if name == "tool_calls":
            extended[name] = with_calls(message.get(name, {}), value)
        elif value is not None:
            extended[name] = message.get(name, type(value)()) + value
    return extended


def with_calls(calls, deltas):
    calls = dict(calls)
    for delta in deltas:
        before = calls.get(delta["index"], {"function": {"arguments": ""}})
        arguments = before["function"]["arguments"] + delta["function"].get("arguments", "")
        fields = {name: value for name, value in delta.items() if name != "index"}
        calls[delta["index"]] = {
            **before,
            **fields,
            "function": {**before["function"], **delta["function"], "arguments": arguments},
        }
    return calls


def without_empty_fields(message):
    return {name: value for name, value in message.items() if value not in (None, "", [])}


def test_every_dialect_has_samples():
    assert set(SAMPLES) == set(ADAPTERS)


@pytest.mark.parametrize("dialect", ADAPTERS)
@pytest.mark.parametrize("stream", [False, True])
def test_translating_a_request_leaves_the_clients_request_unchanged(dialect, stream):
    request = target_request(dialect, stream=stream)
    before = copy.deepcopy(request.chat)
    first, second = (ADAPTERS[dialect].vendor_request(request) for _ in range(2))
    assert request.chat == before
    assert first == second
    assert first.path.startswith("/")
    assert first.body["model"] == "a-model"
    assert all(isinstance(path, str) and path for path in first.dropped)


@pytest.mark.parametrize(("dialect", "data", "events"), CASES)
def test_translating_a_response_leaves_the_vendors_response_unchanged(dialect, data, events):
    before = copy.deepcopy(data)
    completion = ADAPTERS[dialect].completion(target_request(dialect), data)
    assert data == before
    assert completion["object"] == "chat.completion"
    assert completion["id"] == data["id"]
    assert completion["model"] == data["model"]
    assert completion["choices"][0]["message"]["role"] == "assistant"


@pytest.mark.parametrize(("dialect", "data", "events"), CASES)
def test_the_folded_stream_equals_the_plain_response(dialect, data, events):
    completion = ADAPTERS[dialect].completion(target_request(dialect), data)
    choice = completion["choices"][0]
    message, reasons, usage = folded(chunks(dialect, events))
    assert without_empty_fields(message) == without_empty_fields(choice["message"])
    assert reasons == [choice["finish_reason"]]
    assert usage == completion["usage"]


@pytest.mark.parametrize(("dialect", "data", "events"), CASES)
def test_the_chunks_of_a_stream_make_a_single_completion(dialect, data, events):
    stream = list(chunks(dialect, events))
    assert {(chunk["id"], chunk["model"], chunk["object"]) for chunk in stream} == {
        (data["id"], data["model"], "chat.completion.chunk")
    }
    assert len({chunk["created"] for chunk in stream}) == 1
    choices = [choice for chunk in stream for choice in chunk["choices"]]
    assert [choice["delta"].get("role") for choice in choices] == ["assistant"] + [None] * (len(choices) - 1)
    assert [choice["finish_reason"] for choice in choices][:-1] == [None] * (len(choices) - 1)
    assert choices[-1]["finish_reason"]
    assert stream[-1]["choices"] == []
    assert stream[-1]["usage"]


@pytest.mark.parametrize(("dialect", "data", "events"), CASES)
def test_tool_calls_are_numbered_from_zero(dialect, data, events):
    deltas = [choice["delta"] for chunk in chunks(dialect, events) for choice in chunk["choices"]]
    indexes = [call["index"] for delta in deltas for call in delta.get("tool_calls", ())]
    assert sorted(set(indexes)) == list(range(len(set(indexes))))
    assert indexes == sorted(indexes)


@pytest.mark.parametrize("dialect", ADAPTERS)
def test_no_chunk_comes_before_the_first_event(dialect):
    assert list(chunks(dialect, [])) == []


@pytest.mark.parametrize(("dialect", "data", "events"), CASES)
def test_pauses_are_passed_on_where_they_come(dialect, data, events):
    source = iter([item for event in events for item in (PAUSE, event)])
    stream = chunks(dialect, source)
    assert isinstance(next(stream), Pause)
    # The pause came through before the next event was read.
    assert next(source) == events[0]
    with_pauses = [PAUSE, *(item for event in events for item in (event, PAUSE))]
    items = list(chunks(dialect, with_pauses))
    assert isinstance(items[0], Pause)
    assert [item for item in items if not isinstance(item, Pause)] == list(chunks(dialect, events))


@pytest.mark.parametrize(("dialect", "data", "events"), CASES)
def test_a_truncated_stream_has_no_finish_reason(dialect, data, events):
    reasons = [folded(chunks(dialect, events[: events.index(event)]))[1] for event in events]
    ended = [finish_reasons for finish_reasons in reasons if finish_reasons]
    assert reasons[: len(reasons) - len(ended)] == [[]] * (len(reasons) - len(ended))
    # At most two events may follow the finish reason: the usage and the end of the stream.
    assert len(ended) <= 2


@pytest.mark.parametrize(("dialect", "data", "events"), CASES)
def test_the_framing_reads_events_from_any_fragments(dialect, data, events):
    text = b"".join(b"event: %b\ndata: %b\n\n" % (event.name.encode(), event.data) for event in events)
    blocks = [text[start : start + 5] for start in range(0, len(text), 5)]
    framed = [event for event in ADAPTERS[dialect].events(blocks, 1 << 20) if not isinstance(event, Pause)]
    assert [event.data for event in framed] == [event.data for event in events]


@pytest.mark.parametrize("dialect", ADAPTERS)
@pytest.mark.parametrize(
    "body", [{}, [], None, "text", {"error": "text"}, {"error": {"message": "text"}}, {"detail": []}]
)
def test_an_error_has_a_message_for_common_shapes_of_body(dialect, body):
    error = ADAPTERS[dialect].error(400, body)
    assert isinstance(error["message"], str)
    assert error["message"]


@pytest.mark.parametrize("dialect", ADAPTERS)
def test_the_api_key_is_sent_in_a_header(dialect):
    assert any("sk-1" in value for value in ADAPTERS[dialect].credentials("sk-1").values())


@given(st.sampled_from(sorted(ADAPTERS)), st.integers(400, 599), JSON)
@settings(max_examples=300, deadline=None)
def test_an_error_has_a_message_for_any_json_body(name, status, body):
    error = ADAPTERS[name].error(status, body)
    assert isinstance(error["message"], str)
    assert error["message"]
