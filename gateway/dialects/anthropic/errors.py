"""Anthropic's errors: https://platform.claude.com/docs/en/api/errors"""

import re
from collections.abc import Mapping
from typing import Any

from gateway.dialects.error_text import error_message
from gateway.dialects.upstream_error import upstream_error
from gateway.errors import UpstreamFault
from gateway.openai_types import Json

# The page's table of HTTP errors. An error in a stream has a type, but no status of its own.
STATUSES: Mapping[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
# A message begins with the path of the field, "max_tokens: ...", "messages.0.content: ..." -> OpenAI's field.
PARAMS: Mapping[str, str] = {
    "max_tokens": "max_tokens",
    "messages": "messages",
    "metadata": "user",
    "model": "model",
    "output_config": "response_format",
    "stop_sequences": "stop",
    "system": "messages",
    "temperature": "temperature",
    "thinking": "reasoning_effort",
    "tool_choice": "tool_choice",
    "tools": "tools",
    "top_p": "top_p",
}
FIELD_PATH = re.compile(r"([a-z_]+)(?:\.[\w.]+)?: ")
# "Your credit balance is too low to access the Anthropic API" comes with a 400, yet the request is not at fault.
LOW_CREDIT = "credit balance is too low"
# "prompt is too long: 210000 tokens > 200000 maximum", "input length and `max_tokens` exceed context limit: ..."
CONTEXT_LENGTH = re.compile(r"prompt is too long|exceed context limit|context window", re.IGNORECASE)


def error(status: int, body: Any) -> Json:
    """The contract's `error`. Anthropic's body is `{"type": "error", "error": {"type", "message"}}`."""
    message = error_message(status, body)
    if status == 429:
        # "This request would exceed your organization's rate limit of 50,000 input tokens per minute"
        return {"message": message, "type": "tokens"} if "tokens per minute" in message else {"message": message}
    if status == 400 and LOW_CREDIT in message:
        return {"message": message, "status": 402}
    if CONTEXT_LENGTH.search(message):
        return {"message": message, "code": "context_length_exceeded", "param": "messages"}
    path = FIELD_PATH.match(message)
    param = PARAMS.get(path[1]) if path else None
    code = {"code": "model_not_found"} if status == 404 and param == "model" else {}
    return {"message": message, **code, **({"param": param} if param else {})}


def in_band_error(data: Json) -> UpstreamFault:
    """
    The error in a response of status 200 or in its stream.

    The page: "When receiving a streaming response via SSE, it's possible that an error can occur after returning a 200
    response".
    """
    reported = data.get("error")
    kind = reported.get("type") if isinstance(reported, dict) else None
    status = STATUSES.get(kind, 502) if isinstance(kind, str) else 502
    fields = error(status, data)
    return upstream_error(fields.pop("status", status), **fields)
