"""OpenAI's messages as Anthropic's system prompt and turns."""

import pytest

from gateway.errors import InvalidRequest
from tests.support.anthropic_dialect import (
    REDACTED_THINKING,
    THINKING,
    USER,
    assistant_calling,
    text_part,
    tool_call,
    tool_result,
    turns,
    vendor_body,
    vendor_request,
)


def test_system_and_developer_messages_anywhere_make_the_system_prompt_in_order():
    sent = vendor_body(
        messages=[
            {"role": "system", "content": "one"},
            USER,
            {"role": "developer", "content": [text_part("two"), text_part("three")]},
            {"role": "assistant", "content": "Hi"},
            {"role": "system", "content": "four"},
            USER,
        ]
    )
    assert sent["system"] == [text_part("one"), text_part("two"), text_part("three"), text_part("four")]
    assert [turn["role"] for turn in sent["messages"]] == ["user", "assistant", "user"]


def test_a_system_prompt_without_any_turn_is_sent_as_a_user_turn():
    sent = vendor_body(messages=[{"role": "system", "content": "Write a poem."}])
    assert sent["messages"] == [{"role": "user", "content": [text_part("Write a poem.")]}]
    assert "system" not in sent


def test_consecutive_messages_of_the_same_role_make_a_single_turn():
    sent = turns(USER, USER, {"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}, USER)
    assert [(turn["role"], len(turn["content"])) for turn in sent] == [("user", 2), ("assistant", 2), ("user", 1)]


def test_blank_texts_are_dropped():
    sent = turns(
        USER, {"role": "assistant", "content": ""}, {"role": "user", "content": [text_part(" \n"), text_part("x")]}
    )
    assert sent == [{"role": "user", "content": [text_part("Hello"), text_part("x")]}]


def test_messages_without_any_content_are_refused():
    with pytest.raises(InvalidRequest) as error:
        vendor_request(messages=[{"role": "user", "content": "  "}])
    assert error.value.param == "messages"


def test_trailing_white_space_of_a_final_assistant_message_is_removed():
    sent = turns(USER, {"role": "assistant", "content": "The answer is \n"})
    assert sent[-1]["content"] == [text_part("The answer is")]


def test_a_refusal_is_sent_as_text_of_the_assistant():
    sent = turns(
        USER,
        {"role": "assistant", "content": None, "refusal": "No."},
        USER,
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "Never."}]},
        USER,
    )
    assert sent[1]["content"] == [text_part("No.")]
    assert sent[3]["content"] == [text_part("Never.")]


def test_results_of_parallel_calls_come_first_in_a_single_user_turn():
    sent = turns(
        USER,
        assistant_calling(tool_call("a"), tool_call("b")),
        {"role": "user", "content": "And?"},
        tool_result("b"),
        tool_result("a"),
    )
    assert [block["id"] for block in sent[1]["content"]] == ["a", "b"]
    assert [block["type"] for block in sent[2]["content"]] == ["tool_result", "tool_result", "text"]
    assert [block["tool_use_id"] for block in sent[2]["content"][:2]] == ["b", "a"]


def test_an_id_with_invalid_characters_is_changed_in_the_call_and_in_the_result():
    sent = turns(USER, assistant_calling(tool_call("functions.add:0")), tool_result("functions.add:0"))
    assert sent[1]["content"][0]["id"] == sent[2]["content"][0]["tool_use_id"] == "functions_add_0"


def test_calls_with_the_same_id_get_their_results_in_order():
    sent = turns(
        USER, assistant_calling(tool_call("a"), tool_call("a")), tool_result("a", "first"), tool_result("a", "second")
    )
    ids = [block["id"] for block in sent[1]["content"]]
    assert len(set(ids)) == 2
    assert [(block["tool_use_id"], block["content"]) for block in sent[2]["content"]] == [
        (ids[0], [text_part("first")]),
        (ids[1], [text_part("second")]),
    ]


