"""What a chat request says beside its messages and tools, as the Messages API has it."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from gateway import json_codec
from gateway.dialects.anthropic import json_schema
from gateway.dialects.anthropic.content_parts import Piece
from gateway.dialects.anthropic.models import ADAPTIVE, BUDGET, DISABLED, NEITHER, ONE, Model
from gateway.errors import InvalidRequest
from gateway.openai_types import Chat, Json

EFFORTS: Mapping[str, str] = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
}
BUDGETS: Mapping[str, int] = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16_384,
    "xhigh": 32_000,
    "max": 60_000,
}
LEAST_BUDGET = 1024
TIERS: Mapping[str, str] = {
    "auto": "auto",
    "priority": "auto",
    "default": "standard_only",
    "standard_only": "standard_only",
}
# the API refuses what looks like a person's address or number
PERSONAL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+|\+?\d[\d\s().-]{6,18}\d")
LONGEST_USER = 256


def max_tokens(chat: Chat, model: Model) -> Piece:
    """The most to say: what the client set, or else what the model can."""
    wanted, old = chat.get("max_completion_tokens"), chat.get("max_tokens")
    field, limit = ("max_completion_tokens", wanted) if wanted is not None else ("max_tokens", old)
    if limit is None:
        return Piece({"max_tokens": model.max_tokens})
    if limit < 1:
        raise InvalidRequest("Anthropic's API answers with one token at least.", param=field)
    return Piece({"max_tokens": limit}, ("max_tokens",) if old not in (None, limit) else ())


class Circumstances(NamedTuple):
    """What else decides on thinking: a tool is forced; no thoughts before an answer that goes on; the limit."""

    forced: bool
    bare: bool
    max_tokens: int


def thinking(chat: Chat, model: Model, now: Circumstances) -> Piece:
    """
    reasoning_effort as Claude's thinking. It gives way to a forced tool, to an answer that goes on without its
    former thoughts and to a small max_tokens; temperature and top_p give way to it.
    """
    effort = chat.get("reasoning_effort")
    told = chat.get("thinking")
    if told is not None:
        if not isinstance(told, dict):
            raise InvalidRequest("thinking must be an object.", param="thinking")
        return _as_told(told, effort)
    if effort is None:
        return Piece({"thinking": DISABLED} if now.forced and model.off == DISABLED else {})
    if effort == "none":
        return _off(model)
    if model.on is None or effort not in EFFORTS:
        return Piece({}, ("reasoning_effort",))
    return _budget(effort, now) if model.on == BUDGET else _adaptive(EFFORTS[effort], model, now)


def _as_told(told: Json, effort: str | None) -> Piece:
    """Thinking in Anthropic's own words."""
    if effort is None:
        return Piece({"thinking": told})
    if effort in EFFORTS and told.get("type") == ADAPTIVE["type"]:
        return Piece({"thinking": told, "output_config": {"effort": EFFORTS[effort]}})
    return Piece({"thinking": told}, ("reasoning_effort",))


def _off(model: Model) -> Piece:
    if model.off is None:  # it always thinks: let it be little
        return Piece({"output_config": {"effort": "low"}}, ("reasoning_effort",))
    return Piece({"thinking": model.off} if model.off else {})


def _adaptive(effort: str, model: Model, now: Circumstances) -> Piece:
    level = effort if effort in model.efforts else "high"
    if not now.forced:
        dropped = () if level == effort else ("reasoning_effort",)
        return Piece({"thinking": model.on, "output_config": {"effort": level}}, dropped)
    level = level if level in ("low", "medium") else "high"  # more is refused where thinking is off
    off = {"thinking": model.off} if model.off else {}
    return Piece({**off, "output_config": {"effort": level}}, ("reasoning_effort",))


