"""
The parameters of a chat request, other than its messages and tools, as the Messages API has them.

https://platform.claude.com/docs/en/api/messages; quotations without a page are the API's own error messages.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from gateway import json_codec
from gateway.dialects.anthropic import json_schema
from gateway.dialects.anthropic.content_parts import Translated
from gateway.dialects.anthropic.models import ADAPTIVE, DISABLED, ENABLED, NEITHER, ONE, Model
from gateway.errors import InvalidRequest
from gateway.openai_types import Chat, Json

# OpenAI's reasoning_effort -> output_config.effort: https://platform.claude.com/docs/en/build-with-claude/effort
EFFORTS: Mapping[str, str] = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
}
# OpenAI's reasoning_effort -> budget_tokens, for the models that think by a budget.
BUDGETS: Mapping[str, int] = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16_384,
    "xhigh": 32_000,
    "max": 60_000,
}
# "The minimum budget is 1,024 tokens": https://platform.claude.com/docs/en/build-with-claude/extended-thinking
MIN_BUDGET = 1024
# `auto` uses priority capacity where the account has it: https://platform.claude.com/docs/en/api/service-tiers
SERVICE_TIERS: Mapping[str, str] = {
    "auto": "auto",
    "priority": "auto",
    "default": "standard_only",
    "standard_only": "standard_only",
}
# metadata.user_id: "Do not include any identifying information such as name, email address, or phone number."
PERSONAL_DATA = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+|\+?\d[\d\s().-]{6,18}\d")
MAX_USER_ID_LENGTH = 256


def max_tokens(chat: Chat, model: Model) -> Translated:
    """`max_tokens`, which the API requires: the client's limit, or else the model's."""
    current, deprecated = chat.get("max_completion_tokens"), chat.get("max_tokens")
    field, limit = ("max_completion_tokens", current) if current is not None else ("max_tokens", deprecated)
    if limit is None:
        return Translated({"max_tokens": model.max_tokens})
    if limit < 1:
        raise InvalidRequest(f"{field} must be at least 1.", param=field)
    return Translated({"max_tokens": limit}, ("max_tokens",) if deprecated not in (None, limit) else ())


class ThinkingConstraints(NamedTuple):
    """What can rule thinking out: a forced tool, a continued turn without its thinking blocks, a small max_tokens."""

    tool_forced: bool
    lacks_thinking: bool
    max_tokens: int


def thinking(chat: Chat, model: Model, constraints: ThinkingConstraints) -> Translated:
    """
    reasoning_effort as `thinking` and `output_config.effort`. It is dropped where the constraints rule thinking out.

    https://platform.claude.com/docs/en/build-with-claude/extended-thinking
    """
    effort = chat.get("reasoning_effort")
    native = chat.get("thinking")
    if native is not None:
        if not isinstance(native, dict):
            raise InvalidRequest("thinking must be an object.", param="thinking")
        return _native_thinking(native, effort)
    if effort is None:
        # "Thinking may not be enabled when tool_choice forces tool use", and some models think unless it is turned off.
        return Translated({"thinking": DISABLED} if constraints.tool_forced and model.thinking_off == DISABLED else {})
    if effort == "none":
        return _thinking_off(model)
    if model.thinking_on is None or effort not in EFFORTS:
        return Translated({}, ("reasoning_effort",))
    if model.thinking_on == ENABLED:
        return _budgeted_thinking(effort, constraints)
    return _adaptive_thinking(EFFORTS[effort], model, constraints)


def _native_thinking(native: Json, effort: str | None) -> Translated:
    """Anthropic's own field, which takes precedence; an effort has a place beside adaptive thinking only."""
    if effort is None:
        return Translated({"thinking": native})
    if effort in EFFORTS and native.get("type") == ADAPTIVE["type"]:
        return Translated({"thinking": native, "output_config": {"effort": EFFORTS[effort]}})
    return Translated({"thinking": native}, ("reasoning_effort",))


def _thinking_off(model: Model) -> Translated:
    if model.thinking_off is None:
        # A model that always thinks can be made to think little.
        return Translated({"output_config": {"effort": "low"}}, ("reasoning_effort",))
    return Translated({"thinking": model.thinking_off} if model.thinking_off else {})


def _adaptive_thinking(effort: str, model: Model, constraints: ThinkingConstraints) -> Translated:
    level = effort if effort in model.efforts else "high"
    if not constraints.tool_forced:
        dropped = () if level == effort else ("reasoning_effort",)
        return Translated({"thinking": model.thinking_on, "output_config": {"effort": level}}, dropped)
    # Levels above "high" are refused where thinking is off.
    level = level if level in ("low", "medium") else "high"
    off = {"thinking": model.thinking_off} if model.thinking_off else {}
    return Translated({**off, "output_config": {"effort": level}}, ("reasoning_effort",))


