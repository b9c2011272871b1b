"""What every adapter owes: one test list for all dialects, over answers that are written here by hand."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.catalog.vendors import VENDORS
from gateway.dialects import ADAPTERS
from gateway.dialects.contract import TargetRequest
from gateway.stream_events import PAUSE, Event, Pause
from tests.support.chat_strategies import JSON

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


def anthropic_message(blocks, stop="end_turn"):
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-served",
        "content": blocks,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 9,
            "cache_read_input_tokens": 4,
            "cache_creation_input_tokens": 2,
            "output_tokens": 7,
        },
    }


def pieces(text):
    """A text in pieces of three characters."""
    return [text[at : at + 3] for at in range(0, len(text), 3)]


def anthropic_events(message):
    """The stream that would have given a message."""
    usage = message["usage"]
    begun = {**message, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    said = [{"type": "message_start", "message": begun}, {"type": "ping"}]
    for index, block in enumerate(message["content"]):
        said += anthropic_block(index, block)
    end = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    said += [{"type": "message_delta", "delta": end, "usage": {"output_tokens": usage["output_tokens"]}}]
    said += [{"type": "message_stop"}]
    return [Event(one["type"], json.dumps(one).encode()) for one in said]


def anthropic_block(index, block):
    match block["type"]:
        case "text":
            begun = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])]
            deltas += [{"type": "citations_delta", "citation": one} for one in block.get("citations", ())]
        case "thinking":
            begun = {"type": "thinking", "thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"])]
            deltas += [{"type": "signature_delta", "signature": block["signature"]}]
        case "tool_use":
            begun = {**block, "input": {}}
            text = json.dumps(block["input"], separators=(",", ":"), ensure_ascii=False) if block["input"] else ""
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ["", *pieces(text)]]
        case _:
            begun, deltas = block, []
    yield {"type": "content_block_start", "index": index, "content_block": begun}
    for delta in deltas:
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def openai_completion(message, finish="stop"):
    usage = {"prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16}
    return {
        "id": "chatcmpl-theirs",
        "object": "chat.completion",
        "created": 5,
        "model": "gpt-served",
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}],
        "usage": usage,
    }


def openai_events(completion):
    """The stream that would have given a completion."""
    choice, same = completion["choices"][0], {**completion, "object": "chat.completion.chunk", "usage": None}
    message = choice["message"]
    deltas = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": piece} for piece in pieces(message.get("reasoning_content") or "")]
    deltas += [{"content": piece} for piece in pieces(message["content"] or "")]
    for index, call in enumerate(message.get("tool_calls", ())):
        function = call["function"]
        deltas += [{"tool_calls": [{**call, "index": index, "function": {**function, "arguments": ""}}]}]
        for piece in pieces(function["arguments"]):
            deltas += [{"tool_calls": [{"index": index, "function": {"arguments": piece}}]}]
    said = [{**same, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    said += [{**same, "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]}]
    said += [{**same, "choices": [], "usage": completion["usage"]}]
    return [*(Event("", json.dumps(one).encode()) for one in said), Event("", b"[DONE]")]


TEXT = "Grüß Gott, 世界: 🌧."
CALLS = [("call_a", {"city": "Köln"}), ("call_b", {}), ("call_c", {"city": "Rom", "days": [1, 2.5, None]})]
PAGE = {"type": "web_search_result_location", "url": "https://example.com", "title": "Page", "cited_text": "rain"}

ANTHROPIC = {
    "text": anthropic_message([{"type": "text", "text": TEXT}]),
    "nothing": anthropic_message([]),
    "cut short": anthropic_message([{"type": "text", "text": "One, two"}], stop="max_tokens"),
    "refused": anthropic_message([{"type": "text", "text": "I"}], stop="refusal"),
    "parallel calls after text": anthropic_message(
        [
            {"type": "text", "text": "Let me look."},
            *({"type": "tool_use", "id": ident, "name": "weather", "input": given} for ident, given in CALLS),
        ],
        stop="tool_use",
    ),
    "calls alone": anthropic_message(
        [{"type": "tool_use", "id": "call_a", "name": "weather", "input": {"city": "Rom"}}], stop="tool_use"
    ),
    "thoughts": anthropic_message(
        [
            {"type": "thinking", "thinking": "Hm, 世界.", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "ZGF0YQ=="},
            {"type": "text", "text": TEXT},
        ]
    ),
    "web search": anthropic_message(
        [
            {"type": "text", "text": "I look it up. "},
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "rain"}},
            {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
            {"type": "text", "text": "It rains.", "citations": [PAGE]},
        ]
    ),
}
OPENAI = {
    "text": openai_completion({"content": TEXT}),
    "cut short": openai_completion({"content": "One, two"}, finish="length"),
    "thoughts": openai_completion({"content": TEXT, "reasoning_content": "Hm, 世界."}),
    "parallel calls after text": openai_completion(
        {
            "content": "Let me look.",
            "tool_calls": [
                {"id": ident, "type": "function", "function": {"name": "weather", "arguments": json.dumps(given)}}
                for ident, given in CALLS
            ],
        },
        finish="tool_calls",
    ),
}
# dialect -> (a vendor, its answers, how they are streamed)
SAMPLES = {
    "anthropic": ("anthropic", ANTHROPIC, anthropic_events),
    "openai": ("openai", OPENAI, openai_events),
}
CASES = [
    pytest.param(dialect, data, stream(data), id=f"{dialect}: {name}")
    for dialect, (_, answers, stream) in SAMPLES.items()
    for name, data in answers.items()
]


def ask(dialect, **chat):
    return TargetRequest({**CHAT, **chat}, "a-model", VENDORS[SAMPLES[dialect][0]], "chatcmpl-ours", 1700000000)


def folded(chunks):
    """The completion that a stream gives, and the deltas in it."""
    message, finishes, usage = {}, [], None
    for chunk in chunks:
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            message = grown(message, choice["delta"])
            finishes += [choice["finish_reason"]] if choice["finish_reason"] else []
    calls = message.pop("tool_calls", None)
    message |= {"tool_calls": [calls[index] for index in sorted(calls)]} if calls else {}
    return message, finishes, usage


def grown(message, delta):
    grown_message = dict(message)
    for name, value in delta.items():
        if name == "tool_calls":
            grown_message[name] = with_calls(message.get(name, {}), value)
        elif value is not None:
            grown_message[name] = message.get(name, type(value)()) + value
    return grown_message


def with_calls(calls, deltas):
    calls = dict(calls)
    for delta in deltas:
        before = calls.get(delta["index"], {"function": {"arguments": ""}})
        text = before["function"]["arguments"] + delta["function"].get("arguments", "")
        told = {name: value for name, value in delta.items() if name != "index"}
        calls[delta["index"]] = {
            **before,
            **told,
            "function": {**before["function"], **delta["function"], "arguments": text},
        }
    return calls


def plain(message):
    """A message without what says nothing."""
    return {name: value for name, value in message.items() if value not in (None, "", [])}


def test_every_dialect_has_its_samples():
    assert set(SAMPLES) == set(ADAPTERS)


@pytest.mark.parametrize("dialect", ADAPTERS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_request_is_made_without_touching_the_clients(dialect, stream):
    asked = ask(dialect, stream=stream)
    before = copy.deepcopy(asked.chat)
    first, second = (ADAPTERS[dialect].vendor_request(asked) for _ in range(2))
    assert asked.chat == before
    assert first == second
    assert first.path.startswith("/")
    assert first.body["model"] == "a-model"
    assert all(isinstance(path, str) and path for path in first.dropped)


@pytest.mark.parametrize(("dialect", "data", "events"), CASES)
def test_an_answer_is_read_without_touching_the_vendors(dialect, data, events):
    before = copy.deepcopy(data)
    completion = ADAPTERS[dialect].completion(ask(dialect), data)
    assert data == before
    assert completion["object"] == "chat.completion"
    assert completion["id"] == data["id"]
    assert completion["model"] == data["model"]
    assert completion["choices"][0]["message"]["role"] == "assistant"


@pytest.mark.parametrize(("dialect", "data", "events"), CASES)
def test_the_folded_stream_is_the_plain_answer(dialect, data, events):
    completion = ADAPTERS[dialect].completion(ask(dialect), data)
    choice = completion["choices"][0]
    message, finishes, usage = folded(ADAPTERS[dialect].chunks(ask(dialect, stream=True), events))
    assert plain(message) == plain(choice["message"])
    assert finishes == [choice["finish_reason"]]
    assert usage == completion["usage"]


@pytest.mark.parametrize(("dialect", "data", "events"), CASES)
def test_a_stream_is_one_answer(dialect, data, events):
    chunks = list(ADAPTERS[dialect].chunks(ask(dialect, stream=True), events))
    assert {(chunk["id"], chunk["model"], chunk["object"]) for chunk in chunks} == {
        (data["id"], data["model"], "chat.completion.chunk")
    }
    assert len({chunk["created"] for chunk in chunks}) == 1
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert [choice["delta"].get("role") for choice in choices] == ["assistant"] + [None] * (len(choices) - 1)
    assert [choice["finish_reason"] for choice in choices][:-1] == [None] * (len(choices) - 1)
    assert choices[-1]["finish_reason"]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]


@pytest.mark.parametrize(("dialect", "data", "events"), CASES)
def test_tool_calls_are_numbered_from_zero(dialect, data, events):
    chunks = ADAPTERS[dialect].chunks(ask(dialect, stream=True), events)
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    indexes = [call["index"] for delta in deltas for call in delta.get("tool_calls", ())]
    assert sorted(set(indexes)) == list(range(len(set(indexes))))
    assert indexes == sorted(indexes)


@pytest.mark.parametrize("dialect", ADAPTERS)
def test_nothing_is_said_before_the_first_event(dialect):
    assert list(ADAPTERS[dialect].chunks(ask(dialect, stream=True), [])) == []


@pytest.mark.parametrize(("dialect", "data", "events"), CASES)
def test_pauses_are_passed_on_as_they_come(dialect, data, events):
    given = iter([one for event in events for one in (PAUSE, event)])
    chunks = ADAPTERS[dialect].chunks(ask(dialect, stream=True), given)
    assert isinstance(next(chunks), Pause)
    assert next(given) == events[0]  # it had not been read
    paused = [PAUSE, *(one for event in events for one in (event, PAUSE))]
    heard = list(ADAPTERS[dialect].chunks(ask(dialect, stream=True), paused))
    assert isinstance(heard[0], Pause)
    assert [one for one in heard if not isinstance(one, Pause)] == list(
        ADAPTERS[dialect].chunks(ask(dialect, stream=True), events)
    )


@pytest.mark.parametrize(("dialect", "data", "events"), CASES)
def test_a_stream_that_is_cut_before_its_end_has_no_finish_reason(dialect, data, events):
    reasons = []
    for event in events:
        _, finishes, _ = folded(ADAPTERS[dialect].chunks(ask(dialect, stream=True), events[: events.index(event)]))
        reasons.append(finishes)
    ended = [finishes for finishes in reasons if finishes]
    assert reasons[: len(reasons) - len(ended)] == [[]] * (len(reasons) - len(ended))
    assert len(ended) <= 2  # what may still follow: the usage, the end


@pytest.mark.parametrize(("dialect", "data", "events"), CASES)
def test_the_framing_finds_the_events_in_any_fragments(dialect, data, events):
    text = b"".join(b"event: %b\ndata: %b\n\n" % (event.name.encode(), event.data) for event in events)
    blocks = [text[at : at + 5] for at in range(0, len(text), 5)]
    found = [one for one in ADAPTERS[dialect].events(blocks) if not isinstance(one, Pause)]
    assert [one.data for one in found] == [event.data for event in events]


@pytest.mark.parametrize("dialect", ADAPTERS)
@pytest.mark.parametrize(
    "body", [{}, [], None, "text", {"error": "text"}, {"error": {"message": "text"}}, {"detail": []}]
)
def test_an_error_of_any_shape_has_a_message(dialect, body):
    told = ADAPTERS[dialect].error(400, body)
    assert isinstance(told["message"], str)
    assert told["message"]


@pytest.mark.parametrize("dialect", ADAPTERS)
def test_a_key_goes_into_a_header(dialect):
    assert any("sk-1" in value for value in ADAPTERS[dialect].credentials("sk-1").values())


@given(st.sampled_from(sorted(ADAPTERS)), st.integers(400, 599), JSON)
@settings(max_examples=300, deadline=None)
def test_an_error_body_of_any_shape_has_words(name, status, body):
    said = ADAPTERS[name].error(status, body)
    assert isinstance(said["message"], str)
    assert said["message"]
