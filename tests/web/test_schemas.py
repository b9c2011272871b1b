"""What is accepted as a request, and how a fault is told."""

import copy
import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from gateway.errors import InvalidRequest
from gateway.jsontext import loads
from gateway.web.messages import MESSAGE, plain
from gateway.web.schemas import CHAT, TOOL, chat, embeddings, plain_tool
from tests.strategies import chat_requests

HELLO = {"role": "user", "content": "hello"}
ASKED = {"model": "m", "messages": [HELLO]}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{"}}
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {}}}]


def asked(**fields):
    return {**ASKED, **fields}


def said(**message):
    return {"model": "m", "messages": [HELLO, message]}


def parts(*content, role="user"):
    return said(role=role, content=list(content))


ACCEPTED = [
    ASKED,
    asked(temperature=0, top_p=1, n=128, seed=-(1 << 63), stop=["a"] * 4, logit_bias={"50256": -100}),
    asked(temperature=None, stop=None, stream=None, stream_options=None, audio=None, logit_bias=None, modalities=None),
    asked(stream=True, stream_options={"include_usage": True, "include_obfuscation": False}),
    asked(logprobs=True, top_logprobs=20),
    asked(metadata={"k" * 64: "v" * 512}),
    asked(tools=TOOLS, tool_choice="required", parallel_tool_calls=False),
    asked(tools=TOOLS, tool_choice={"type": "function", "function": {"name": "f"}}),
    asked(tools=TOOLS, tool_choice={"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{}]}}),
    asked(tools=[{"type": "custom", "custom": {"name": "c", "format": {"type": "text"}}}]),
    asked(functions=[{"name": "f"}], function_call={"name": "f"}),
    asked(response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "strict": None}}),
    asked(web_search_options={"user_location": {"type": "approximate", "approximate": {"city": "Wien"}}}),
    asked(prediction={"type": "content", "content": [{"type": "text", "text": ""}]}),
    asked(top_k=5, thinking={"type": "enabled"}),
    said(role="developer", content="d"),
    said(role="assistant", content=None, tool_calls=[CALL]),
    said(role="assistant", tool_calls=[CALL]),
    said(role="assistant", content=None, function_call={"name": "f", "arguments": ""}),
    said(role="assistant", content=None, refusal="no"),
    said(role="assistant", content="", reasoning_content=None, thinking_blocks=[{"type": "thinking"}]),
    said(role="assistant", content=[{"type": "refusal", "refusal": "no"}]),
    said(
        role="tool", tool_call_id="c", content=[{"type": "text", "text": "t", "cache_control": {"type": "ephemeral"}}]
    ),
    said(role="function", name="f", content=None),
    parts({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}),
    parts({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}),
    parts({"type": "file", "file": {"file_id": "f"}}, {"type": "file", "file": {}}),
]

