"""
The fields of a chat request that the Messages API has no field for, at any depth.

Anthropic's fields: https://platform.claude.com/docs/en/api/messages
OpenAI's: https://platform.openai.com/docs/api-reference/chat/create
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.openai_types import Chat

# In place of a table of fields: the value is passed on with everything in it, or its translation reports what it drops.
OPAQUE = None


@dataclass(frozen=True, slots=True)
class Variants:
    """An object whose fields depend on the value of one of them, `tag`. A variant that is not listed is opaque."""

    tag: str
    variants: Mapping[str, Any]


def _fields(names: str, **nested: Any) -> dict[str, Any]:
    """The translated fields of an object; `nested` are those whose own fields are listed."""
    return dict.fromkeys(names.split(), OPAQUE) | nested


CACHE = "cache_control prompt_cache_breakpoint"
PART = Variants(
    "type",
    {
        "text": _fields(f"type text citations {CACHE}"),
        "refusal": _fields(f"type refusal {CACHE}"),
        "image_url": _fields(f"type {CACHE}", image_url=_fields("url detail")),
        "file": _fields(f"type citations context title {CACHE}", file=_fields("file_id file_data filename format")),
    },
)
TOOL_CALL = Variants(
    "type",
    {
        "function": _fields("id type index cache_control", function=_fields("name arguments")),
        "custom": _fields("id type index cache_control", custom=_fields("name input")),
    },
)
THINKING_BLOCK = Variants(
    "type", {"thinking": _fields("type thinking signature"), "redacted_thinking": _fields("type data")}
)
MESSAGE = Variants(
    "role",
    {
        "system": _fields("role cache_control", content=PART),
        "developer": _fields("role cache_control", content=PART),
        "user": _fields("role cache_control", content=PART),
        "assistant": _fields(
            "role cache_control refusal reasoning_content",
            thinking_blocks=THINKING_BLOCK,
            content=PART,
            tool_calls=TOOL_CALL,
            function_call=_fields("name arguments"),
        ),
        "tool": _fields("role cache_control tool_call_id is_error", content=PART),
        "function": _fields("role cache_control name", content=PART),
    },
)
# Fields of Anthropic's tools beside name, description and schema:
# https://platform.claude.com/docs/en/agents-and-tools/tool-use/tool-reference
TOOL_EXTRAS = "cache_control defer_loading allowed_callers eager_input_streaming input_examples"
FUNCTION = _fields(f"name description parameters strict {TOOL_EXTRAS}")
CUSTOM_FORMAT = Variants(
    "type", {"text": _fields("type"), "grammar": _fields("type", grammar=_fields("definition syntax"))}
)
CUSTOM = _fields(f"name description {TOOL_EXTRAS}", format=CUSTOM_FORMAT)
TOOL = Variants(
    "type",
    {
        "function": _fields(f"type {TOOL_EXTRAS}", function=FUNCTION),
        "custom": _fields(f"type {TOOL_EXTRAS}", custom=CUSTOM),
    },
)
NAME = _fields("name")
ALLOWED_TOOL = Variants("type", {"function": _fields("type", function=NAME), "custom": _fields("type", custom=NAME)})
TOOL_CHOICE = Variants(
    "type",
    {
        "function": _fields("type disable_parallel_tool_use", function=NAME),
        "custom": _fields("type disable_parallel_tool_use", custom=NAME),
        "allowed_tools": _fields("type", allowed_tools=_fields("mode", tools=ALLOWED_TOOL)),
    },
)
RESPONSE_FORMAT = Variants(
    "type",
    {
        "text": _fields("type"),
        "json_object": _fields("type"),
        "json_schema": _fields("type", json_schema=_fields("name description schema strict")),
    },
)
# Anthropic's own fields, which OpenAI does not have: they are passed on as they are.
NATIVE_FIELDS = (
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
# OpenAI's fields that are translated, or dropped and reported, by the other modules of this folder.
TRANSLATED_FIELDS = (
    "model stream max_tokens max_completion_tokens temperature top_p stop user safety_identifier metadata"
    " reasoning_effort service_tier parallel_tool_calls"
)
CHAT = _fields(
    " ".join([TRANSLATED_FIELDS, *NATIVE_FIELDS]),
    messages=MESSAGE,
    tools=TOOL,
    tool_choice=TOOL_CHOICE,
    functions=FUNCTION,
    function_call=NAME,
    response_format=RESPONSE_FORMAT,
    stream_options=_fields("include_usage"),
    web_search_options=_fields(
        "search_context_size",
        user_location=_fields("type", approximate=_fields("city country region timezone")),
    ),
)
# The other fields that OpenAI documents, in which null or an empty list means the same as no field. The last two belong
# to responses, which clients send back with the history.
EMPTY_MEANS_ABSENT = _fields(
    "audio frequency_penalty function_call logit_bias logprobs modalities moderation n name prediction presence_penalty"
    " prompt_cache_key prompt_cache_options prompt_cache_retention refusal seed store tool_calls tools top_logprobs"
    " verbosity annotations provider_specific_fields"
)
# OpenAI's default values: to drop a field that has its default changes nothing.
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
    """The paths of the fields that are dropped for want of a field to translate them to."""
    return _untranslated({name: value for name, value in chat.items() if value != DEFAULTS.get(name)}, CHAT, "")


def _untranslated(value: Any, translated: Any, path: str) -> Iterator[str]:
    """`translated`: a table of fields, Variants, or OPAQUE."""
    if isinstance(value, list):
        for n, item in enumerate(value):
            yield from _untranslated(item, translated, f"{path}[{n}]")
    elif isinstance(value, dict) and isinstance(translated, Variants):
        yield from _untranslated(value, translated.variants.get(value.get(translated.tag, "")), path)
    elif isinstance(value, dict) and translated is not OPAQUE:
        for name, field in value.items():
            if name in translated:
                if translated[name] is not OPAQUE and isinstance(field, dict | list):
                    yield from _untranslated(field, translated[name], f"{path}.{name}" if path else name)
            elif name not in EMPTY_MEANS_ABSENT or field not in (None, [], {}):
                yield f"{path}.{name}" if path else name
