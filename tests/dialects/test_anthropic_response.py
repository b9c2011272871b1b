"""Anthropic's message as an OpenAI completion."""

import pytest

from gateway.dialects.anthropic.adapter import ADAPTER
from gateway.errors import UpstreamFailed
from tests.support.anthropic_dialect import (
    GREP,
    REDACTED_THINKING,
    THINKING,
    USER,
    message,
    target_request,
    text_part,
    tool_result,
    tool_use,
    vendor_request,
)


def completion(*blocks, stop_reason="end_turn", chat=None, **fields):
    return ADAPTER.completion(target_request(**(chat or {})), message(*blocks, stop_reason=stop_reason, **fields))


def first_choice(*blocks, **fields):
    return completion(*blocks, **fields)["choices"][0]


def test_a_completion_has_the_messages_id_and_model():
    response = completion(text_part("Hi"))
    assert (response["id"], response["model"], response["created"]) == ("msg_1", "claude-served", 1700000000)


def test_texts_are_joined_and_tool_use_blocks_become_tool_calls():
    received = first_choice(text_part("a"), text_part("b"), tool_use(city="Köln"), stop_reason="tool_use")
    assert received["message"]["content"] == "ab"
    assert received["message"]["tool_calls"] == [
        {"id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Köln"}'}}
    ]
    assert received["finish_reason"] == "tool_calls"


def test_content_is_null_beside_tool_calls_and_empty_without_any_block():
    assert first_choice(tool_use(), stop_reason="tool_use")["message"]["content"] is None
    assert first_choice()["message"]["content"] == ""


def test_thinking_becomes_reasoning_content_and_signed_thinking_blocks():
    received = first_choice(THINKING, REDACTED_THINKING, text_part("Hi"))["message"]
    assert received["reasoning_content"] == "Hm."
    assert received["thinking_blocks"] == [THINKING, REDACTED_THINKING]


def test_thinking_blocks_of_a_response_are_sent_back_unmodified():
    received = first_choice(THINKING, tool_use(), stop_reason="tool_use")["message"]
    sent = vendor_request(messages=[USER, received, tool_result("toolu_1")], reasoning_effort="low")
    assert sent.body["messages"][1]["content"] == [THINKING, tool_use()]
    assert "thinking" in sent.body
    assert sent.dropped == ()


@pytest.mark.parametrize(
    ("stop_reason", "finish_reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("compaction", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("something_new", "stop"),
        (None, "stop"),
    ],
)
def test_stop_reasons_are_translated_to_openais_finish_reasons(stop_reason, finish_reason):
    assert first_choice(text_part("Hi"), stop_reason=stop_reason)["finish_reason"] == finish_reason


def test_tool_calls_make_the_finish_reason_unless_the_message_was_truncated():
    assert first_choice(tool_use(), stop_reason="end_turn")["finish_reason"] == "tool_calls"
    assert first_choice(tool_use(), stop_reason="max_tokens")["finish_reason"] == "length"


def test_blocks_of_tools_that_anthropic_runs_are_omitted():
    received = first_choice(
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
        {"type": "mcp_tool_use", "id": "m", "name": "x", "server_name": "y", "input": {}},
        {"type": "something_new"},
        text_part("Done"),
    )
    assert received["message"] == {"role": "assistant", "content": "Done", "refusal": None}
    assert received["finish_reason"] == "stop"


def test_cached_tokens_count_as_prompt_tokens():
    reported = {
        "input_tokens": 3,
        "cache_read_input_tokens": 20,
        "cache_creation_input_tokens": 100,
        "output_tokens": 5,
        "output_tokens_details": {"thinking_tokens": 2},
    }
    assert completion(text_part("Hi"), usage=reported)["usage"] == {
        "prompt_tokens": 123,
        "completion_tokens": 5,
        "total_tokens": 128,
        "prompt_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 100},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }


def test_tokens_of_compaction_are_added_to_the_totals():
    iterations = [
        {"type": "compaction", "input_tokens": 1000, "output_tokens": 50, "cache_read_input_tokens": 7},
        {"type": "message", "input_tokens": 3, "output_tokens": 5},
    ]
    usage = completion(usage={"input_tokens": 3, "output_tokens": 5, "iterations": iterations})["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (1010, 55)


def test_cited_web_pages_become_annotations_of_the_citing_text():
    page = {"type": "web_search_result_location", "url": "https://example.com", "title": None}
    passage = {"type": "char_location", "document_index": 0}
    received = first_choice(text_part("Look: "), {**text_part("rain"), "citations": [page, passage]})["message"]
    assert received["annotations"] == [
        {
            "type": "url_citation",
            "url_citation": {"start_index": 6, "end_index": 10, "url": "https://example.com", "title": ""},
        }
    ]


def test_a_request_with_functions_gets_a_function_call():
    received = first_choice(tool_use(city="Rom"), stop_reason="tool_use", chat={"functions": [{"name": "weather"}]})
    assert received["message"]["function_call"] == {"name": "weather", "arguments": '{"city":"Rom"}'}
    assert "tool_calls" not in received["message"]
    assert received["finish_reason"] == "function_call"


def test_a_call_of_a_custom_tool_has_its_text_as_input():
    received = first_choice(tool_use(name="grep", input="needle"), stop_reason="tool_use", chat={"tools": [GREP]})
    assert received["message"]["tool_calls"] == [
        {"id": "toolu_1", "type": "custom", "custom": {"name": "grep", "input": "needle"}}
    ]


def test_the_service_tier_has_openais_name():
    assert completion(usage={"output_tokens": 1, "service_tier": "standard"})["service_tier"] == "default"
    assert "service_tier" not in completion(usage={"output_tokens": 1, "service_tier": "batch"})


def test_an_error_in_a_200_is_raised():
    with pytest.raises(UpstreamFailed) as error:
        ADAPTER.completion(
            target_request(), {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
        )
    assert (error.value.upstream_status, error.value.message) == (529, "Overloaded")


@pytest.mark.parametrize("data", [{}, {"content": "text"}, [], None, "text"])
def test_a_body_that_is_not_a_message_raises_upstream_failed(data):
    with pytest.raises(UpstreamFailed):
        ADAPTER.completion(target_request(), data)
