"""
Anthropic's message as an OpenAI completion, and what the stream shares with it.

https://platform.claude.com/docs/en/api/messages
"""

from collections.abc import Mapping
from itertools import accumulate
from typing import Any

from gateway import json_codec
from gateway.dialects.anthropic.content_parts import THINKING_BLOCKS
from gateway.dialects.anthropic.errors import in_band_error
from gateway.dialects.anthropic.tools import custom_tool_names
from gateway.dialects.contract import TargetRequest
from gateway.errors import UpstreamFailed
from gateway.openai_types import Completion, Json

# https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons
FINISH_REASONS: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "compaction": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
# https://platform.claude.com/docs/en/api/service-tiers -> OpenAI's service_tier, which has no `batch`.
SERVICE_TIERS: Mapping[str, str] = {"standard": "default", "priority": "priority"}

# Tokens; a greater number is none, and could not be written.
MAX_COUNT = 2**53


def completion(request: TargetRequest, data: Json) -> Completion:
    """The completion. Raises UpstreamFault for an error, and for anything else that is not a message."""
    if not isinstance(data, dict) or not isinstance(data.get("content"), list):
        if isinstance(data, dict) and data.get("error"):
            raise in_band_error(data)
        raise UpstreamFailed("The upstream's response is not a message.", upstream_status="invalid_response")
    content = message(request, [block for block in data["content"] if isinstance(block, dict)])
    has_calls = "tool_calls" in content or "function_call" in content
    reason = finish_reason(request, data.get("stop_reason"), has_calls=has_calls)
    response = {
        **identity(request, data, "chat.completion"),
        "choices": [{"index": 0, "message": content, "logprobs": None, "finish_reason": reason}],
    }
    reported = data.get("usage")
    return {**response, "usage": usage(reported)} if isinstance(reported, dict) and reported else response


def identity(request: TargetRequest, data: Json, kind: str) -> Json:
    """The fields that identify a completion; the same in every chunk of a stream. Anthropic has no `created`."""
    reported = data.get("usage")
    tier = SERVICE_TIERS.get(_text(reported.get("service_tier"))) if isinstance(reported, dict) else None
    return {
        "id": _text(data.get("id")) or request.id,
        "object": kind,
        "created": request.created,
        "model": _text(data.get("model")) or request.model,
        **({"service_tier": tier} if tier else {}),
    }


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def message(request: TargetRequest, blocks: list[Json]) -> Json:
    """The message. Blocks of the tools that Anthropic runs itself (`server_tool_use` and its results) are left out."""
    text_blocks = [block for block in blocks if block.get("type") == "text"]
    texts = [block.get("text") or "" for block in text_blocks]
    calls = [tool_call(request, block, block.get("input")) for block in blocks if block.get("type") == "tool_use"]
    thinking = [thinking_block(block) for block in blocks if block.get("type") in THINKING_BLOCKS]
    reasoning = "".join(block.get("thinking", "") for block in thinking)
    notes = [
        annotation
        for start, text, block in zip(_offsets(texts), texts, text_blocks, strict=True)
        for annotation in annotations(block.get("citations"), start, start + len(text))
    ]
    text = "".join(texts)
    return {
        "role": "assistant",
        # OpenAI's content is null beside tool calls, else a text.
        "content": text if text or not calls else None,
        "refusal": None,
        **({"reasoning_content": reasoning} if reasoning else {}),
        **({"thinking_blocks": thinking} if thinking else {}),
        **({"annotations": notes} if notes else {}),
        **_call_fields(request, calls),
    }


def _offsets(texts: list[str]) -> list[int]:
    """Where each text begins in the joined text."""
    return [0, *accumulate(map(len, texts))][: len(texts)]


def _call_fields(request: TargetRequest, calls: list[Json]) -> Json:
    if not calls:
        return {}
    return {"function_call": calls[0]["function"]} if uses_functions(request) else {"tool_calls": calls}


def uses_functions(request: TargetRequest) -> bool:
    """Whether the client uses `functions` and `function_call`, the deprecated form of tools."""
    return bool(request.chat.get("functions")) and not request.chat.get("tools")


def tool_call(request: TargetRequest, block: Json, tool_input: Any) -> Json:
    """A `tool_use` block as a tool call, with its whole input."""
    name, call_id = block.get("name"), block.get("id")
    if name in custom_tool_names(request.chat):
        text = tool_input.get("input") if isinstance(tool_input, dict) else None
        return {
            "id": call_id,
            "type": "custom",
            "custom": {"name": name, "input": text if isinstance(text, str) else _arguments(tool_input)},
        }
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": _arguments(tool_input)}}


def _arguments(tool_input: Any) -> str:
    # OpenAI's arguments are JSON in a string.
    return json_codec.dumps({} if tool_input is None else tool_input).decode()


def thinking_block(block: Json) -> Json:
    """
    A thinking block as the client is to send it back.

    The signature must come back unmodified, and OpenAI has no field for it: `thinking_blocks` is LiteLLM's.
    https://platform.claude.com/docs/en/build-with-claude/extended-thinking
    """
    names = ("type", "data") if block["type"] == "redacted_thinking" else ("type", "thinking", "signature")
    return {name: block.get(name) or "" for name in names}


def annotations(citations: Any, start: int, end: int) -> list[Json]:
    """
    The citations of web pages in the text from `start` to `end`.

    OpenAI annotates spans of the whole text, with URLs only: https://platform.openai.com/docs/api-reference/chat/object
    Anthropic cites beside a text block: https://platform.claude.com/docs/en/build-with-claude/citations
    """
    pages = [(entry, entry.get("url") or entry.get("source")) for entry in citations or () if isinstance(entry, dict)]
    return [
        {
            "type": "url_citation",
            "url_citation": {"start_index": start, "end_index": end, "url": url, "title": entry.get("title") or ""},
        }
        for entry, url in pages
        if isinstance(url, str) and url.startswith(("http://", "https://"))
    ]


def finish_reason(request: TargetRequest, stop_reason: Any, *, has_calls: bool) -> str:
    reason = FINISH_REASONS.get(_text(stop_reason), "stop")
    reason = "tool_calls" if has_calls and reason == "stop" else reason
    return "function_call" if reason == "tool_calls" and uses_functions(request) else reason


def usage(reported: Json) -> Json:
    """
    OpenAI's usage from Anthropic's.

    "Total input tokens in a request is the summation of input_tokens, cache_creation_input_tokens, and
    cache_read_input_tokens". The totals "do not include compaction iteration usage":
    https://platform.claude.com/docs/en/build-with-claude/compaction
    """
    iterations = reported.get("iterations")
    iterations = iterations if isinstance(iterations, list) else []
    counts = [
        *(entry for entry in iterations if isinstance(entry, dict) and entry.get("type") == "compaction"),
        reported,
    ]
    cache_read, cache_write = (_sum(counts, f"cache_{kind}_input_tokens") for kind in ("read", "creation"))
    prompt = _sum(counts, "input_tokens") + cache_read + cache_write
    completion = _sum(counts, "output_tokens")
    details = reported.get("output_tokens_details")
    reasoning = details.get("thinking_tokens") if isinstance(details, dict) else None
    server_tools = {"server_tool_use": reported["server_tool_use"]} if reported.get("server_tool_use") else {}
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cache_read, "cache_write_tokens": cache_write},
        **({"completion_tokens_details": {"reasoning_tokens": reasoning}} if _is_count(reasoning) else {}),
        **server_tools,
    }


def _sum(counts: list[Json], name: str) -> int:
    return sum(entry[name] for entry in counts if _is_count(entry.get(name)))


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < MAX_COUNT
