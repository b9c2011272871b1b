"""Anthropic's stream events as OpenAI chunks."""

import json

import pytest

from gateway.dialects.anthropic.adapter import ADAPTER
from gateway.errors import UpstreamCredentials, UpstreamFailed, UpstreamLimited, UpstreamRejected
from gateway.stream_events import Event, Pause
from tests.support.anthropic_dialect import GREP, message, target_request, text_part, tool_use

START = {
    "type": "message_start",
    "message": {**message(stop_reason=None), "usage": {"input_tokens": 3, "output_tokens": 1}},
}
ENDING = [
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
    {"type": "message_stop"},
]


def stream(*items, **chat):
    """The chunks of a stream of events, pauses, and objects that become events."""
    events = [item if isinstance(item, Pause | Event) else Event("", json.dumps(item).encode()) for item in items]
    return list(ADAPTER.chunks(target_request(stream=True, **chat), events))


def deltas(chunks):
    return [choice["delta"] for chunk in chunks for choice in chunk["choices"]]


def block_start(index, block):
    return {"type": "content_block_start", "index": index, "content_block": block}


def block_delta(index, kind, **delta):
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **delta}}


def block_stop(index):
    return {"type": "content_block_stop", "index": index}


def test_the_first_delta_has_the_role_and_pings_are_ignored():
    chunks = stream(
        {"type": "ping"},
        START,
        {"type": "ping"},
        block_start(0, text_part("")),
        block_delta(0, "text_delta", text="Hi"),
    )
    assert deltas(chunks) == [{"role": "assistant", "content": ""}, {"content": "Hi"}]


def test_the_stream_ends_with_message_stop_without_reading_on():
    def events():
        for event in (
            START,
            block_start(0, text_part("")),
            block_delta(0, "text_delta", text="Hi"),
            block_stop(0),
            *ENDING,
        ):
            yield Event("", json.dumps(event).encode())
        raise AssertionError("the stream was read past message_stop")

    last = list(ADAPTER.chunks(target_request(stream=True), events()))[-1]
    assert last["usage"]["completion_tokens"] == 5


def test_tool_call_indexes_start_at_zero_after_text_and_server_tools():
    chunks = stream(
        START,
        block_start(0, text_part("")),
        block_stop(0),
        block_start(1, {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}),
        block_delta(1, "input_json_delta", partial_json='{"query":"x"}'),
        block_stop(1),
        block_start(2, tool_use("a")),
        block_delta(2, "input_json_delta", partial_json=""),
        block_delta(2, "input_json_delta", partial_json='{"city":'),
        block_delta(2, "input_json_delta", partial_json='"Rom"}'),
        block_stop(2),
        block_start(3, tool_use("b")),
        block_stop(3),
        *ENDING,
    )
    calls = [call for delta in deltas(chunks) for call in delta.get("tool_calls", ())]
    assert [(call["index"], call.get("id"), call["function"]["arguments"]) for call in calls] == [
        (0, "a", ""),
        (0, None, '{"city":'),
        (0, None, '"Rom"}'),
        (1, "b", ""),
        (1, None, "{}"),
    ]
    assert chunks[-2]["choices"][0]["finish_reason"] == "tool_calls"


def test_arguments_that_are_complete_in_the_block_start_are_sent():
    chunks = stream(START, block_start(0, tool_use("a", city="Rom")), block_stop(0), *ENDING)
    assert deltas(chunks)[2]["tool_calls"][0]["function"]["arguments"] == '{"city":"Rom"}'


def test_usage_has_the_last_report_of_each_count():
    last = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    counts = {
        "input_tokens": 4,
        "cache_read_input_tokens": 6,
        "cache_creation_input_tokens": None,
        "output_tokens": 5,
    }
    chunks = stream(START, {**last, "usage": counts}, ENDING[1])
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["prompt_tokens"] == 10
    assert chunks[-1]["usage"]["completion_tokens"] == 5
    assert chunks[-1]["usage"]["prompt_tokens_details"] == {"cached_tokens": 6, "cache_write_tokens": 0}


