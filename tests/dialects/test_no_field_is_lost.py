"""
Every field of a chat request is in the vendor's request, or reported as dropped, or refused with its path.

A text must be part of a text in the vendor's request, a number must be somewhere in it, and a boolean or null under the
same field name. `TRANSLATED` lists the fields whose values the adapters translate to other values.
"""

import copy
import json
import re

import pytest
from hypothesis import HealthCheck, given, settings

from gateway.catalog.vendors import VENDORS
from gateway.dialects import ADAPTERS
from gateway.dialects.contract import TargetRequest
from gateway.errors import Untranslatable
from tests.support.chat_strategies import chat_requests

TARGETS = [
    ("openai", "gpt-5"),
    ("openai", "gpt-4o"),
    ("mistral", "mistral-large"),
    ("groq", "llama"),
    ("deepseek", "deepseek-chat"),
    ("anthropic", "claude-sonnet-4-5"),
    ("anthropic", "claude-opus-4-8"),
    ("anthropic", "claude-3-haiku-20240307"),
]

# Where a dialect has another value for the same meaning, or another field.
TRANSLATED = {
    "openai": re.compile(
        r"""
          messages\[\d+\]\.role          # developer becomes system for some vendors
        | stream_options\.include_usage  # usage is requested in any case
        """,
        re.VERBOSE,
    ),
    "anthropic": re.compile(
        r"""
          messages\[\d+\]\.role
        | messages\[\d+\]\.(content|tool_calls)\[\d+\]\.type
        | (tools\[\d+\]|tool_choice|response_format)\.type
        | tools\[\d+\]\.custom\.format\.type
        | tool_choice(\.allowed_tools\.(mode|tools\[\d+\]\.type))?
        | function_call
        | parallel_tool_calls            # disable_parallel_tool_use
        | reasoning_effort               # thinking
        | service_tier
        | web_search_options.user_location.type
        | response_format.json_schema.strict  # output_config.format is always enforced
        | stream                         # omitted where it is false
        | stream_options\.include_usage  # usage is always reported
        | .*prompt_cache_breakpoint.mode # cache_control
        """,
        re.VERBOSE,
    ),
}
# What a field means where it is absent.
DEFAULTS = {
    "n": 1,
    "logprobs": False,
    "top_logprobs": 0,
    "store": False,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "modalities[]": "text",
    "messages[].content[].image_url.detail": "auto",
    "web_search_options.search_context_size": "medium",
    "tools[].function.strict": False,
    "response_format.json_schema.strict": False,
}
DATA_URL = re.compile(r"data:([^;,]+);base64,(.*)", re.DOTALL)
JSON_SCHEMA = re.compile(r"\.(parameters|schema)\.")


TOOLS = [{"type": "function", "function": {"name": "known"}}]
OPEN = {"type": "object", "properties": {}, "additionalProperties": True}
ALLOWED = {"mode": "auto", "tools": [{"type": "function", "function": {"name": "known"}}]}
NO_TOOLS = {"mode": "auto", "tools": []}
VIENNA = {"user_location": {"type": "approximate", "approximate": {"city": "Wien"}}}
DESCRIBED = {"name": "n", "description": "outer", "schema": {**OPEN, "description": "inner"}}
# Requests in which a field was once lost.
REGRESSIONS = [
    {"tools": [{"type": "function", "function": {"name": "f", "strict": True, "parameters": OPEN}}]},
    {"tools": [{"type": "custom", "custom": {"name": "c", "format": {"type": "text", "x_a": 77}}}]},
    {"tools": TOOLS, "tool_choice": {"type": "allowed_tools", "allowed_tools": ALLOWED}},
    {"tools": TOOLS, "tool_choice": {"type": "allowed_tools", "allowed_tools": {**ALLOWED, "x_a": 77}}},
    {"tools": TOOLS, "tool_choice": "none", "web_search_options": VIENNA},
    {"tools": TOOLS, "tool_choice": {"type": "allowed_tools", "allowed_tools": NO_TOOLS}, "web_search_options": VIENNA},
    {"stream": True, "stream_options": {"include_obfuscation": True, "x_a": 77}},
    {"response_format": {"type": "json_schema", "json_schema": DESCRIBED}},
    {"response_format": {"type": "json_schema", "json_schema": {**DESCRIBED, "strict": True}}},
    {"metadata": {"user_id": "somebody", "team": "blue"}, "user": "another"},
    {"max_tokens": 77, "max_completion_tokens": 78},
    {"stop": ["END", " "], "temperature": 1.7, "top_p": 0.3},
]