def _budgeted_thinking(effort: str, constraints: ThinkingConstraints) -> Translated:
    # "`max_tokens` must be greater than `thinking.budget_tokens`"
    too_small = constraints.max_tokens <= MIN_BUDGET
    if constraints.tool_forced or constraints.lacks_thinking or too_small:
        return Translated({}, ("reasoning_effort",))
    # max_tokens counts thinking too: half of it remains for the answer.
    budget = max(MIN_BUDGET, min(BUDGETS[effort], constraints.max_tokens // 2))
    return Translated({"thinking": {**ENABLED, "budget_tokens": budget}})


def sampling(chat: Chat, model: Model, *, is_thinking: bool) -> Translated:
    """temperature, top_p and top_k, as far as the model accepts them."""
    requested = {name: chat[name] for name in ("temperature", "top_p", "top_k") if chat.get(name) is not None}
    accepted = {
        name: value for name, value in requested.items() if _is_accepted(name, value, model, is_thinking=is_thinking)
    }
    if model.sampling == ONE and {"temperature", "top_p"} <= set(accepted):
        # "`temperature` and `top_p` cannot both be specified for this model." A temperature of 1 is the default.
        redundant = "temperature" if accepted["temperature"] == 1 else "top_p"
        accepted = {name: value for name, value in accepted.items() if name != redundant}
    # Anthropic's temperature "ranges from 0.0 to 1.0", OpenAI's to 2.
    sent = {name: min(value, 1) if name == "temperature" else value for name, value in accepted.items()}
    return Translated(sent, tuple(name for name in requested if sent.get(name) != requested[name]))


def _is_accepted(name: str, value: float, model: Model, *, is_thinking: bool) -> bool:
    if model.sampling == NEITHER:
        return name != "top_k" and value == 1
    if not is_thinking:
        return True
    # "Thinking isn't compatible with temperature or top_k modifications"; top_p takes "values between 1 and 0.95":
    # https://platform.claude.com/docs/en/build-with-claude/extended-thinking
    return value == 1 if name == "temperature" else name == "top_p" and value >= 0.95


def stop_sequences(chat: Chat) -> Translated:
    stop = chat.get("stop") or []
    texts = [stop] if isinstance(stop, str) else stop
    # "stop_sequences: each stop sequence must contain non-whitespace"
    sent = [text for text in texts if text.strip()]
    return Translated({"stop_sequences": sent} if sent else {}, ("stop",) if len(sent) < len(texts) else ())


def user_metadata(chat: Chat) -> Translated:
    """`metadata.user_id`, its only field: the first id of the user that is not personal data."""
    metadata = chat.get("metadata") or {}
    user_ids = {
        "user": chat.get("user"),
        "metadata.user_id": metadata.get("user_id"),
        "safety_identifier": chat.get("safety_identifier"),
    }
    acceptable = [user_id for user_id in user_ids.values() if user_id and _is_opaque(user_id)]
    sent = {"metadata": {"user_id": acceptable[0]}} if acceptable else {}
    dropped = [path for path, user_id in user_ids.items() if user_id and user_id not in acceptable[:1]]
    other_fields = [f"metadata.{name}" for name in metadata if name != "user_id"]
    if metadata and not (acceptable and metadata.get("user_id") == acceptable[0]):
        return Translated(sent, ("metadata", *(path for path in dropped if path != "metadata.user_id")))
    return Translated(sent, (*dropped, *other_fields))


def _is_opaque(user_id: str) -> bool:
    return len(user_id) <= MAX_USER_ID_LENGTH and not PERSONAL_DATA.fullmatch(user_id)


def service_tier(chat: Chat) -> Translated:
    tier = chat.get("service_tier")
    if tier is None:
        return Translated({})
    if tier in SERVICE_TIERS:
        return Translated({"service_tier": SERVICE_TIERS[tier]})
    return Translated({}, ("service_tier",))


JSON_ONLY = "Answer with one valid JSON object and nothing else: no words before or after it, no code fence."
JSON_SCHEMA = "Answer with one valid JSON value and nothing else: no words before or after it, no code fence. It must match this JSON schema:\n"


def response_format(chat: Chat, model: Model) -> tuple[Translated, str | None]:
    """
    response_format as a part of `output_config`, or else as an instruction for the system prompt.

    https://platform.claude.com/docs/en/build-with-claude/structured-outputs: a schema is needed, any JSON is no format.
    """
    match chat.get("response_format"):
        case {"type": "json_object"}:
            return Translated({}), JSON_ONLY
        case {"type": "json_schema", "json_schema": dict() as requested}:
            schema, dropped = _titled_schema(requested)
            if model.structured_outputs and json_schema.is_expressible(schema):
                output_format = {"type": "json_schema", "schema": json_schema.closed(schema)}
                return Translated({"format": output_format}, dropped), None
            strict = ("response_format.json_schema.strict",) if requested.get("strict") is not None else ()
            return Translated({}, (*dropped, *strict)), JSON_SCHEMA + json_codec.dumps(schema).decode()
        case _:
            return Translated({}), None


def _titled_schema(requested: Json) -> Translated:
    """The schema with the name and the description that OpenAI has beside it."""
    schema, name = requested.get("schema") or {}, requested.get("name")
    descriptions = (requested.get("description"), schema.get("description"))
    texts = [text for text in descriptions if isinstance(text, str) and text]
    described = {"description": "\n\n".join(texts)} if texts else {}
    has_other_title = schema.get("title") not in (None, name)
    dropped = ("response_format.json_schema.name",) if has_other_title else ()
    return Translated({"title": name, **schema, **described}, dropped)