def _budget(effort: str, now: Circumstances) -> Piece:
    """Half of what may be said at the most is for thoughts."""
    if now.forced or now.bare or now.max_tokens <= LEAST_BUDGET:
        return Piece({}, ("reasoning_effort",))
    budget = max(LEAST_BUDGET, min(BUDGETS[effort], now.max_tokens // 2))
    return Piece({"thinking": {**BUDGET, "budget_tokens": budget}})


def sampling(chat: Chat, model: Model, *, thinks: bool) -> Piece:
    """temperature, top_p and top_k, as far as the model takes them."""
    asked = {name: chat[name] for name in ("temperature", "top_p", "top_k") if chat.get(name) is not None}
    kept = {name: value for name, value in asked.items() if _taken(name, value, model, thinks=thinks)}
    if model.sampling == ONE and {"temperature", "top_p"} <= set(kept):
        spare = "temperature" if kept["temperature"] == 1 else "top_p"
        kept = {name: value for name, value in kept.items() if name != spare}
    sent = {name: min(value, 1) if name == "temperature" else value for name, value in kept.items()}
    return Piece(sent, tuple(name for name in asked if sent.get(name) != asked[name]))


def _taken(name: str, value: float, model: Model, *, thinks: bool) -> bool:
    if model.sampling == NEITHER:
        return name != "top_k" and value == 1
    if not thinks:
        return True
    return value == 1 if name == "temperature" else name == "top_p" and value >= 0.95


def stop(chat: Chat) -> Piece:
    """Blank sequences are refused."""
    asked = chat.get("stop") or []
    listed = [asked] if isinstance(asked, str) else asked
    sent = [text for text in listed if text.strip()]
    return Piece({"stop_sequences": sent} if sent else {}, ("stop",) if len(sent) < len(listed) else ())


def who(chat: Chat) -> Piece:
    """metadata.user_id: who asks, where that is no personal datum."""
    metadata = chat.get("metadata") or {}
    told = {
        "user": chat.get("user"),
        "metadata.user_id": metadata.get("user_id"),
        "safety_identifier": chat.get("safety_identifier"),
    }
    fit = [one for one in told.values() if one and _impersonal(one)]
    sent = {"metadata": {"user_id": fit[0]}} if fit else {}
    lost = [path for path, one in told.items() if one and one not in fit[:1]]
    others = [f"metadata.{name}" for name in metadata if name != "user_id"]
    if metadata and not (fit and metadata.get("user_id") == fit[0]):
        return Piece(sent, ("metadata", *(path for path in lost if path != "metadata.user_id")))
    return Piece(sent, (*lost, *others))


def _impersonal(user: str) -> bool:
    return len(user) <= LONGEST_USER and not PERSONAL.fullmatch(user)


def tier(chat: Chat) -> Piece:
    asked = chat.get("service_tier")
    if asked is None:
        return Piece({})
    return Piece({"service_tier": TIERS[asked]}) if asked in TIERS else Piece({}, ("service_tier",))


JSON_ONLY = "Answer with one valid JSON object and nothing else: no words before or after it, no code fence."
JSON_SCHEMA = "Answer with one valid JSON value and nothing else: no words before or after it, no code fence. It must match this JSON schema:\n"


def answer_format(chat: Chat, model: Model) -> tuple[Piece, str | None]:
    """response_format as a schema that Anthropic enforces, or else in words for the system prompt."""
    match chat.get("response_format"):
        case {"type": "json_object"}:
            return Piece({}), JSON_ONLY
        case {"type": "json_schema", "json_schema": dict() as wanted}:
            schema, dropped = _titled(wanted)
            if model.structured and json_schema.expressible(schema):
                form = {"type": "json_schema", "schema": json_schema.closed(schema)}
                return Piece({"format": form}, dropped), None
            strict = ("response_format.json_schema.strict",) if wanted.get("strict") is not None else ()
            return Piece({}, (*dropped, *strict)), JSON_SCHEMA + json_codec.dumps(schema).decode()
        case _:
            return Piece({}), None


def _titled(wanted: Json) -> Piece:
    """The schema with the name and the description that OpenAI keeps beside it."""
    schema, name = wanted.get("schema") or {}, wanted.get("name")
    texts = [text for text in (wanted.get("description"), schema.get("description")) if isinstance(text, str) and text]
    described = {"description": "\n\n".join(texts)} if texts else {}
    taken = ("response_format.json_schema.name",) if schema.get("title") not in (None, name) else ()
    return Piece({"title": name, **schema, **described}, taken)
