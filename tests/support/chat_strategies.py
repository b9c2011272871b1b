"""
Random valid OpenAI chat requests: every documented field, role, part and tool, in an order that OpenAI takes.

Texts and numbers are distinct, so that a test can look for each of them in what was made of the request.
"""

import base64
import json
from typing import Any

from hypothesis import strategies as st

NULL = st.none()
FLAG = st.booleans()
IDENT = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_-]{3,12}[a-z]", fullmatch=True)
NAME = st.from_regex(r"[a-zA-Z0-9_-]{1,40}[0-9]{4}", fullmatch=True)
ANY_CHARACTERS = st.characters(codec="utf-8")


def say(most: int = 12) -> st.SearchStrategy[str]:
    """A text that occurs once: a number and any characters."""
    return st.builds("{1}{0}".format, st.integers(10**6, 10**9), st.text(ANY_CHARACTERS, max_size=most))


def shape(required: dict[str, st.SearchStrategy[Any]], **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An object, now and then with a field that OpenAI does not know."""
    known = st.fixed_dictionaries(required, optional=optional)
    return st.builds(lambda said, more: {**said, **more}, known, EXTRAS)


def words(*choices: str) -> st.SearchStrategy[str]:
    return st.sampled_from(choices)


JSON = st.recursive(
    NULL | FLAG | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False, width=32) | say(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(IDENT, inner, max_size=2),
    max_leaves=5,
)
FREE = st.dictionaries(IDENT, JSON, max_size=2)
EXTRAS = (
    st.just({}) | st.just({}) | st.just({}) | st.dictionaries(IDENT.map("x_{}".format), JSON, min_size=1, max_size=1)
)
BASE64 = st.binary(min_size=9, max_size=30).map(lambda data: base64.b64encode(data).decode())
CACHED = {
    "cache_control": st.fixed_dictionaries({"type": st.just("ephemeral")}, optional={"ttl": words("5m", "1h")}),
    "prompt_cache_breakpoint": st.just({"mode": "explicit"}),
}
SCHEMA = st.fixed_dictionaries(
    {"type": st.just("object"), "properties": st.dictionaries(IDENT, st.deferred(lambda: PROPERTY), max_size=3)},
    optional={"required": st.lists(IDENT, max_size=2), "additionalProperties": FLAG, "description": say()},
)
PROPERTY = st.one_of(
    st.fixed_dictionaries({"type": words("string", "integer", "null")}, optional={"description": say()}),
    st.fixed_dictionaries({"enum": st.lists(say() | st.integers(-(1 << 63), (1 << 63) - 1), min_size=1, max_size=3)}),
    st.fixed_dictionaries({"type": st.just("array"), "items": st.just({"type": "number"})}, optional={"title": say()}),
    st.deferred(lambda: SCHEMA),
)
ARGUMENTS = FREE.map(lambda said: json.dumps(said, ensure_ascii=False)) | say(20)


def part(kind: str, payload: st.SearchStrategy[Any], **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return shape({"type": st.just(kind), kind: payload}, **optional)


IMAGE_URL = st.one_of(
    st.builds("data:image/{};base64,{}".format, words("png", "jpeg", "webp", "gif"), BASE64),
    IDENT.map("https://example.com/{}.png".format),
)
FILE = st.one_of(
    shape({"file_id": NAME.map("file-{}".format)}),
    shape({"file_data": BASE64.map("data:application/pdf;base64,{}".format)}, filename=IDENT.map("{}.pdf".format)),
)
TEXT_PART = part("text", say(), **CACHED)
IMAGE_PART = part("image_url", shape({"url": IMAGE_URL}, detail=words("auto", "low", "high")), **CACHED)
AUDIO_PART = part("input_audio", shape({"data": BASE64, "format": words("wav", "mp3")}), **CACHED)
FILE_PART = part("file", FILE, **CACHED)
TEXTS = say() | st.lists(TEXT_PART, min_size=1, max_size=3)
USER_PARTS = st.lists(st.one_of(TEXT_PART, TEXT_PART, IMAGE_PART, FILE_PART), min_size=1, max_size=4)
MESSAGE = {"cache_control": CACHED["cache_control"]}

SYSTEM = shape({"role": words("system", "developer"), "content": TEXTS}, name=NAME, **MESSAGE)
USER = shape({"role": st.just("user"), "content": st.one_of(say(), USER_PARTS)}, name=NAME, **MESSAGE)
HEARD = shape({"role": st.just("user"), "content": st.lists(AUDIO_PART, min_size=1, max_size=2)})


@st.composite
def thoughts(draw: st.DrawFn) -> dict[str, Any]:
    """What an assistant thought, as this gateway told it: a text, the signed blocks of it, or both."""
    blocks = draw(
        st.lists(
            st.fixed_dictionaries({"type": st.just("thinking"), "thinking": say(), "signature": BASE64}), min_size=1
        )
    )
    text = {"reasoning_content": blocks[0]["thinking"]}
    both = {**text, "thinking_blocks": blocks[:1]}
    return draw(st.sampled_from([{}, {}, {"reasoning_content": None}, text, both, {"thinking_blocks": blocks[:2]}]))


ASSISTANT = st.one_of(
    st.builds(
        lambda said, thought: {**said, **thought},
        shape({"role": st.just("assistant"), "content": TEXTS}, name=NAME, refusal=NULL, audio=NULL, **MESSAGE),
        thoughts(),
    ),
    shape({"role": st.just("assistant"), "content": NULL, "refusal": say()}),
    shape({"role": st.just("assistant"), "content": st.lists(part("refusal", say()), min_size=1, max_size=1)}),
)
SPOKEN = shape({"role": st.just("assistant"), "audio": shape({"id": NAME.map("audio_{}".format)})}, content=NULL)


@st.composite
def calls(draw: st.DrawFn) -> list[Any]:
    """An assistant's message with parallel calls of functions and custom tools, and then their results in any order."""
    ids = draw(st.lists(NAME.map("call_{}".format), min_size=1, max_size=3, unique=True))
    function = shape({"name": NAME, "arguments": ARGUMENTS})
    called = [
        draw(
            st.one_of(
                *[shape({"id": st.just(id), "type": st.just("function"), "function": function})] * 3,
                shape({"id": st.just(id), "type": st.just("custom"), "custom": shape({"name": NAME, "input": say()})}),
            )
        )
        for id in ids
    ]
    asked = {"role": st.just("assistant"), "tool_calls": st.just(called)}
    results = [
        shape({"role": st.just("tool"), "tool_call_id": st.just(id), "content": TEXTS}, **MESSAGE)
        for id in draw(st.permutations(ids))
    ]
    return [{**draw(shape(asked, content=NULL | TEXTS, name=NAME)), **draw(thoughts())}, *map(draw, results)]


@st.composite
def legacy_call(draw: st.DrawFn) -> list[Any]:
    """The deprecated form: one call, without an id, and its result."""
    name = draw(NAME)
    called = shape({"name": st.just(name), "arguments": ARGUMENTS})
    asked = {"role": st.just("assistant"), "content": NULL, "function_call": called}
    result = {"role": st.just("function"), "name": st.just(name), "content": say() | NULL}
    return [draw(shape(asked)), draw(shape(result))]


def one(message: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(message, min_size=1, max_size=1)


@st.composite
def dialogues(draw: st.DrawFn) -> list[Any]:
    """Messages in a legal order: a user's turns, each answered or not, with instructions anywhere."""
    rare = st.integers(0, 19).flatmap(lambda n: one(HEARD) if n == 0 else one(SPOKEN) if n == 1 else one(USER))
    turn = st.one_of(one(USER), one(ASSISTANT), calls(), calls(), legacy_call(), one(SYSTEM), rare)
    turns = draw(st.lists(turn, max_size=4))
    return [*draw(st.lists(SYSTEM, max_size=2)), draw(USER), *(message for turn in turns for message in turn)]


FUNCTION = {"description": say(), "parameters": SCHEMA}
FUNCTION_TOOL = part(
    "function", shape({"name": NAME}, **FUNCTION, strict=NULL | FLAG), cache_control=CACHED["cache_control"]
)
GRAMMAR = shape({"definition": say(), "syntax": words("lark", "regex")})
CUSTOM_FORMAT = shape({"type": st.just("text")}) | part("grammar", GRAMMAR)
CUSTOM_TOOL = part("custom", shape({"name": NAME}, description=say(), format=CUSTOM_FORMAT))


def name_of(tool: Any) -> str:
    return tool[tool["type"]]["name"]


@st.composite
def toolboxes(draw: st.DrawFn) -> dict[str, Any]:
    """`tools`, and what is said of them."""
    tools = draw(st.lists(FUNCTION_TOOL | FUNCTION_TOOL | CUSTOM_TOOL, min_size=1, max_size=3, unique_by=name_of))
    one_of_them = st.sampled_from(tools).map(lambda tool: {"type": tool["type"], tool["type"]: {"name": name_of(tool)}})
    allowed = shape({"mode": words("auto", "required"), "tools": st.lists(one_of_them, min_size=1, max_size=2)})
    choice = st.one_of(words("none", "auto", "required"), one_of_them, part("allowed_tools", allowed))
    said = st.fixed_dictionaries({}, optional={"tool_choice": choice, "parallel_tool_calls": FLAG})
    return {"tools": tools, **draw(said)}


@st.composite
def legacy_toolboxes(draw: st.DrawFn) -> dict[str, Any]:
    """`functions`, the deprecated form."""
    functions = draw(st.lists(shape({"name": NAME}, **FUNCTION), min_size=1, max_size=2, unique_by=lambda f: f["name"]))
    named = st.sampled_from(functions).map(lambda function: {"name": function["name"]})
    said = st.fixed_dictionaries({}, optional={"function_call": words("none", "auto") | named})
    return {"functions": functions, **draw(said)}


JSON_SCHEMA = shape({"name": NAME}, description=say(), schema=SCHEMA, strict=NULL | FLAG)
POLICY = NULL | shape({"mode": words("score", "block")})
PLACE = shape({}, country=say(), region=say(), city=say(), timezone=say())
PENALTY = st.floats(-2, 2, width=32)
COUNT = st.integers(1100, 10**6)

PARAMETERS: dict[str, st.SearchStrategy[Any]] = {
    "audio": NULL
    | shape({"voice": say() | shape({"id": NAME}), "format": words("wav", "aac", "mp3", "flac", "opus", "pcm16")}),
    "frequency_penalty": NULL | PENALTY,
    "logit_bias": NULL | st.dictionaries(st.integers(0, 10**5).map(str), st.integers(-100, 100), max_size=3),
    "logprobs": NULL | FLAG,
    "max_completion_tokens": NULL | COUNT,
    "max_tokens": NULL | COUNT,
    "metadata": NULL | st.dictionaries(IDENT, say(), max_size=3),
    "modalities": NULL | st.lists(words("text", "audio"), min_size=1, max_size=2, unique=True),
    "moderation": NULL | shape({"model": say()}, policy=NULL | shape({}, input=POLICY, output=POLICY)),
    "n": NULL | st.integers(1, 128),
    "prediction": NULL | part("content", say() | st.lists(TEXT_PART, min_size=1, max_size=2)),
    "presence_penalty": NULL | PENALTY,
    "prompt_cache_key": NULL | say(),
    "prompt_cache_options": shape({}, ttl=st.just("30m"), mode=words("implicit", "explicit")),
    "prompt_cache_retention": NULL | words("in_memory", "24h"),
    "reasoning_effort": NULL | words("none", "minimal", "low", "medium", "high", "xhigh", "max"),
    "response_format": st.one_of(
        shape({"type": words("text", "json_object")}),
        part("json_schema", JSON_SCHEMA),
        part("json_schema", JSON_SCHEMA),
    ),
    "safety_identifier": NULL | say(),
    "seed": NULL | st.integers(-(1 << 63), (1 << 63) - 1),
    "service_tier": NULL | words("auto", "default", "flex", "scale", "priority", "fast"),
    "stop": NULL | say() | st.lists(say(), max_size=4),
    "store": NULL | FLAG,
    "stream": NULL | FLAG,
    "temperature": NULL | st.floats(0, 2, width=32) | st.integers(0, 2),
    "top_p": NULL | st.floats(0, 1, width=32),
    "user": say(),
    "verbosity": NULL | words("low", "medium", "high"),
    "web_search_options": shape(
        {},
        user_location=NULL | shape({"type": st.just("approximate"), "approximate": PLACE}),
        search_context_size=words("low", "medium", "high"),
    ),
}
CHOSEN = st.lists(st.sampled_from(sorted(PARAMETERS)), max_size=6, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: PARAMETERS[name] for name in names})
)
IF_STREAMED = st.fixed_dictionaries(
    {}, optional={"stream_options": NULL | shape({}, include_usage=FLAG, include_obfuscation=FLAG)}
)
IF_LOGPROBS = st.fixed_dictionaries({}, optional={"top_logprobs": NULL | st.integers(0, 20)})


@st.composite
def chat_requests(draw: st.DrawFn) -> dict[str, Any]:
    """A valid chat request, with a few of the parameters."""
    said = draw(CHOSEN)
    return {
        "model": draw(NAME),
        "messages": draw(dialogues()),
        **said,
        **(draw(IF_STREAMED) if said.get("stream") else {}),
        **(draw(IF_LOGPROBS) if said.get("logprobs") else {}),
        **draw(st.one_of(st.just({}), toolboxes(), legacy_toolboxes())),
        **draw(EXTRAS),
    }
