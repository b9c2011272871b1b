"""
Random valid OpenAI chat requests: every documented field, role, part and tool, in an order that OpenAI accepts.

Texts and numbers are distinct, so that a test can look for each of them in the translated request.
"""

import base64
import json
from typing import Any

from hypothesis import strategies as st

NULL = st.none()
BOOLEAN = st.booleans()
IDENT = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_-]{3,12}[a-z]", fullmatch=True)
NAME = st.from_regex(r"[a-zA-Z0-9_-]{1,40}[0-9]{4}", fullmatch=True)
ANY_CHARACTERS = st.characters(codec="utf-8")


def text(max_size: int = 12) -> st.SearchStrategy[str]:
    """A text that occurs once: any characters and a number."""
    return st.builds("{1}{0}".format, st.integers(10**6, 10**9), st.text(ANY_CHARACTERS, max_size=max_size))


def record(required: dict[str, st.SearchStrategy[Any]], **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An object, sometimes with a field that OpenAI does not have."""
    documented = st.fixed_dictionaries(required, optional=optional)
    return st.builds(lambda fields, unknown: {**fields, **unknown}, documented, UNKNOWN_FIELDS)


def enum(*choices: str) -> st.SearchStrategy[str]:
    return st.sampled_from(choices)


JSON = st.recursive(
    NULL | BOOLEAN | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False, width=32) | text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(IDENT, inner, max_size=2),
    max_leaves=5,
)
# JSON of which much looks like a JSON schema.
SCHEMA_LIKE_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "properties", "items", "anyOf", "oneOf", "allOf", "$ref", "$defs", "enum", "required"]
            ),
            inner | st.sampled_from(["object", "string", "#", "#/$defs/a", "array"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)
FREE_FORM = st.dictionaries(IDENT, JSON, max_size=2)
UNKNOWN_FIELDS = (
    st.just({}) | st.just({}) | st.just({}) | st.dictionaries(IDENT.map("x_{}".format), JSON, min_size=1, max_size=1)
)
BASE64 = st.binary(min_size=9, max_size=30).map(lambda data: base64.b64encode(data).decode())
CACHE_FIELDS = {
    "cache_control": st.fixed_dictionaries({"type": st.just("ephemeral")}, optional={"ttl": enum("5m", "1h")}),
    "prompt_cache_breakpoint": st.just({"mode": "explicit"}),
}
SCHEMA = st.fixed_dictionaries(
    {"type": st.just("object"), "properties": st.dictionaries(IDENT, st.deferred(lambda: PROPERTY), max_size=3)},
    optional={"required": st.lists(IDENT, max_size=2), "additionalProperties": BOOLEAN, "description": text()},
)
PROPERTY = st.one_of(
    st.fixed_dictionaries({"type": enum("string", "integer", "null")}, optional={"description": text()}),
    st.fixed_dictionaries({"enum": st.lists(text() | st.integers(-(1 << 63), (1 << 63) - 1), min_size=1, max_size=3)}),
    st.fixed_dictionaries({"type": st.just("array"), "items": st.just({"type": "number"})}, optional={"title": text()}),
    st.deferred(lambda: SCHEMA),
)
ARGUMENTS = FREE_FORM.map(lambda fields: json.dumps(fields, ensure_ascii=False)) | text(20)


def part(kind: str, payload: st.SearchStrategy[Any], **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return record({"type": st.just(kind), kind: payload}, **optional)


IMAGE_URL = st.one_of(
    st.builds("data:image/{};base64,{}".format, enum("png", "jpeg", "webp", "gif"), BASE64),
    IDENT.map("https://example.com/{}.png".format),
)
FILE = st.one_of(
    record({"file_id": NAME.map("file-{}".format)}),
    record({"file_data": BASE64.map("data:application/pdf;base64,{}".format)}, filename=IDENT.map("{}.pdf".format)),
)
TEXT_PART = part("text", text(), **CACHE_FIELDS)
IMAGE_PART = part("image_url", record({"url": IMAGE_URL}, detail=enum("auto", "low", "high")), **CACHE_FIELDS)
AUDIO_PART = part("input_audio", record({"data": BASE64, "format": enum("wav", "mp3")}), **CACHE_FIELDS)
FILE_PART = part("file", FILE, **CACHE_FIELDS)
TEXTS = text() | st.lists(TEXT_PART, min_size=1, max_size=3)
USER_PARTS = st.lists(st.one_of(TEXT_PART, TEXT_PART, IMAGE_PART, FILE_PART), min_size=1, max_size=4)
MESSAGE_FIELDS = {"cache_control": CACHE_FIELDS["cache_control"]}

SYSTEM = record({"role": enum("system", "developer"), "content": TEXTS}, name=NAME, **MESSAGE_FIELDS)
USER = record({"role": st.just("user"), "content": st.one_of(text(), USER_PARTS)}, name=NAME, **MESSAGE_FIELDS)
AUDIO_MESSAGE = record({"role": st.just("user"), "content": st.lists(AUDIO_PART, min_size=1, max_size=2)})


@st.composite
def reasoning_fields(draw: st.DrawFn) -> dict[str, Any]:
    """An assistant's reasoning in the gateway's fields: as text, as signed blocks, or both."""
    blocks = draw(
        st.lists(
            st.fixed_dictionaries({"type": st.just("thinking"), "thinking": text(), "signature": BASE64}), min_size=1
        )
    )
    reasoning = {"reasoning_content": blocks[0]["thinking"]}
    both = {**reasoning, "thinking_blocks": blocks[:1]}
    return draw(
        st.sampled_from([{}, {}, {"reasoning_content": None}, reasoning, both, {"thinking_blocks": blocks[:2]}])
    )


ASSISTANT = st.one_of(
    st.builds(
        lambda message, reasoning: {**message, **reasoning},
        record({"role": st.just("assistant"), "content": TEXTS}, name=NAME, refusal=NULL, audio=NULL, **MESSAGE_FIELDS),
        reasoning_fields(),
    ),
    record({"role": st.just("assistant"), "content": NULL, "refusal": text()}),
    record({"role": st.just("assistant"), "content": st.lists(part("refusal", text()), min_size=1, max_size=1)}),
)
AUDIO_REPLY = record({"role": st.just("assistant"), "audio": record({"id": NAME.map("audio_{}".format)})}, content=NULL)


@st.composite
def tool_call_messages(draw: st.DrawFn) -> list[Any]:
    """An assistant message with parallel calls of functions and custom tools, and their results in any order."""
    ids = draw(st.lists(NAME.map("call_{}".format), min_size=1, max_size=3, unique=True))
    function = record({"name": NAME, "arguments": ARGUMENTS})
    tool_calls = [
        draw(
            st.one_of(
                *[record({"id": st.just(id), "type": st.just("function"), "function": function})] * 3,
                record(
                    {"id": st.just(id), "type": st.just("custom"), "custom": record({"name": NAME, "input": text()})}
                ),
            )
        )
        for id in ids
    ]
    message = {"role": st.just("assistant"), "tool_calls": st.just(tool_calls)}
    results = [
        record({"role": st.just("tool"), "tool_call_id": st.just(id), "content": TEXTS}, **MESSAGE_FIELDS)
        for id in draw(st.permutations(ids))
    ]
    return [{**draw(record(message, content=NULL | TEXTS, name=NAME)), **draw(reasoning_fields())}, *map(draw, results)]


@st.composite
def legacy_call_messages(draw: st.DrawFn) -> list[Any]:
    """The deprecated form: a single call, without an id, and its result."""
    name = draw(NAME)
    call = record({"name": st.just(name), "arguments": ARGUMENTS})
    message = {"role": st.just("assistant"), "content": NULL, "function_call": call}
    result = {"role": st.just("function"), "name": st.just(name), "content": text() | NULL}
    return [draw(record(message)), draw(record(result))]


def single(message: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """A list of a single message."""
    return st.lists(message, min_size=1, max_size=1)


@st.composite
def message_lists(draw: st.DrawFn) -> list[Any]:
    """Messages in a valid order: user turns, each with a reply or without, and instructions anywhere."""
    rare = st.integers(0, 19).flatmap(
        lambda n: single(AUDIO_MESSAGE) if n == 0 else single(AUDIO_REPLY) if n == 1 else single(USER)
    )
    turn = st.one_of(
        single(USER),
        single(ASSISTANT),
        tool_call_messages(),
        tool_call_messages(),
        legacy_call_messages(),
        single(SYSTEM),
        rare,
    )
    turns = draw(st.lists(turn, max_size=4))
    return [*draw(st.lists(SYSTEM, max_size=2)), draw(USER), *(message for turn in turns for message in turn)]


FUNCTION = {"description": text(), "parameters": SCHEMA}
FUNCTION_TOOL = part(
    "function", record({"name": NAME}, **FUNCTION, strict=NULL | BOOLEAN), cache_control=CACHE_FIELDS["cache_control"]
)
GRAMMAR = record({"definition": text(), "syntax": enum("lark", "regex")})
CUSTOM_FORMAT = record({"type": st.just("text")}) | part("grammar", GRAMMAR)
CUSTOM_TOOL = part("custom", record({"name": NAME}, description=text(), format=CUSTOM_FORMAT))


def name_of(tool: Any) -> str:
    return tool[tool["type"]]["name"]


@st.composite
def tools_and_choice(draw: st.DrawFn) -> dict[str, Any]:
    """`tools` and the fields that refer to them."""
    tools = draw(st.lists(FUNCTION_TOOL | FUNCTION_TOOL | CUSTOM_TOOL, min_size=1, max_size=3, unique_by=name_of))
    named_tool = st.sampled_from(tools).map(lambda tool: {"type": tool["type"], tool["type"]: {"name": name_of(tool)}})
    allowed = record({"mode": enum("auto", "required"), "tools": st.lists(named_tool, min_size=1, max_size=2)})
    choice = st.one_of(enum("none", "auto", "required"), named_tool, part("allowed_tools", allowed))
    fields = st.fixed_dictionaries({}, optional={"tool_choice": choice, "parallel_tool_calls": BOOLEAN})
    return {"tools": tools, **draw(fields)}


@st.composite
def functions_and_choice(draw: st.DrawFn) -> dict[str, Any]:
    """`functions`, the deprecated form."""
    functions = draw(
        st.lists(record({"name": NAME}, **FUNCTION), min_size=1, max_size=2, unique_by=lambda f: f["name"])
    )
    named = st.sampled_from(functions).map(lambda function: {"name": function["name"]})
    fields = st.fixed_dictionaries({}, optional={"function_call": enum("none", "auto") | named})
    return {"functions": functions, **draw(fields)}


JSON_SCHEMA = record({"name": NAME}, description=text(), schema=SCHEMA, strict=NULL | BOOLEAN)
POLICY = NULL | record({"mode": enum("score", "block")})
LOCATION = record({}, country=text(), region=text(), city=text(), timezone=text())
PENALTY = st.floats(-2, 2, width=32)
COUNT = st.integers(1100, 10**6)

PARAMETERS: dict[str, st.SearchStrategy[Any]] = {
    "audio": NULL
    | record({"voice": text() | record({"id": NAME}), "format": enum("wav", "aac", "mp3", "flac", "opus", "pcm16")}),
    "frequency_penalty": NULL | PENALTY,
    "logit_bias": NULL | st.dictionaries(st.integers(0, 10**5).map(str), st.integers(-100, 100), max_size=3),
    "logprobs": NULL | BOOLEAN,
    "max_completion_tokens": NULL | COUNT,
    "max_tokens": NULL | COUNT,
    "metadata": NULL | st.dictionaries(IDENT, text(), max_size=3),
    "modalities": NULL | st.lists(enum("text", "audio"), min_size=1, max_size=2, unique=True),
    "moderation": NULL | record({"model": text()}, policy=NULL | record({}, input=POLICY, output=POLICY)),
    "n": NULL | st.integers(1, 128),
    "prediction": NULL | part("content", text() | st.lists(TEXT_PART, min_size=1, max_size=2)),
    "presence_penalty": NULL | PENALTY,
    "prompt_cache_key": NULL | text(),
    "prompt_cache_options": record({}, ttl=st.just("30m"), mode=enum("implicit", "explicit")),
    "prompt_cache_retention": NULL | enum("in_memory", "24h"),
    "reasoning_effort": NULL | enum("none", "minimal", "low", "medium", "high", "xhigh", "max"),
    "response_format": st.one_of(
        record({"type": enum("text", "json_object")}),
        part("json_schema", JSON_SCHEMA),
        part("json_schema", JSON_SCHEMA),
    ),
    "safety_identifier": NULL | text(),
    "seed": NULL | st.integers(-(1 << 63), (1 << 63) - 1),
    "service_tier": NULL | enum("auto", "default", "flex", "scale", "priority", "fast"),
    "stop": NULL | text() | st.lists(text(), max_size=4),
    "store": NULL | BOOLEAN,
    "stream": NULL | BOOLEAN,
    "temperature": NULL | st.floats(0, 2, width=32) | st.integers(0, 2),
    "top_p": NULL | st.floats(0, 1, width=32),
    "user": text(),
    "verbosity": NULL | enum("low", "medium", "high"),
    "web_search_options": record(
        {},
        user_location=NULL | record({"type": st.just("approximate"), "approximate": LOCATION}),
        search_context_size=enum("low", "medium", "high"),
    ),
}
SOME_PARAMETERS = st.lists(st.sampled_from(sorted(PARAMETERS)), max_size=6, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: PARAMETERS[name] for name in names})
)
STREAM_FIELDS = st.fixed_dictionaries(
    {}, optional={"stream_options": NULL | record({}, include_usage=BOOLEAN, include_obfuscation=BOOLEAN)}
)
LOGPROBS_FIELDS = st.fixed_dictionaries({}, optional={"top_logprobs": NULL | st.integers(0, 20)})


@st.composite
def chat_requests(draw: st.DrawFn) -> dict[str, Any]:
    """A valid chat request, with a few of the parameters."""
    fields = draw(SOME_PARAMETERS)
    return {
        "model": draw(NAME),
        "messages": draw(message_lists()),
        **fields,
        **(draw(STREAM_FIELDS) if fields.get("stream") else {}),
        **(draw(LOGPROBS_FIELDS) if fields.get("logprobs") else {}),
        **draw(st.one_of(st.just({}), tools_and_choice(), functions_and_choice())),
        **draw(UNKNOWN_FIELDS),
    }
