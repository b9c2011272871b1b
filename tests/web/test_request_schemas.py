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
from gateway.json_codec import loads
from gateway.web.openai.message_schemas import MESSAGE, plain
from gateway.web.openai.request_schemas import CHAT, TOOL, chat, embeddings, plain_tool
from tests.support.chat_examples import ACCEPTED, CALL, HELLO, MINIMAL_CHAT, REFUSED, chat_with
from tests.support.chat_strategies import chat_requests


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
    data = loads(json.dumps({**MINIMAL_CHAT, field: 1 << 80}).encode())
    with pytest.raises(InvalidRequest, match=field):
        chat(data)


def test_a_name_has_no_line_end():
    """Apart from the others, since to Python, and not to ECMAScript, a pattern's `$` stands before it too."""
    with pytest.raises(InvalidRequest, match="must match"):
        chat(chat_with(tools=[{"type": "function", "function": {"name": "f\n"}}]))


def test_an_integer_beyond_64_bits_passes_in_a_field_that_we_do_not_know():
    data = loads(json.dumps({**MINIMAL_CHAT, "x": 1 << 80}).encode())
    assert chat(data) is data


def test_an_integer_written_as_a_fraction_is_an_integer():
    assert repr(chat(chat_with(n=2.0, max_tokens=5.0, temperature=1.0))) == repr(
        chat_with(n=2, max_tokens=5, temperature=1.0)
    )


def test_long_keys_and_values_are_cut_in_messages():
    with pytest.raises(InvalidRequest) as refused:
        chat(chat_with(logit_bias={"k" * 10**6: "v" * 10**6}))
    assert len(refused.value.message) < 200
    with pytest.raises(InvalidRequest) as refused:
        chat(chat_with(verbosity="v" * 10**6))
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
    refused = [first_error.param for one in taken if (first_error := refusal({"model": "m", **one}))]
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
    except InvalidRequest as first_error:
        return first_error
    return None


def told_well(data):
    """Is whatever is wrong told as a fault of the client's, by a path and in words?"""
    first_error = refusal(data)
    return first_error is None or (
        first_error.status == 400 and first_error.message.startswith(first_error.param or "The request")
    )


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
    assert CHAT.load(MINIMAL_CHAT) is MINIMAL_CHAT
    assert CHAT.validate({"model": "m"}) == {"messages": ["is required"]}
    with pytest.raises(ValidationError):
        CHAT.load({"model": "m", "messages": "x"})
