"""Which of a chat request's fields the Messages API has no place for, at any depth."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.openai_types import Chat

WHOLE = None
"""Carried with all that is in it, or answered for where it is translated."""


@dataclass(frozen=True, slots=True)
class By:
    """What is carried of an object depends on one of its fields; of one that isn't listed, all."""

    field: str
    kinds: Mapping[str, Any]


def _fields(names: str, **deeper: Any) -> dict[str, Any]:
    return dict.fromkeys(names.split(), WHOLE) | deeper


CACHE = "cache_control prompt_cache_breakpoint"
PARTS = By(
    "type",
    {
        "text": _fields(f"type text citations {CACHE}"),
        "refusal": _fields(f"type refusal {CACHE}"),
        "image_url": _fields(f"type {CACHE}", image_url=_fields("url detail")),
        "file": _fields(f"type citations context title {CACHE}", file=_fields("file_id file_data filename format")),
    },
)
CALL = By(
    "type",
    {
        "function": _fields("id type index cache_control", function=_fields("name arguments")),
        "custom": _fields("id type index cache_control", custom=_fields("name input")),
    },
)
THOUGHT = By("type", {"thinking": _fields("type thinking signature"), "redacted_thinking": _fields("type data")})
MESSAGE = By(
    "role",
    {
        "system": _fields("role cache_control", content=PARTS),
        "developer": _fields("role cache_control", content=PARTS),
        "user": _fields("role cache_control", content=PARTS),
        "assistant": _fields(
            "role cache_control refusal reasoning_content",
            thinking_blocks=THOUGHT,
            content=PARTS,
            tool_calls=CALL,
            function_call=_fields("name arguments"),
        ),
        "tool": _fields("role cache_control tool_call_id is_error", content=PARTS),
        "function": _fields("role cache_control name", content=PARTS),
    },
)
TOOL_EXTRAS = "cache_control defer_loading allowed_callers eager_input_streaming input_examples"
FUNCTION = _fields(f"name description parameters strict {TOOL_EXTRAS}")
SYNTAX = By("type", {"text": _fields("type"), "grammar": _fields("type", grammar=_fields("definition syntax"))})
CUSTOM = _fields(f"name description {TOOL_EXTRAS}", format=SYNTAX)
TOOL = By(
    "type",
    {
        "function": _fields(f"type {TOOL_EXTRAS}", function=FUNCTION),
        "custom": _fields(f"type {TOOL_EXTRAS}", custom=CUSTOM),
    },
)
NAMED = _fields("name")
ALLOWED = By("type", {"function": _fields("type", function=NAMED), "custom": _fields("type", custom=NAMED)})
CHOICE = By(
    "type",
    {
        "function": _fields("type disable_parallel_tool_use", function=NAMED),
        "custom": _fields("type disable_parallel_tool_use", custom=NAMED),
        "allowed_tools": _fields("type", allowed_tools=_fields("mode", tools=ALLOWED)),
    },
)
FORMAT = By(
    "type",
    {
        "text": _fields("type"),
        "json_object": _fields("type"),
        "json_schema": _fields("type", json_schema=_fields("name description schema strict")),
    },
)
# Anthropic's own fields, for which OpenAI has none: they go upstream as they are
NATIVE = (
    "thinking",
    "output_config",
    "top_k",
    "mcp_servers",
    "container",
    "context_management",
    "inference_geo",
    "speed",
    "cache_control",
    "diagnostics",
    "compaction",
    "fallbacks",
    "fallback_credit_token",
    "billing_policy",
    "user_profile_id",
    "workspace_id",
    "betas",
)
TRANSLATED = (
    "model stream max_tokens max_completion_tokens temperature top_p stop user safety_identifier metadata"
    " reasoning_effort service_tier parallel_tool_calls"
)
CHAT = _fields(
    " ".join([TRANSLATED, *NATIVE]),
    messages=MESSAGE,
    tools=TOOL,
    tool_choice=CHOICE,
    functions=FUNCTION,
    function_call=NAMED,
    response_format=FORMAT,
    stream_options=_fields("include_usage"),
    web_search_options=_fields(
        "search_context_size",
        user_location=_fields("type", approximate=_fields("city country region timezone")),
    ),
)
# documented by OpenAI (the last two are common in messages that were answers): null or empty they say nothing
OPENAI = _fields(
    "audio frequency_penalty function_call logit_bias logprobs modalities moderation n name prediction presence_penalty"
    " prompt_cache_key prompt_cache_options prompt_cache_retention refusal seed store tool_calls tools top_logprobs"
    " verbosity annotations provider_specific_fields"
)
# what these mean, a request without them means too
DEFAULTS: Mapping[str, Any] = {
    "n": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "logprobs": False,
    "top_logprobs": 0,
    "store": False,
    "modalities": ["text"],
}


def untranslated(chat: Chat) -> Iterator[str]:
    """The paths of the fields that have no place."""
    return _unsaid({name: value for name, value in chat.items() if value != DEFAULTS.get(name)}, CHAT, "")


def _unsaid(value: Any, carried: Any, path: str) -> Iterator[str]:
    if isinstance(value, list):
        for n, inner in enumerate(value):
            yield from _unsaid(inner, carried, f"{path}[{n}]")
    elif isinstance(value, dict) and isinstance(carried, By):
        yield from _unsaid(value, carried.kinds.get(value.get(carried.field, "")), path)
    elif isinstance(value, dict) and carried is not WHOLE:
        for name, inner in value.items():
            where = f"{path}.{name}" if path else name
            if name in carried:
                yield from _unsaid(inner, carried[name], where)
            elif name not in OPENAI or inner not in (None, [], {}):
                yield where
