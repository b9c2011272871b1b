"""A whole message of Anthropic's as an OpenAI completion, and what the stream shares with it."""

from collections.abc import Mapping
from itertools import accumulate
from typing import Any

from gateway import json_codec
from gateway.dialects.anthropic.errors import in_band_error
from gateway.dialects.anthropic.tools import custom_names
from gateway.dialects.contract import TargetRequest
from gateway.errors import UpstreamFailed
from gateway.openai_types import Completion, Json

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
TIERS: Mapping[str, str] = {"standard": "default", "priority": "priority"}


def completion(request: TargetRequest, data: Json) -> Completion:
    """The completion. Raises UpstreamFault for an error under a 200, and for what is no message."""
    if not isinstance(data, dict) or not isinstance(data.get("content"), list):
        if isinstance(data, dict) and data.get("error"):
            raise in_band_error(data)
        raise UpstreamFailed("The upstream's answer is no message.", upstream_status="invalid_response")
    told = message(request, [block for block in data["content"] if isinstance(block, dict)])
    called = "tool_calls" in told or "function_call" in told
    finish = finish_reason(request, data.get("stop_reason"), called=called)
    answer = {
        **identity(request, data, "chat.completion"),
        "choices": [{"index": 0, "message": told, "logprobs": None, "finish_reason": finish}],
    }
    used = data.get("usage")
    return {**answer, "usage": usage(used)} if isinstance(used, dict) and used else answer


def identity(request: TargetRequest, data: Json, kind: str) -> Json:
    """What says which answer it is; the same in every chunk of a stream."""
    used = data.get("usage")
    tier = TIERS.get(used.get("service_tier") or "") if isinstance(used, dict) else None
    return {
        "id": data.get("id") or request.id,
        "object": kind,
        "created": request.created,
        "model": data.get("model") or request.model,
        **({"service_tier": tier} if tier else {}),
    }


def message(request: TargetRequest, blocks: list[Json]) -> Json:
    """The message; what Anthropic's own tools were asked and answered is not the client's to see."""
    texts = [block.get("text") or "" for block in blocks if block.get("type") == "text"]
    calls = [call(request, block, block.get("input")) for block in blocks if block.get("type") == "tool_use"]
    thoughts = [thought(block) for block in blocks if block.get("type") in ("thinking", "redacted_thinking")]
    reasoning = "".join(one.get("thinking", "") for one in thoughts)
    cited = [
        note
        for start, block in zip(_starts(texts), (b for b in blocks if b.get("type") == "text"), strict=True)
        for note in annotations(block.get("citations"), start, start + len(block.get("text") or ""))
    ]
    text = "".join(texts)
    return {
        "role": "assistant",
        "content": text if text or not calls else None,
        "refusal": None,
        **({"reasoning_content": reasoning} if reasoning else {}),
        **({"thinking_blocks": thoughts} if thoughts else {}),
        **({"annotations": cited} if cited else {}),
        **_called(request, calls),
    }


def _starts(texts: list[str]) -> list[int]:
    """Where each text begins in all of them."""
    return [0, *accumulate(map(len, texts))][: len(texts)]


def _called(request: TargetRequest, calls: list[Json]) -> Json:
    if not calls:
        return {}
    return {"function_call": calls[0]["function"]} if legacy(request) else {"tool_calls": calls}


def legacy(request: TargetRequest) -> bool:
    """Whether the client asked in the form that tools had before tools."""
    return bool(request.chat.get("functions")) and not request.chat.get("tools")


def call(request: TargetRequest, block: Json, given: Any) -> Json:
    """A tool call with its whole input."""
    name, ident = block.get("name"), block.get("id")
    if name in custom_names(request.chat):
        text = given.get("input") if isinstance(given, dict) else None
        return {
            "id": ident,
            "type": "custom",
            "custom": {"name": name, "input": text if isinstance(text, str) else _json(given)},
        }
    return {"id": ident, "type": "function", "function": {"name": name, "arguments": _json(given)}}


def _json(given: Any) -> str:
    return json_codec.dumps({} if given is None else given).decode()


def thought(block: Json) -> Json:
    """A thought in the form in which it comes back with the next turn, LiteLLM's `thinking_blocks`."""
    names = ("type", "data") if block["type"] == "redacted_thinking" else ("type", "thinking", "signature")
    return {name: block.get(name) or "" for name in names}


def annotations(citations: Any, start: int, end: int) -> list[Json]:
    """Those citations of the text from `start` to `end` that are of pages in the web."""
    pages = [(one, one.get("url") or one.get("source")) for one in citations or () if isinstance(one, dict)]
    return [
        {
            "type": "url_citation",
            "url_citation": {"start_index": start, "end_index": end, "url": url, "title": one.get("title") or ""},
        }
        for one, url in pages
        if isinstance(url, str) and url.startswith(("http://", "https://"))
    ]


def finish_reason(request: TargetRequest, stop: Any, *, called: bool) -> str:
    reason = FINISH_REASONS.get(str(stop), "stop")
    reason = "tool_calls" if called and reason == "stop" else reason
    return "function_call" if reason == "tool_calls" and legacy(request) else reason


def usage(used: Json) -> Json:
    """Anthropic counts cached tokens apart from the others, and what compaction took beside the totals."""
    iterations = used.get("iterations")
    rounds = [one for one in iterations if one.get("type") == "compaction"] if isinstance(iterations, list) else []
    read, written = (_sum(rounds, used, f"cache_{kind}_input_tokens") for kind in ("read", "creation"))
    prompt = _sum(rounds, used, "input_tokens") + read + written
    said = _sum(rounds, used, "output_tokens")
    thinking = (used.get("output_tokens_details") or {}).get("thinking_tokens")
    server = {"server_tool_use": used["server_tool_use"]} if used.get("server_tool_use") else {}
    return {
        "prompt_tokens": prompt,
        "completion_tokens": said,
        "total_tokens": prompt + said,
        "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
        **({"completion_tokens_details": {"reasoning_tokens": thinking}} if thinking is not None else {}),
        **server,
    }


def _sum(rounds: list[Json], used: Json, name: str) -> int:
    return sum(one.get(name) or 0 for one in (*rounds, used))
