"""
What a client says is in the vendor's request, or in the list of what was dropped, or refused by its path.

A text must stand in a text of the vendor's, a number be somewhere as that number, and a boolean or null stand under its
own name. What is a word of OpenAI's vocabulary is translated by the adapters' tables: `SPOKEN` lists where.
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

# Where each dialect has other words for the same thing, or says it by another place in the body.
SPOKEN = {
    "openai": re.compile(
        r"""
          messages\[\d+\]\.role          # developer is system to some
        | stream_options\.include_usage  # the gateway wants usage whatever the client wants
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
        | stream                         # left out where it is false
        | stream_options\.include_usage  # usage is always there
        | .*prompt_cache_breakpoint.mode # cache_control
        """,
        re.VERBOSE,
    ),
}
# What a request means that does not say it.
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
FREE = re.compile(r"\.(parameters|schema)\.")


TOOLS = [{"type": "function", "function": {"name": "known"}}]
OPEN = {"type": "object", "properties": {}, "additionalProperties": True}
ALLOWED = {"mode": "auto", "tools": [{"type": "function", "function": {"name": "known"}}]}
NONE = {"mode": "auto", "tools": []}
VIENNA = {"user_location": {"type": "approximate", "approximate": {"city": "Wien"}}}
DESCRIBED = {"name": "n", "description": "outer", "schema": {**OPEN, "description": "inner"}}
HARD = [
    {"tools": [{"type": "function", "function": {"name": "f", "strict": True, "parameters": OPEN}}]},
    {"tools": [{"type": "custom", "custom": {"name": "c", "format": {"type": "text", "x_a": 77}}}]},
    {"tools": TOOLS, "tool_choice": {"type": "allowed_tools", "allowed_tools": ALLOWED}},
    {"tools": TOOLS, "tool_choice": {"type": "allowed_tools", "allowed_tools": {**ALLOWED, "x_a": 77}}},
    {"tools": TOOLS, "tool_choice": "none", "web_search_options": VIENNA},
    {"tools": TOOLS, "tool_choice": {"type": "allowed_tools", "allowed_tools": NONE}, "web_search_options": VIENNA},
    {"stream": True, "stream_options": {"include_obfuscation": True, "x_a": 77}},
    {"response_format": {"type": "json_schema", "json_schema": DESCRIBED}},
    {"response_format": {"type": "json_schema", "json_schema": {**DESCRIBED, "strict": True}}},
    {"metadata": {"user_id": "somebody", "team": "blue"}, "user": "another"},
    {"max_tokens": 77, "max_completion_tokens": 78},
    {"stop": ["END", " "], "temperature": 1.7, "top_p": 0.3},
]


def leaves(value, path=""):
    """(path, scalar) of every scalar in a JSON value."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for n, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{n}]")
    else:
        yield path, value


def nodes(value, name=""):
    """(the name it stands under, value) of all in a JSON value, and in the JSON that its texts hold."""
    yield name, value
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from nodes(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from nodes(inner, name)
    elif isinstance(value, str) and "{" in value:
        held = parsed(value[value.index("{") :])
        yield from nodes(held, name) if isinstance(held, dict) else ()


def parsed(text):
    try:
        return json.loads(text)
    except ValueError:
        return None


def canonical(value):
    return json.dumps(value, sort_keys=True)


class Told:
    """What a vendor's request says, for looking things up in it."""

    def __init__(self, body):
        said = list(nodes(body))
        self.texts = [value for _, value in said if isinstance(value, str)]
        self.numbers = {value for _, value in said if isinstance(value, int | float) and not isinstance(value, bool)}
        self.named = {(name, value) for name, value in said if value is None or isinstance(value, bool)}
        self.objects = {canonical(value) for _, value in said if isinstance(value, dict)}

    def has(self, path, value):
        if isinstance(value, str):
            return self.has_text(value)
        if value is None or isinstance(value, bool):
            return (re.sub(r"(\[\d+\])+$", "", path).rpartition(".")[2], value) in self.named
        return value in self.numbers

    def has_text(self, text):
        """As it is but for white space around it, or as the JSON or the data that it holds."""
        if any(text.strip() in one for one in self.texts):
            return True
        if data_url := DATA_URL.fullmatch(text):
            return all(part in self.texts for part in data_url.groups())
        held = parsed(text)
        return isinstance(held, dict) and canonical(held) in self.objects


def nothing_said(path, value):
    """A null is an absence, but in a JSON schema; and a default is what holds anyway."""
    default = DEFAULTS.get(re.sub(r"\[\d+\]", "[]", path))
    return FREE.search(path) is None if value is None else value == default


def covered(path, dropped):
    return any(path == one or path.startswith((f"{one}.", f"{one}[")) for one in dropped)


def lost(chat, body, dropped, spoken):
    """(path, value) of what the client said and is nowhere."""
    told = Told(body)
    return [
        (path, value)
        for path, value in leaves(chat)
        if path != "model"
        and not nothing_said(path, value)
        and not covered(path, dropped)
        and not spoken.fullmatch(path)
        and not told.has(path, value)
    ]


def place(chat, param):
    """The value at a field's path; KeyError or IndexError where there is none."""
    for key, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", param):
        chat = chat[key] if key else chat[int(index)]
    return chat


def asked_of(vendor, model, chat):
    """(the vendor's request, the refusal), one of them None."""
    try:
        return ADAPTERS[vendor.dialect].vendor_request(TargetRequest(chat, model, vendor, "chatcmpl-1", 1)), None
    except Untranslatable as refusal:
        return None, refusal


def answered_for(name, model, chat):
    """Is every leaf told, dropped by name, or the whole refused by a path? The losses, if not."""
    vendor = VENDORS[name]
    before = copy.deepcopy(chat)
    request, refusal = asked_of(vendor, model, chat)
    for path in [refusal.param] if refusal else request.dropped:
        place(chat, path)
    assert chat == before
    return [] if refusal else lost(chat, request.body, request.dropped, SPOKEN[vendor.dialect])


@pytest.mark.parametrize(("name", "model"), TARGETS)
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(chat=chat_requests())
def test_every_leaf_is_told_or_dropped_by_name_or_refused(name, model, chat):
    assert answered_for(name, model, chat) == []


@pytest.mark.parametrize(("name", "model"), TARGETS)
@pytest.mark.parametrize("fields", HARD, ids=range(len(HARD)))
def test_what_was_lost_before_is_not_lost_again(name, model, fields):
    chat = {"model": "m", "messages": [{"role": "user", "content": "hello"}], **fields}
    assert answered_for(name, model, chat) == []


def test_a_loss_would_be_seen():
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