REFUSED = [
    ([], None, "The request must be a JSON object, not an array."),
    (None, None, "The request must be a JSON object, not null."),
    ({"messages": [HELLO]}, "model", "model is required."),
    ({"model": "m"}, "messages", "messages is required."),
    (asked(model=""), "model", "model must have at least 1 character(s)."),
    (asked(model=None), "model", "model must not be null."),
    (asked(messages=[]), "messages", "messages must have at least 1 item(s)."),
    (asked(messages="hello"), "messages", "messages must be an array, not a string."),
    (asked(messages={}), "messages", "messages must be an array, not an object."),
    (asked(messages=["hello"]), "messages[0]", "messages[0] must be an object, not a string."),
    (asked(messages=[HELLO, {}]), "messages[1].role", "messages[1].role is required."),
    (
        said(role="robot", content="x"),
        "messages[1].role",
        "messages[1].role must be one of 'developer', 'system', 'user', 'assistant', 'tool', 'function', not 'robot'.",
    ),
    (said(role=["user"], content="x"), "messages[1].role", None),
    (said(role="user"), "messages[1].content", "messages[1].content is required."),
    (said(role="user", content=None), "messages[1].content", "messages[1].content must not be null."),
    (
        said(role="user", content=5),
        "messages[1].content",
        "messages[1].content must be a string or an array, not an integer.",
    ),
    (said(role="user", content=[]), "messages[1].content", None),
    (said(role="user", content="x", name=None), "messages[1].name", None),
    (said(role="assistant", content=None), "messages[1].content", None),
    (said(role="assistant", content=None, tool_calls=[]), "messages[1].content", None),
    (said(role="assistant", content="x", tool_calls=None), "messages[1].tool_calls", None),
    (said(role="assistant", tool_calls=[{**CALL, "id": 1}]), "messages[1].tool_calls[0].id", None),
    (
        said(role="assistant", tool_calls=[CALL, {**CALL, "function": {"name": "f", "arguments": {}}}]),
        "messages[1].tool_calls[1].function.arguments",
        "messages[1].tool_calls[1].function.arguments must be a string, not an object.",
    ),
    (said(role="assistant", content="x", thinking_blocks=["t"]), "messages[1].thinking_blocks[0]", None),
    (said(role="tool", content="x"), "messages[1].tool_call_id", "messages[1].tool_call_id is required."),
    (said(role="function", content="x"), "messages[1].name", None),
    (
        parts({"type": "video_url", "video_url": {"url": "https://x"}}),
        "messages[1].content[0].type",
        "messages[1].content[0].type must be one of 'text', 'image_url', 'input_audio', 'file', not 'video_url'.",
    ),
    (parts({"text": "x"}), "messages[1].content[0].type", None),
    (parts({"type": "text"}), "messages[1].content[0].text", None),
    (
        parts({"type": "image_url", "image_url": "https://x"}),
        "messages[1].content[0].image_url",
        "messages[1].content[0].image_url must be an object, not a string.",
    ),
    (parts({"type": "image_url", "image_url": {}}), "messages[1].content[0].image_url.url", None),
    (parts({"type": "image_url", "image_url": {"url": "cat.png"}}), "messages[1].content[0].image_url.url", None),
    (
        parts({"type": "image_url", "image_url": {"url": "a:", "detail": "x"}}),
        "messages[1].content[0].image_url.detail",
        None,
    ),
    (parts({"type": "image_url", "image_url": {"url": "a:"}}, role="system"), "messages[1].content[0].type", None),
    (
        parts({"type": "input_audio", "input_audio": {"data": "", "format": "aac"}}),
        "messages[1].content[0].input_audio.format",
        None,
    ),
    (parts({"type": "text", "text": "x", "cache_control": "ephemeral"}), "messages[1].content[0].cache_control", None),
    (asked(temperature="0.5"), "temperature", "temperature must be a number, not a string."),
    (asked(temperature=True), "temperature", "temperature must be a number, not a boolean."),
    (asked(temperature=2.1), "temperature", "temperature must be between 0 and 2, not 2.1."),
    (asked(top_p=-0.1), "top_p", None),
    (asked(n=0), "n", "n must be between 1 and 128, not 0."),
    (asked(n=1.5), "n", "n must be an integer, not a fraction."),
    (asked(seed=1 << 63), "seed", None),
    (asked(stream="yes"), "stream", "stream must be a boolean, not a string."),
    (asked(stream=1), "stream", None),
    (asked(stream_options={}), "stream_options", "stream_options may only be given where stream is true."),
    (asked(stream=True, stream_options={"include_usage": "yes"}), "stream_options.include_usage", None),
    (asked(top_logprobs=3), "top_logprobs", "top_logprobs may only be given where logprobs is true."),
    (asked(stop=["a"] * 5), "stop", "stop must have at most 4 items."),
    (asked(stop=["a", 5]), "stop[1]", "stop[1] must be a string, not an integer."),
    (asked(stop=[5]), "stop[0]", None),
    (asked(logit_bias={"a": 101}), "logit_bias.a", None),
    (asked(metadata={"a": 1}), "metadata.a", None),
    (asked(metadata={"a": "v" * 513}), "metadata.a", "metadata.a must have at most 512 characters."),
    (asked(metadata={"k" * 65: ""}), "metadata", None),
    (asked(metadata={str(n): "" for n in range(17)}), "metadata", "metadata must have at most 16 keys, not 17."),
    (asked(tools=None), "tools", "tools must not be null."),
    (asked(tools=[{"type": "web_search"}]), "tools[0].type", None),
    (asked(tools=[{"type": "function", "function": {"name": "a b"}}]), "tools[0].function.name", None),
    (asked(tools=[{"type": "function", "function": {"name": "a" * 65}}]), "tools[0].function.name", None),
    (
        asked(tools=[{"type": "function", "function": {"name": "f", "parameters": []}}]),
        "tools[0].function.parameters",
        None,
    ),
    (asked(tool_choice="any"), "tool_choice", "tool_choice must be one of 'none', 'auto', 'required', not 'any'."),
    (asked(tool_choice={"type": "function"}), "tool_choice.function", None),
    (asked(functions=[]), "functions", None),
    (asked(response_format={"type": "xml"}), "response_format.type", None),
    (asked(response_format={"type": "json_schema"}), "response_format.json_schema", None),
    (asked(reasoning_effort="extreme"), "reasoning_effort", None),
    (asked(safety_identifier="s" * 65), "safety_identifier", None),
    (asked(audio={"voice": {}, "format": "wav"}), "audio.voice.id", None),
    (asked(modalities=["video"]), "modalities[0]", None),
    (asked(moderation={"model": "m", "policy": {"input": {"mode": "x"}}}), "moderation.policy.input.mode", None),
    ({"messages": [{"role": "x"}], "temperature": 5, "model": "m"}, "messages[0].role", None),
    ({"temperature": 5, "messages": [{"role": "x"}], "model": "m"}, "temperature", None),
]


