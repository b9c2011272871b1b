"""Vendors' responses, written by hand, each with the stream that carries the same content."""

import json

from gateway.stream_events import Event


def anthropic_message(blocks, stop_reason="end_turn"):
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-served",
        "content": blocks,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 9,
            "cache_read_input_tokens": 4,
            "cache_creation_input_tokens": 2,
            "output_tokens": 7,
        },
    }


def fragments(text):
    """A text in fragments of three characters."""
    return [text[start : start + 3] for start in range(0, len(text), 3)]


def anthropic_events(message):
    usage = message["usage"]
    start = {**message, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    events = [{"type": "message_start", "message": start}, {"type": "ping"}]
    for index, block in enumerate(message["content"]):
        events += anthropic_block_events(index, block)
    delta = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    events += [{"type": "message_delta", "delta": delta, "usage": {"output_tokens": usage["output_tokens"]}}]
    events += [{"type": "message_stop"}]
    return [Event(event["type"], json.dumps(event).encode()) for event in events]


def anthropic_block_events(index, block):
    match block["type"]:
        case "text":
            start = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": fragment} for fragment in fragments(block["text"])]
            deltas += [{"type": "citations_delta", "citation": citation} for citation in block.get("citations", ())]
        case "thinking":
            start = {"type": "thinking", "thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": fragment} for fragment in fragments(block["thinking"])]
            deltas += [{"type": "signature_delta", "signature": block["signature"]}]
        case "tool_use":
            start = {**block, "input": {}}
            text = json.dumps(block["input"], separators=(",", ":"), ensure_ascii=False) if block["input"] else ""
            deltas = [{"type": "input_json_delta", "partial_json": fragment} for fragment in ["", *fragments(text)]]
        case _:
            start, deltas = block, []
    yield {"type": "content_block_start", "index": index, "content_block": start}
    for delta in deltas:
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def openai_completion(message, finish_reason="stop"):
    usage = {"prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16}
    return {
        "id": "chatcmpl-theirs",
        "object": "chat.completion",
        "created": 5,
        "model": "gpt-served",
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish_reason}],
        "usage": usage,
    }


def openai_events(completion):
    choice, shared = completion["choices"][0], {**completion, "object": "chat.completion.chunk", "usage": None}
    message = choice["message"]
    deltas = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": fragment} for fragment in fragments(message.get("reasoning_content") or "")]
    deltas += [{"content": fragment} for fragment in fragments(message["content"] or "")]
    for index, call in enumerate(message.get("tool_calls", ())):
        function = call["function"]
        deltas += [{"tool_calls": [{**call, "index": index, "function": {**function, "arguments": ""}}]}]
        for fragment in fragments(function["arguments"]):
            deltas += [{"tool_calls": [{"index": index, "function": {"arguments": fragment}}]}]
    chunks = [{**shared, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks += [{**shared, "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]}]
    chunks += [{**shared, "choices": [], "usage": completion["usage"]}]
    return [*(Event("", json.dumps(chunk).encode()) for chunk in chunks), Event("", b"[DONE]")]


TEXT = "Grüß Gott, 世界: 🌧."
CALLS = [("call_a", {"city": "Köln"}), ("call_b", {}), ("call_c", {"city": "Rom", "days": [1, 2.5, None]})]
PAGE = {"type": "web_search_result_location", "url": "https://example.com", "title": "Page", "cited_text": "rain"}

ANTHROPIC = {
    "text": anthropic_message([{"type": "text", "text": TEXT}]),
    "no content": anthropic_message([]),
    "truncated": anthropic_message([{"type": "text", "text": "One, two"}], stop_reason="max_tokens"),
    "refused": anthropic_message([{"type": "text", "text": "I"}], stop_reason="refusal"),
    "parallel calls after text": anthropic_message(
        [
            {"type": "text", "text": "Let me look."},
            *({"type": "tool_use", "id": call_id, "name": "weather", "input": fields} for call_id, fields in CALLS),
        ],
        stop_reason="tool_use",
    ),
    "calls without text": anthropic_message(
        [{"type": "tool_use", "id": "call_a", "name": "weather", "input": {"city": "Rom"}}], stop_reason="tool_use"
    ),
    "thinking": anthropic_message(
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
    "truncated": openai_completion({"content": "One, two"}, finish_reason="length"),
    "reasoning": openai_completion({"content": TEXT, "reasoning_content": "Hm, 世界."}),
    "parallel calls after text": openai_completion(
        {
            "content": "Let me look.",
            "tool_calls": [
                {"id": call_id, "type": "function", "function": {"name": "weather", "arguments": json.dumps(fields)}}
                for call_id, fields in CALLS
            ],
        },
        finish_reason="tool_calls",
    ),
}
# dialect -> (a vendor of the dialect, its responses, what makes a response into the events of a stream)
SAMPLES = {
    "anthropic": ("anthropic", ANTHROPIC, anthropic_events),
    "openai": ("openai", OPENAI, openai_events),
}
