"""A chat request in the form of each OpenAI-compatible vendor."""

import json

from gateway.dialects.openai.adapter import ADAPTER
from tests.support.openai_dialect import HELLO, target_request


def vendor_request(*args, **chat):
    return ADAPTER.vendor_request(target_request(*args, **chat))


def test_unknown_fields_are_passed_on_at_every_depth():
    message = {"role": "user", "content": [{"type": "text", "text": "x", "unknown": {"n": [1]}}], "unknown": 2}
    sent = vendor_request(messages=[message], unknown={"a": None})
    assert sent.body == {"messages": [message], "model": "gpt-x", "unknown": {"a": None}}
    assert sent.dropped == ()


def test_usage_of_a_stream_is_requested_whether_the_client_requests_it_or_not():
    assert vendor_request(stream=True).body["stream_options"] == {"include_usage": True}
    sent = vendor_request(stream=True, stream_options={"include_obfuscation": False, "include_usage": False})
    assert sent.body["stream_options"] == {"include_obfuscation": False, "include_usage": True}
    assert "stream_options" not in vendor_request().body


def test_stream_options_are_not_sent_to_a_vendor_without_them():
    sent = vendor_request("mistral", stream=True, stream_options={"include_usage": True, "include_obfuscation": False})
    assert "stream_options" not in sent.body
    assert sent.dropped == ("stream_options.include_obfuscation",)


def test_fields_are_sent_under_the_vendors_names():
    sent = vendor_request("mistral", max_completion_tokens=5, seed=7)
    assert (sent.body["max_tokens"], sent.body["random_seed"]) == (5, 7)
    assert not {"max_completion_tokens", "seed"} & sent.body.keys()


def test_max_tokens_becomes_max_completion_tokens_for_openais_reasoning_models():
    assert vendor_request(model="o3-mini", max_tokens=5).body["max_completion_tokens"] == 5
    assert vendor_request(model="gpt-4o", max_tokens=5).body["max_tokens"] == 5


def test_of_two_names_for_the_same_field_the_vendors_is_sent_and_the_other_reported():
    sent = vendor_request("mistral", max_completion_tokens=5, max_tokens=6)
    assert sent.body["max_tokens"] == 6
    assert sent.dropped == ("max_completion_tokens",)


def test_fields_that_a_vendor_refuses_are_dropped_and_reported():
    sent = vendor_request("groq", logprobs=True, top_logprobs=None, messages=[{**HELLO["messages"][0], "name": "Ann"}])
    assert not {"logprobs", "top_logprobs"} & sent.body.keys()
    assert "name" not in sent.body["messages"][0]
    assert set(sent.dropped) == {"logprobs", "messages[0].name"}


def test_the_developer_role_becomes_system_for_a_vendor_without_it():
    messages = [{"role": "developer", "content": "Be brief."}]
    assert vendor_request("deepseek", messages=messages).body["messages"][0]["role"] == "system"
    assert vendor_request("openai", messages=messages).body["messages"] == messages


def test_reasoning_in_the_history_is_sent_under_the_vendors_name_or_reported():
    history = [{"role": "assistant", "content": "Hi", "reasoning_content": "Hm", "thinking_blocks": [{}]}]
    assert vendor_request("deepseek", messages=history).body["messages"] == history
    groq = vendor_request("groq", messages=history)
    assert groq.body["messages"] == [{"role": "assistant", "content": "Hi", "reasoning": "Hm"}]
    assert set(vendor_request(messages=history).dropped) == {
        "messages[0].reasoning_content",
        "messages[0].thinking_blocks",
    }


def test_the_clients_request_is_unchanged():
    request = target_request("mistral", stream=True, seed=1, messages=[{"role": "developer", "content": "x"}])
    before = json.dumps(request.chat)
    ADAPTER.vendor_request(request)
    assert json.dumps(request.chat) == before


def test_an_embeddings_request_is_passed_on_with_the_upstreams_model():
    request = target_request()._replace(chat={"model": "m", "input": "x", "unknown": 1})
    sent = ADAPTER.embeddings_request(request)
    assert (sent.path, sent.body) == ("/embeddings", {"model": "gpt-x", "input": "x", "unknown": 1})
