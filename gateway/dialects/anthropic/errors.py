"""What Anthropic's errors say: https://platform.claude.com/docs/en/api/errors."""

import re
from collections.abc import Mapping
from typing import Any

from gateway.dialects.error_text import error_text
from gateway.errors import UpstreamFault, upstream_error
from gateway.openai_types import Json

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
# how the complaints begin, and OpenAI's field
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
EMPTY = "credit balance is too low"
"""It says so with a 400, yet it is not the request that is wrong."""
COMPLAINT = re.compile(r"([a-z_]+)(?:\.[\w.]+)?: ")
TOO_LONG = re.compile(r"prompt is too long|exceed context limit|context window", re.IGNORECASE)


def error(status: int, body: Any) -> Json:
    """What an error body says: `{"type": "error", "error": {"type", "message"}}`, or whatever a proxy made of it."""
    message = error_text(body) or f"The upstream answered with status {status} and gave no reason."
    if status == 429:
        return {"message": message, "type": "tokens"} if "tokens per minute" in message else {"message": message}
    if status == 400 and EMPTY in message:
        return {"message": message, "status": 402}
    if TOO_LONG.search(message):
        return {"message": message, "code": "context_length_exceeded", "param": "messages"}
    field = COMPLAINT.match(message)
    param = PARAMS.get(field[1]) if field else None
    unknown = {"code": "model_not_found"} if status == 404 and param == "model" else {}
    return {"message": message, **unknown, **({"param": param} if param else {})}


def in_band_error(data: Json) -> UpstreamFault:
    """The error that stands in an answer of status 200, or in its stream."""
    told = data.get("error")
    kind = told.get("type") if isinstance(told, dict) else None
    status = STATUSES.get(str(kind), 502)
    said = error(status, data)
    return upstream_error(said.pop("status", status), **said)
