"""Requests to Anthropic's adapter and messages of its API, shared by the tests of the dialect."""

from gateway.catalog.vendors import VENDORS
from gateway.dialects.anthropic.adapter import ADAPTER
from gateway.dialects.contract import TargetRequest

USER = {"role": "user", "content": "Hello"}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
GREP = {"type": "custom", "custom": {"name": "grep", "description": "Find."}}
THINKING = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
REDACTED_THINKING = {"type": "redacted_thinking", "data": "ZGF0YQ=="}


def target_request(model="claude-sonnet-4-5", /, **chat):
    return TargetRequest(
        {"model": "any", "messages": [USER], **chat}, model, VENDORS["anthropic"], "chatcmpl-ours", 1700000000
    )


def vendor_request(model="claude-sonnet-4-5", /, **chat):
    return ADAPTER.vendor_request(target_request(model, **chat))


def vendor_body(model="claude-sonnet-4-5", /, **chat):
    return vendor_request(model, **chat).body


def turns(*messages):
    return vendor_body(messages=list(messages))["messages"]


def text_part(text):
    """A text, as OpenAI's content part and as Anthropic's block."""
    return {"type": "text", "text": text}


def tool_call(call_id, name="weather", arguments="{}"):
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def assistant_calling(*calls, **fields):
    return {"role": "assistant", "content": None, "tool_calls": list(calls), **fields}


def tool_result(call_id, content="sun"):
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def message(*blocks, stop_reason="end_turn", **fields):
    """A response of the Messages API."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-served",
        "content": list(blocks),
        "stop_reason": stop_reason,
        "usage": {"input_tokens": 3, "output_tokens": 5},
        **fields,
    }


def tool_use(tool_use_id="toolu_1", name="weather", **tool_input):
    return {"type": "tool_use", "id": tool_use_id, "name": name, "input": tool_input}