@pytest.mark.parametrize("request_", ACCEPTED, ids=range(len(ACCEPTED)))
def test_what_openai_documents_is_accepted_as_it_is(request_):
    before = copy.deepcopy(request_)
    assert chat(request_) is request_
    assert request_ == before


@pytest.mark.parametrize(("data", "param", "message"), REFUSED, ids=range(len(REFUSED)))
def test_a_fault_is_told_with_its_path(data, param, message):
    with pytest.raises(InvalidRequest) as refused:
        chat(data)
    assert (refused.value.status, refused.value.param) == (400, param)
    assert message in (None, refused.value.message)
    assert refused.value.message.startswith(param or "The request")


@pytest.mark.parametrize("field", ["temperature", "n", "max_tokens", "seed", "stream", "stop", "user", "messages"])
def test_an_integer_beyond_64_bits_is_a_fault_in_any_field_that_we_know(field):
    data = loads(json.dumps({**ASKED, field: 1 << 80}).encode())
    with pytest.raises(InvalidRequest, match=field):
        chat(data)


def test_a_name_has_no_line_end():
    """Apart from the others, since to Python, and not to ECMAScript, a pattern's `$` stands before it too."""
    with pytest.raises(InvalidRequest, match="must match"):
        chat(asked(tools=[{"type": "function", "function": {"name": "f\n"}}]))


def test_an_integer_beyond_64_bits_passes_in_a_field_that_we_do_not_know():
    data = loads(json.dumps({**ASKED, "x": 1 << 80}).encode())
    assert chat(data) is data


def test_an_integer_written_as_a_fraction_is_an_integer():
    assert repr(chat(asked(n=2.0, max_tokens=5.0, temperature=1.0))) == repr(asked(n=2, max_tokens=5, temperature=1.0))


def test_long_keys_and_values_are_cut_in_messages():
    with pytest.raises(InvalidRequest) as refused:
        chat(asked(logit_bias={"k" * 10**6: "v" * 10**6}))
    assert len(refused.value.message) < 200
    with pytest.raises(InvalidRequest) as refused:
        chat(asked(verbosity="v" * 10**6))
    assert len(refused.value.message) < 200


