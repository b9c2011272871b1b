"""The response of an OpenAI-compatible vendor as OpenAI would have sent it."""

import json

import pytest

from gateway.dialects.openai.adapter import ADAPTER
from gateway.errors import UpstreamCredentials, UpstreamFailed, UpstreamLimited, UpstreamRejected
from tests.support.openai_dialect import target_request


def response(choice=None, **fields):
    message = {"role": "assistant", "content": "Hi"}
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 5,
        "model": "served",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", **(choice or {})}],
        **fields,
    }


def completion(data):
    return ADAPTER.completion(target_request(), data)


def received_message(message):
    """The completion's message for a vendor's message."""
    return completion(response({"message": message}))["choices"][0]["message"]


def test_a_standard_response_is_passed_on_unchanged():
    data = response(
        unknown={"x": 1}, usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "unknown": 1}
    )
    data["choices"][0]["unknown"] = 1
    data["choices"][0]["message"]["unknown"] = [1]
    assert completion(data) == data


def test_missing_fields_are_filled_in():
    data = {"choices": [{"message": {"content": "Hi"}}]}
    assert completion(data) == {
        "id": "chatcmpl-ours",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "gpt-x",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    }


@pytest.mark.parametrize(
    "word, reason",
    [
        ("eos", "stop"),
        ("model_length", "length"),
        ("tool_use", "tool_calls"),
        ("SAFETY", "content_filter"),
        ("unknown", "stop"),
    ],
)
def test_finish_reasons_are_translated_to_openais(word, reason):
    assert completion(response({"finish_reason": word}))["choices"][0]["finish_reason"] == reason


def test_reasoning_becomes_reasoning_content():
    message = received_message({"content": "Hi", "reasoning": "Hm"})
    assert message == {"role": "assistant", "content": "Hi", "reasoning_content": "Hm"}


def test_content_parts_become_text_and_reasoning():
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}, {"type": "text", "text": "Hi"}]
    message = received_message({"content": parts})
    assert (message["content"], message["reasoning_content"]) == ("Hi", "Hm")


def test_tool_calls_get_ids_and_arguments_as_text():
    calls = [
        {"function": {"name": "f", "arguments": {"a": 1}}},
        {"id": "", "function": {"name": "g", "arguments": None}},
    ]
    choice = {"message": {"tool_calls": calls}, "finish_reason": "tool_calls"}
    first, second = completion(response(choice))["choices"][0]["message"]["tool_calls"]
    assert (first["type"], json.loads(first["function"]["arguments"])) == ("function", {"a": 1})
    assert second["function"]["arguments"] == ""
    assert len({"", first["id"], second["id"]}) == 3


def test_null_tool_calls_are_removed():
    assert "tool_calls" not in received_message({"content": "Hi", "tool_calls": None})


def test_usage_is_read_from_groqs_field():
    assert completion(response(x_groq={"usage": {"prompt_tokens": 1}}))["usage"] == {"prompt_tokens": 1}


@pytest.mark.parametrize(
    "error, error_class, status",
    [
        ({"message": "slow down", "code": 429}, UpstreamLimited, 429),
        ({"message": "no", "code": "content_filter", "status": 400}, UpstreamRejected, 400),
        ({"message": "bad key", "code": 401}, UpstreamCredentials, 502),
        ("broken", UpstreamFailed, 502),
    ],
)
def test_an_error_in_a_200_is_raised(error, error_class, status):
    with pytest.raises(error_class) as raised:
        completion({"error": error})
    assert raised.value.status == status


def test_a_choice_that_ended_in_an_error_raises_it():
    with pytest.raises(UpstreamFailed, match="interrupted"):
        completion(response({"finish_reason": "error", "error": {"message": "interrupted", "code": 502}}))


@pytest.mark.parametrize("data", [{}, {"choices": None}, {"choices": ["x"]}, {"choices": [{}]}])
def test_a_body_that_is_not_a_completion_raises_upstream_failed(data):
    with pytest.raises(UpstreamFailed):
        completion(data)
