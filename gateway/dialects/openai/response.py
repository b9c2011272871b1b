"""A whole response of an OpenAI-compatible vendor, as OpenAI would have sent it."""

from typing import Any

from gateway.dialects.contract import TargetRequest
from gateway.dialects.openai.errors import in_band_error
from gateway.errors import UpstreamFailed
from gateway.json_codec import dumps
from gateway.openai_types import Completion, Json

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
STANDARD = frozenset({"stop", "length", "tool_calls", "function_call", "content_filter"})


def completion(request: TargetRequest, data: Json) -> Completion:
    if data.get("error"):
        raise in_band_error(data["error"], data)
    choices = data.get("choices")
    if not isinstance(choices, list) or not choices or not all(isinstance(one, dict) for one in choices):
        raise UpstreamFailed("The upstream's answer has no choices.", upstream_status="invalid_response")
    answer = {
        **data,
        "id": data.get("id") or request.id,
        "object": "chat.completion",
        "created": whole(data.get("created"), request.created),
        "model": data.get("model") or request.model,
        "choices": [_choice(request, n, one) for n, one in enumerate(choices)],
    }
    used = usage(data)
    return {**answer, "usage": used} if used else {k: v for k, v in answer.items() if k != "usage"}


def _choice(request: TargetRequest, n: int, choice: Json) -> Json:
    message = choice.get("message")
    if not isinstance(message, dict):
        raise UpstreamFailed(
            "The upstream's answer has a choice without a message.", upstream_status="invalid_response"
        )
    told = {"role": "assistant", "content": None, **reasoning_as_text(message)}
    calls = message.get("tool_calls")
    if "tool_calls" in message:
        told = {field: value for field, value in told.items() if field != "tool_calls"}
    if calls:
        told["tool_calls"] = [_call(request, n, k, call) for k, call in enumerate(calls)]
    finish = finish_reason(choice, request) or ("tool_calls" if calls else "stop")  # a whole body was not cut short
    return {**choice, "index": whole(choice.get("index"), n), "message": told, "finish_reason": finish}


def _call(request: TargetRequest, n: int, k: int, call: Json) -> Json:
    told = {"type": "function", **call, "id": call.get("id") or f"call_{request.id}_{n}_{k}"}
    if isinstance(call.get("function"), dict):
        told["function"] = {**call["function"], "arguments": arguments(call["function"].get("arguments"))}
    return told


def reasoning_as_text(message: Json) -> Json:
    """A message or delta with its content as text and its reasoning as `reasoning_content`."""
    content, reasoning = message.get("content"), message.get("reasoning")
    if isinstance(content, str | None) and "reasoning" not in message:
        return message
    told = {field: value for field, value in message.items() if field != "reasoning"}
    parts = content if isinstance(content, list) else []
    if parts:
        told["content"] = _texts(parts) or None
        reasoning = reasoning or "".join(_texts(part.get("thinking")) for part in parts if isinstance(part, dict))
    if reasoning and isinstance(reasoning, str):
        told["reasoning_content"] = message.get("reasoning_content") or reasoning
    return told


def _texts(parts: Any) -> str:
    if isinstance(parts, str):
        return parts
    return "".join(part.get("text") or "" for part in parts or () if isinstance(part, dict))


def arguments(value: Any) -> str:
    """A call's arguments as JSON text."""
    return value if isinstance(value, str) else "" if value is None else dumps(value).decode()


def whole(value: Any, default: int) -> int:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else default


def usage(data: Json) -> Json | None:
    """The usage in an answer or chunk, wherever the vendor puts it."""
    groq = data.get("x_groq")
    used = data.get("usage") or (groq.get("usage") if isinstance(groq, dict) else None)
    return used if isinstance(used, dict) else None


def finish_reason(choice: Json, request: TargetRequest) -> str | None:
    """OpenAI's word for how a choice ended; None where the vendor says nothing. Raises its error, if it is one."""
    reason = choice.get("finish_reason")
    if reason in STANDARD:
        return str(reason)
    if reason == "error" or choice.get("error"):
        raise in_band_error(choice.get("error") or f"{request.vendor.name} stopped with an error.", choice)
    return FINISH_REASONS.get(str(reason).lower(), "stop") if reason else None