EMBEDDED = {"model": "e", "input": "text"}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"input": ["a", ""]},
        {"input": [1, 2]},
        {"input": [[1], [2, 3]]},
        {"encoding_format": "base64", "dimensions": 8, "x": 1},
    ],
)
def test_every_form_of_input_can_be_embedded(fields):
    data = {**EMBEDDED, **fields}
    assert embeddings(data) is data


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": None}, "input"),
        ({"input": [None]}, "input[0]"),
        ({"input": ["a", 1]}, "input[1]"),
        ({"input": [[1], ["a"]]}, "input[1][0]"),
        ({"input": ["a"] * 2049}, "input"),
        ({"dimensions": 0}, "dimensions"),
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"model": 5}, "model"),
    ],
)
def test_a_fault_of_an_embeddings_request_is_told_with_its_path(fields, param):
    with pytest.raises(InvalidRequest) as refused:
        embeddings({**EMBEDDED, **fields})
    assert refused.value.param == param


@pytest.mark.skipif("SHARED" not in os.environ, reason="SHARED names no folder of recorded traffic")
def test_what_openai_answered_is_accepted():
    """But for an image's bare link, which it took for a while and documents no more."""
    text = (Path(os.environ["SHARED"]) / "traffic" / "openai-chat.jsonl").read_text(encoding="utf-8")
    recorded = [json.loads(line) for line in text.split("\n") if line]
    taken = [
        one["request"]["json"]
        for one in recorded
        if one["provider"] == "openai" and one["response"]["status"] == 200 and isinstance(one["request"]["json"], dict)
    ]
    refused = [fault.param for one in taken if (fault := refusal({"model": "m", **one}))]
    assert len(taken) > 100
    assert set(refused) <= {"messages[0].content[1].image_url"}


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
SLOW = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def places(value, path=()):
    """The path of each place in a JSON value."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in inner:
        yield from places(member, (*path, key))


def replaced(value, path, new):
    """A copy with another value at a place."""
    if not path:
        return new
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[path[0]] = replaced(value[path[0]], path[1:], new)
    return copied


def without(value, path):
    """A copy without a place."""
    if len(path) == 1:
        return {k: v for k, v in value.items() if k != path[0]} if isinstance(value, dict) else value[: path[0]]
    return replaced(value, path[:1], without(value[path[0]], path[1:]))


def refusal(data):
    """The error for a request, or None; an error that is no InvalidRequest ends the test."""
    try:
        chat(data)
    except InvalidRequest as fault:
        return fault
    return None


def told_well(data):
    """Is whatever is wrong told as a fault of the client's, by a path and in words?"""
    fault = refusal(data)
    return fault is None or (fault.status == 400 and fault.message.startswith(fault.param or "The request"))


@st.composite
def damaged(draw):
    """A valid request with one place replaced or gone."""
    data = draw(chat_requests())
    path = draw(st.sampled_from([p for p in places(data) if p]))
    return draw(st.sampled_from([without(data, path), replaced(data, path, draw(ANY))]))


@SLOW
@given(chat_requests())
def test_valid_requests_are_accepted_untouched(data):
    before = copy.deepcopy(data)
    assert chat(data) is data
    assert data == before


@SLOW
@given(damaged())
def test_anything_anywhere_is_accepted_or_refused_but_never_breaks(data):
    assert told_well(data)


@SLOW
@given(ANY)
def test_any_json_at_all_is_accepted_or_refused_but_never_breaks(data):
    assert told_well(data)
    assert told_well({"model": "m", "messages": data})


@SLOW
@given(damaged() | chat_requests())
def test_the_quick_way_accepts_nothing_that_the_schemas_refuse(data):
    messages, tools = data.get("messages"), data.get("tools")
    for quick, field, items in ((plain, MESSAGE, messages), (plain_tool, TOOL, tools)):
        for item in items if isinstance(items, list) else ():
            if quick(item):
                field.deserialize(item)


@pytest.mark.parametrize(
    "message",
    [
        HELLO,
        {"role": "user", "content": [{"type": "text", "text": "t"}]},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c", "content": "r"},
    ],
)
def test_the_commonest_messages_go_the_quick_way(message):
    assert plain(message)
    MESSAGE.deserialize(message)


def test_a_schema_can_be_used_by_itself():
    assert CHAT.load(ASKED) is ASKED
    assert CHAT.validate({"model": "m"}) == {"messages": ["is required"]}
    with pytest.raises(ValidationError):
        CHAT.load({"model": "m", "messages": "x"})
