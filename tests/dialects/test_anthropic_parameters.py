"""Limits, thinking, sampling and the other parameters of a chat request."""

import pytest

from gateway.errors import InvalidRequest
from tests.support.anthropic_dialect import (
    THINKING,
    USER,
    WEATHER,
    assistant_calling,
    tool_call,
    tool_result,
    vendor_body,
    vendor_request,
)


def test_max_tokens_is_the_clients_limit_or_else_the_models():
    assert vendor_body(max_tokens=5)["max_tokens"] == 5
    assert vendor_body(max_completion_tokens=6)["max_tokens"] == 6
    assert vendor_body("claude-3-haiku-20240307")["max_tokens"] == 4096
    assert vendor_body("claude-opus-4-20250514")["max_tokens"] == 32000
    assert vendor_body("claude-opus-5-5")["max_tokens"] == 128000
    both = vendor_request(max_tokens=5, max_completion_tokens=6)
    assert both.body["max_tokens"] == 6
    assert both.dropped == ("max_tokens",)


def test_max_tokens_of_zero_is_refused():
    with pytest.raises(InvalidRequest) as error:
        vendor_request(max_tokens=0)
    assert error.value.param == "max_tokens"


def test_reasoning_effort_becomes_a_thinking_budget_below_max_tokens():
    sent = vendor_body(reasoning_effort="high")
    assert sent["thinking"] == {"type": "enabled", "budget_tokens": 16384}
    assert sent["max_tokens"] == 64000
    assert vendor_body(reasoning_effort="high", max_tokens=3000)["thinking"]["budget_tokens"] == 1500
    assert vendor_body(reasoning_effort="low", max_completion_tokens=1025)["thinking"]["budget_tokens"] == 1024


def test_reasoning_effort_is_dropped_where_max_tokens_is_too_small_for_a_budget():
    sent = vendor_request(reasoning_effort="low", max_tokens=1024)
    assert "thinking" not in sent.body
    assert sent.dropped == ("reasoning_effort",)


def test_reasoning_effort_is_dropped_where_a_tool_is_forced():
    sent = vendor_request(reasoning_effort="low", tools=[WEATHER], tool_choice="required")
    assert "thinking" not in sent.body
    assert sent.dropped == ("reasoning_effort",)


def test_temperature_and_top_p_are_dropped_where_the_model_thinks():
    sent = vendor_request(reasoning_effort="low", temperature=0.2, top_p=0.5)
    assert sent.body["thinking"]["type"] == "enabled"
    assert {"temperature", "top_p"}.isdisjoint(sent.body)
    assert sent.dropped == ("temperature", "top_p")


def test_reasoning_effort_is_dropped_where_a_tool_turn_lacks_its_thinking_blocks():
    history = [USER, assistant_calling(tool_call("a")), tool_result("a")]
    sent = vendor_request(messages=history, reasoning_effort="low")
    assert "thinking" not in sent.body
    assert sent.dropped == ("reasoning_effort",)
    with_thinking = [USER, assistant_calling(tool_call("a"), thinking_blocks=[THINKING]), tool_result("a")]
    assert "thinking" in vendor_body(messages=with_thinking, reasoning_effort="low")
    assert "thinking" in vendor_body(
        messages=[*history, {"role": "assistant", "content": "x"}, USER], reasoning_effort="low"
    )


def test_reasoning_effort_none_turns_thinking_off():
    assert "thinking" not in vendor_body(reasoning_effort="none")
    assert vendor_body("claude-sonnet-5", reasoning_effort="none")["thinking"] == {"type": "disabled"}
    assert vendor_body("claude-sonnet-5-5", reasoning_effort="none")["thinking"] == {"type": "between_tools"}
    always_thinks = vendor_request("claude-opus-5-5", reasoning_effort="none")
    assert always_thinks.body["output_config"] == {"effort": "low"}
    assert always_thinks.dropped == ("reasoning_effort",)


