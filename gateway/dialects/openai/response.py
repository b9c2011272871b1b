"""
The response of an OpenAI-compatible vendor as OpenAI would have sent it.

https://platform.openai.com/docs/api-reference/chat/object
"""

from typing import Any

from gateway.dialects.contract import TargetRequest
from gateway.dialects.openai.errors import in_band_error
from gateway.errors import UpstreamFailed
from gateway.json_codec import dumps
from gateway.openai_types import Completion, Json

# OpenAI's five reasons, and the vendors' words for them: many pass on the word of the model's own API.
FINISH_REASONS = {
    word: reason
    for reason, words in {
        "stop": "stop eos eos_token end_turn stop_sequence complete completed",
        "length": "length max_tokens model_length model_context_window_exceeded",
        "tool_calls": "tool_calls tool_use tool_call",
        "function_call": "function_call",
        "content_filter": "content_filter content_filtered refusal safety recitation blocklist prohibited_content spii",
    }.items()
    for word in words.split()
}
STANDARD_REASONS = frozenset({"stop", "length", "tool_calls", "function_call", "content_filter"})

# Beyond it an integer is none to JavaScript's clients, and 1e308 no second: Number.MAX_SAFE_INTEGER.
MAX_NUMBER = 2**53
# Counts of tokens that limits are kept by.
COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")


def completion(request: TargetRequest, data: Json) -> Completion:
    if data.get("error"):
        raise in_band_error(data["error"], data)
    choices = data.get("choices")
    if not isinstance(choices, list) or not choices or not all(isinstance(choice, dict) for choice in choices):
        raise UpstreamFailed("The upstream's response has no choices.", upstream_status="invalid_response")
    response = {
        **data,
        "id": text_or(data.get("id"), request.id),
        "object": "chat.completion",
        "created": integer(data.get("created"), request.created),
        "model": text_or(data.get("model"), request.model),
        "choices": [_choice(request, n, choice) for n, choice in enumerate(choices)],
    }
    reported = usage(data)
    if reported:
        return {**response, "usage": reported}
    return {name: value for name, value in response.items() if name != "usage"}


def _choice(request: TargetRequest, n: int, choice: Json) -> Json:
    message = choice.get("message")
    if not isinstance(message, dict):
        raise UpstreamFailed(
            "The upstream's response has a choice without a message.", upstream_status="invalid_response"
        )
    fields = {"role": "assistant", "content": None, **normalize_text(message)}
    calls = message.get("tool_calls")
    if "tool_calls" in message:
        # Some send null or an empty list where there are no calls; OpenAI leaves the field out.
        fields = {name: value for name, value in fields.items() if name != "tool_calls"}
    if calls:
        fields["tool_calls"] = [_tool_call(request, n, k, call) for k, call in enumerate(calls)]
    # A body that arrived whole was not truncated, so that a missing reason is a normal one.
    reason = finish_reason(choice, request) or ("tool_calls" if calls else "stop")
    return {**choice, "index": integer(choice.get("index"), n), "message": fields, "finish_reason": reason}


def _tool_call(request: TargetRequest, n: int, k: int, call: Json) -> Json:
    # A result refers to its call by the id, so that every call needs one.
    fields = {"type": "function", **call, "id": text_or(call.get("id"), f"call_{request.id}_{n}_{k}")}
    if isinstance(call.get("function"), dict):
        fields["function"] = {**call["function"], "arguments": arguments_text(call["function"].get("arguments"))}
    return fields


def normalize_text(message: Json) -> Json:
    """A message or delta with its content as text, and its reasoning as text in `reasoning_content`."""
    content, reasoning = message.get("content"), message.get("reasoning")
    if isinstance(content, str | None) and "reasoning" not in message:
        return message
    # Groq, OpenRouter and Cerebras call DeepSeek's `reasoning_content` `reasoning`.
    fields = {name: value for name, value in message.items() if name != "reasoning"}
    # Mistral's reasoning models send content as parts, {"type": "thinking", "thinking": [text parts]} among them:
    # https://docs.mistral.ai/capabilities/reasoning/
    parts = content if isinstance(content, list) else []
    if parts:
        fields["content"] = _joined(parts) or None
        reasoning = reasoning or "".join(_joined(part.get("thinking")) for part in parts if isinstance(part, dict))
    if reasoning and isinstance(reasoning, str):
        fields["reasoning_content"] = message.get("reasoning_content") or reasoning
    return fields


def _joined(parts: Any) -> str:
    """The text of content parts, or of a content that is text already."""
    if isinstance(parts, str):
        return parts
    return "".join(part.get("text") or "" for part in parts or () if isinstance(part, dict))


def arguments_text(value: Any) -> str:
    """A call's arguments as JSON text, which is their form at OpenAI; some vendors send the object itself."""
    return value if isinstance(value, str) else "" if value is None else dumps(value).decode()


def integer(value: Any, default: int) -> int:
    """A number as an integer, anything else as the default: some send `created` with a fraction, or not at all."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MAX_NUMBER:
        return int(value)
    return default


def text_or(value: Any, default: str) -> str:
    """A text that is not empty, and the default for anything else."""
    return value if value and isinstance(value, str) else default


def usage(data: Json) -> Json | None:
    """The usage in a response or chunk. Groq's streams have it in `x_groq`."""
    groq = data.get("x_groq")
    reported = data.get("usage") or (groq.get("usage") if isinstance(groq, dict) else None)
    if not isinstance(reported, dict):
        return None
    invalid = [name for name in COUNTS if name in reported and not _is_count(reported[name])]
    return {name: value for name, value in reported.items() if name not in invalid} if invalid else reported


def _is_count(value: Any) -> bool:
    return value is None or (type(value) is int and 0 <= value < MAX_NUMBER)


def finish_reason(choice: Json, request: TargetRequest) -> str | None:
    """OpenAI's word for why a choice ended; None while it has not. Raises UpstreamFault where it ended in an error."""
    reason = choice.get("finish_reason")
    if reason in STANDARD_REASONS:
        return str(reason)
    # Mistral and OpenRouter list "error" among their finish reasons.
    if reason == "error" or choice.get("error"):
        raise in_band_error(choice.get("error") or f"{request.vendor.name} stopped with an error.", choice)
    return FINISH_REASONS.get(str(reason).lower(), "stop") if reason else None