def test_thinking_is_streamed_and_then_sent_complete_with_its_signature():
    chunks = stream(
        START,
        block_start(0, {"type": "thinking", "thinking": "", "signature": ""}),
        block_delta(0, "thinking_delta", thinking="Hm"),
        block_delta(0, "thinking_delta", thinking="."),
        block_delta(0, "signature_delta", signature="c2ln"),
        block_stop(0),
        block_start(1, {"type": "redacted_thinking", "data": "ZGF0YQ=="}),
        block_stop(1),
    )
    assert deltas(chunks)[1:] == [
        {"reasoning_content": "Hm"},
        {"reasoning_content": "."},
        {"thinking_blocks": [{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}]},
        {"thinking_blocks": [{"type": "redacted_thinking", "data": "ZGF0YQ=="}]},
    ]


def test_annotations_follow_their_text():
    page = {"type": "web_search_result_location", "url": "https://example.com", "title": "Page"}
    chunks = stream(
        START,
        block_start(0, text_part("")),
        block_delta(0, "text_delta", text="It rains."),
        block_delta(0, "citations_delta", citation=page),
        block_stop(0),
    )
    (note,) = deltas(chunks)[-1]["annotations"]
    assert (note["url_citation"]["start_index"], note["url_citation"]["end_index"]) == (0, 9)


def test_the_text_of_a_custom_tool_call_is_sent_when_it_is_complete():
    parts = ['{"inp', 'ut": "nee', 'dle"}']
    chunks = stream(
        START,
        block_start(0, tool_use("a", name="grep")),
        *(block_delta(0, "input_json_delta", partial_json=part) for part in parts),
        block_stop(0),
        *ENDING,
        tools=[GREP],
    )
    assert deltas(chunks)[1] == {
        "tool_calls": [{"index": 0, "id": "a", "type": "custom", "custom": {"name": "grep", "input": "needle"}}]
    }


def test_a_request_with_functions_gets_deltas_of_a_function_call():
    chunks = stream(
        START,
        block_start(0, tool_use("a")),
        block_delta(0, "input_json_delta", partial_json='{"city":"Rom"}'),
        block_stop(0),
        *ENDING,
        functions=[{"name": "weather"}],
    )
    assert deltas(chunks)[1:3] == [
        {"function_call": {"name": "weather", "arguments": ""}},
        {"function_call": {"arguments": '{"city":"Rom"}'}},
    ]
    assert chunks[-2]["choices"][0]["finish_reason"] == "function_call"


def test_openais_done_event_is_ignored():
    chunks = stream(START, *ENDING, Event("data", b"[DONE]"))
    assert chunks[-1]["usage"]["completion_tokens"] == 5


def test_a_stream_without_message_stop_is_complete_after_its_stop_reason():
    chunks = stream(START, ENDING[0])
    assert [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"]][-1] == "stop"
    assert chunks[-1]["usage"]["completion_tokens"] == 5


def test_unknown_events_and_blocks_are_ignored():
    chunks = stream(
        START,
        {"type": "something_new"},
        {"no": "type"},
        block_start(0, {"type": "fallback", "from": {}, "to": {}}),
        block_delta(0, "something_new", text="x"),
        block_stop(0),
        block_stop(7),
    )
    assert deltas(chunks) == [{"role": "assistant", "content": ""}]


@pytest.mark.parametrize(
    ("kind", "error_class", "status"),
    [
        ("overloaded_error", UpstreamFailed, 529),
        ("api_error", UpstreamFailed, 500),
        ("rate_limit_error", UpstreamLimited, 429),
        ("authentication_error", UpstreamCredentials, 401),
        ("invalid_request_error", UpstreamRejected, 400),
        ("something_new", UpstreamFailed, 502),
    ],
)
def test_an_error_event_raises_the_error_of_its_type(kind, error_class, status):
    event = {"type": "error", "error": {"type": kind, "message": "Details"}}
    with pytest.raises(error_class) as error:
        stream(START, Event("error", json.dumps(event).encode()))
    assert error.value.upstream_status == status
    assert error.value.message == "Details"


@pytest.mark.parametrize("data", [b"{", b"[]", b"\xff", b"null"])
def test_an_event_that_is_not_a_json_object_raises_upstream_failed(data):
    with pytest.raises(UpstreamFailed):
        stream(START, Event("", data))