def test_newer_models_get_adaptive_thinking_and_an_effort():
    sent = vendor_body("claude-opus-4-8", reasoning_effort="xhigh")
    assert sent["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert sent["output_config"] == {"effort": "xhigh"}
    older = vendor_request("claude-opus-4-6", reasoning_effort="xhigh")
    assert older.body["output_config"] == {"effort": "high"}
    assert older.dropped == ("reasoning_effort",)


def test_a_forced_tool_turns_thinking_off_where_it_is_on_by_default():
    assert vendor_body("claude-sonnet-5", tools=[WEATHER], tool_choice="required")["thinking"] == {"type": "disabled"}


def test_reasoning_effort_is_dropped_for_models_that_cannot_think():
    assert vendor_request("claude-3-5-haiku-latest", reasoning_effort="high").dropped == ("reasoning_effort",)


def test_the_native_thinking_field_takes_precedence_over_reasoning_effort():
    native = {"type": "enabled", "budget_tokens": 2000}
    sent = vendor_request(thinking=native, reasoning_effort="high", top_k=4)
    assert sent.body["thinking"] == native
    assert "top_k" not in sent.body
    assert sent.dropped == ("reasoning_effort", "top_k")


def test_a_temperature_above_1_is_sent_as_1_and_reported():
    sent = vendor_request(temperature=1.4)
    assert sent.body["temperature"] == 1
    assert sent.dropped == ("temperature",)
    assert vendor_request(temperature=0).body["temperature"] == 0


def test_models_that_take_either_temperature_or_top_p_get_the_field_without_its_default():
    first = vendor_request(temperature=0.5, top_p=0.9)
    assert (first.body["temperature"], first.dropped) == (0.5, ("top_p",))
    second = vendor_request(temperature=1, top_p=0.9)
    assert (second.body["top_p"], second.dropped) == (0.9, ("temperature",))
    older = vendor_request("claude-3-7-sonnet-latest", temperature=0.5, top_p=0.9)
    assert (older.body["temperature"], older.body["top_p"], older.dropped) == (0.5, 0.9, ())


def test_models_without_sampling_parameters_get_default_values_only():
    sent = vendor_request("claude-opus-4-8", temperature=0.5, top_p=1)
    assert "temperature" not in sent.body
    assert sent.body["top_p"] == 1
    assert sent.dropped == ("temperature",)


def test_stop_is_sent_as_a_list_without_blank_sequences():
    assert vendor_body(stop="END")["stop_sequences"] == ["END"]
    assert vendor_body(stop=["\nObservation:"])["stop_sequences"] == ["\nObservation:"]
    assert "stop_sequences" not in vendor_body(stop=[])
    sent = vendor_request(stop=["\n\n", "END"])
    assert sent.body["stop_sequences"] == ["END"]
    assert sent.dropped == ("stop",)


def test_the_users_id_is_sent_as_metadata_user_id():
    assert vendor_body(user="u-1")["metadata"] == {"user_id": "u-1"}
    assert vendor_body(safety_identifier="s-1")["metadata"] == {"user_id": "s-1"}
    assert vendor_request(user="u-1", safety_identifier="s-1").dropped == ("safety_identifier",)
    assert vendor_request(metadata={"user_id": "u-1", "run": "7"}).dropped == ("metadata.run",)
    assert vendor_request(metadata={"run": "7"}).dropped == ("metadata",)


@pytest.mark.parametrize("user", ["ann@example.com", "+49 221 1234567", "u" * 300])
def test_personal_data_is_not_sent_as_the_users_id(user):
    sent = vendor_request(user=user)
    assert "metadata" not in sent.body
    assert sent.dropped == ("user",)


def test_service_tiers_are_translated_or_reported():
    assert vendor_body(service_tier="default")["service_tier"] == "standard_only"
    assert vendor_body(service_tier="priority")["service_tier"] == "auto"
    assert vendor_request(service_tier="flex").dropped == ("service_tier",)


def test_the_json_object_format_is_an_instruction_in_the_system_prompt():
    sent = vendor_body(
        response_format={"type": "json_object"}, messages=[{"role": "system", "content": "Be kind."}, USER]
    )
    assert len(sent["system"]) == 2
    assert "JSON object" in sent["system"][-1]["text"]