def leaves(value, path=""):
    """(path, value) of every scalar in a JSON value."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for n, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{n}]")
    else:
        yield path, value


def nodes(value, name=""):
    """(field name, value) of every value in a JSON value, and in the JSON objects within its texts."""
    yield name, value
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from nodes(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from nodes(inner, name)
    elif isinstance(value, str) and "{" in value:
        embedded = parsed(value[value.index("{") :])
        yield from nodes(embedded, name) if isinstance(embedded, dict) else ()


def parsed(text):
    try:
        return json.loads(text)
    except ValueError:
        return None


def canonical(value):
    return json.dumps(value, sort_keys=True)


class SentValues:
    """The values in a vendor's request."""

    def __init__(self, body):
        values = list(nodes(body))
        self.texts = [value for _, value in values if isinstance(value, str)]
        self.numbers = {value for _, value in values if isinstance(value, int | float) and not isinstance(value, bool)}
        self.named = {(name, value) for name, value in values if value is None or isinstance(value, bool)}
        self.objects = {canonical(value) for _, value in values if isinstance(value, dict)}

    def has(self, path, value):
        if isinstance(value, str):
            return self.has_text(value)
        if value is None or isinstance(value, bool):
            return (re.sub(r"(\[\d+\])+$", "", path).rpartition(".")[2], value) in self.named
        return value in self.numbers

    def has_text(self, text):
        """Whether it was sent, but for surrounding white space, or the JSON or the data URL's data that it holds."""
        if any(text.strip() in sent for sent in self.texts):
            return True
        if data_url := DATA_URL.fullmatch(text):
            return all(part in self.texts for part in data_url.groups())
        embedded = parsed(text)
        return isinstance(embedded, dict) and canonical(embedded) in self.objects


def is_default(path, value):
    """Whether the field means the same as no field: null (but within a JSON schema), or the default value."""
    default = DEFAULTS.get(re.sub(r"\[\d+\]", "[]", path))
    return JSON_SCHEMA.search(path) is None if value is None else value == default


def is_reported(path, dropped):
    return any(path == field or path.startswith((f"{field}.", f"{field}[")) for field in dropped)


def lost(chat, body, dropped, translated):
    """(path, value) of what the client sent that is neither in the vendor's request nor reported."""
    sent = SentValues(body)
    return [
        (path, value)
        for path, value in leaves(chat)
        if path != "model"
        and not is_default(path, value)
        and not is_reported(path, dropped)
        and not translated.fullmatch(path)
        and not sent.has(path, value)
    ]


def value_at(chat, param):
    """The value at a field's path. Raises KeyError or IndexError where there is none."""
    for key, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", param):
        chat = chat[key] if key else chat[int(index)]
    return chat


def translate(vendor, model, chat):
    """(the vendor's request, the refusal), of which either is None."""
    try:
        return ADAPTERS[vendor.dialect].vendor_request(TargetRequest(chat, model, vendor, "chatcmpl-1", 1)), None
    except Untranslatable as refusal:
        return None, refusal


def losses(name, model, chat):
    """The fields that are lost. A refused request loses none, and its path must exist, as those of dropped fields."""
    vendor = VENDORS[name]
    before = copy.deepcopy(chat)
    request, refusal = translate(vendor, model, chat)
    for path in [refusal.param] if refusal else request.dropped:
        value_at(chat, path)
    assert chat == before
    return [] if refusal else lost(chat, request.body, request.dropped, TRANSLATED[vendor.dialect])


@pytest.mark.parametrize(("name", "model"), TARGETS)
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(chat=chat_requests())
def test_every_field_is_sent_or_reported_or_refused(name, model, chat):
    assert losses(name, model, chat) == []


@pytest.mark.parametrize(("name", "model"), TARGETS)
@pytest.mark.parametrize("fields", REGRESSIONS, ids=range(len(REGRESSIONS)))
def test_a_field_that_was_once_lost_is_sent_or_reported(name, model, fields):
    chat = {"model": "m", "messages": [{"role": "user", "content": "hello"}], **fields}
    assert losses(name, model, chat) == []


def test_a_lost_field_is_detected():
    chat = {
        "model": "m",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "one two"}]},
            {"role": "assistant", "tool_calls": [{"function": {"arguments": '{"a": 1}'}}]},
        ],
        "seed": 7,
        "logprobs": True,
        "tools": [{"function": {"parameters": {"const": None}}}],
    }
    body = {"system": "one", "input": {"a": 2}, "max_tokens": 8, "logprobs": False}
    paths = [path for path, _ in lost(chat, body, ("seed",), re.compile(r".*\.(role|type)"))]
    assert paths == [
        "messages[0].content[0].text",
        "messages[1].tool_calls[0].function.arguments",
        "logprobs",
        "tools[0].function.parameters.const",
    ]
    assert lost(chat, chat, (), re.compile("")) == []