def test_an_id_used_again_in_a_later_turn_is_another_call():
    sent = turns(
        USER, assistant_calling(tool_call("a")), tool_result("a"), assistant_calling(tool_call("a")), tool_result("a")
    )
    uses = [block["id"] for turn in sent for block in turn["content"] if block["type"] == "tool_use"]
    results = [block["tool_use_id"] for turn in sent for block in turn["content"] if block["type"] == "tool_result"]
    assert len(set(uses)) == 2
    assert results == uses


def test_arguments_become_an_object_whatever_their_text():
    arguments = ['{"city": "Köln"}', "", "null", '{"city": "Kö', "[1]", '{"big": 123456789012345678901234567890}']
    calls = [tool_call(f"c{n}", arguments=text) for n, text in enumerate(arguments)]
    sent = turns(USER, assistant_calling(*calls), *(tool_result(call["id"]) for call in calls))
    inputs = [block["input"] for block in sent[1]["content"]]
    assert inputs[:5] == [{"city": "Köln"}, {}, {}, {"arguments": '{"city": "Kö'}, {"arguments": "[1]"}]
    assert list(inputs[5]) == ["big"]


def test_arguments_too_deep_for_the_json_writer_are_sent_as_text():
    deep = '{"a":' * 230 + "1" + "}" * 230
    sent = turns(USER, assistant_calling(tool_call("a", arguments=deep)), tool_result("a"))
    assert sent[1]["content"][0]["input"] == {"arguments": deep}


def test_a_tool_call_without_a_result_is_refused():
    for messages in (
        [USER, assistant_calling(tool_call("a"))],
        [USER, assistant_calling(tool_call("a"), tool_call("b")), tool_result("a"), USER],
    ):
        with pytest.raises(InvalidRequest) as error:
            vendor_request(messages=messages)
        assert error.value.param.startswith("messages[1].tool_calls[")


def test_a_tool_result_without_a_call_is_refused():
    for messages in (
        [USER, tool_result("a")],
        [USER, assistant_calling(tool_call("a")), tool_result("a"), tool_result("a")],
    ):
        with pytest.raises(InvalidRequest) as error:
            vendor_request(messages=messages)
        assert error.value.param == f"messages[{len(messages) - 1}].tool_call_id"


def test_an_empty_tool_result_is_sent_without_content():
    assert turns(USER, assistant_calling(tool_call("a")), tool_result("a", ""))[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "a"}
    ]


def test_legacy_results_are_matched_to_their_calls_by_function_name():
    calling = {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": "{}"}}
    sent = turns(
        USER,
        calling,
        {"role": "function", "name": "weather", "content": "sun"},
        calling,
        {"role": "function", "name": "weather", "content": "rain"},
    )
    uses = [block["id"] for turn in sent for block in turn["content"] if block["type"] == "tool_use"]
    results = [block["tool_use_id"] for turn in sent for block in turn["content"] if block["type"] == "tool_result"]
    assert uses == results
    assert len(set(uses)) == 2


def test_a_call_of_a_custom_tool_has_its_text_as_its_only_input():
    call = {"id": "a", "type": "custom", "custom": {"name": "grep", "input": "needle"}}
    sent = turns(USER, assistant_calling(call), tool_result("a"))
    assert sent[1]["content"] == [{"type": "tool_use", "id": "a", "name": "grep", "input": {"input": "needle"}}]


def test_signed_thinking_blocks_come_first_in_their_turn():
    response = {
        "role": "assistant",
        "content": "Hi",
        "reasoning_content": "Hm.",
        "thinking_blocks": [THINKING, REDACTED_THINKING],
    }
    sent = vendor_request(messages=[USER, response, USER])
    assert sent.body["messages"][1]["content"] == [THINKING, REDACTED_THINKING, text_part("Hi")]
    assert sent.dropped == ()


def test_reasoning_without_a_signature_is_dropped_and_reported():
    first = {"role": "assistant", "content": "Hi", "reasoning_content": "Hm."}
    second = {"role": "assistant", "content": "Hi", "thinking_blocks": [{"type": "thinking", "thinking": "Hm."}]}
    sent = vendor_request(messages=[USER, first, USER, second, USER])
    assert sent.dropped == ("messages[1].reasoning_content", "messages[3].thinking_blocks[0]")
