"""Which requests are accepted, and how the error of a refused one is reported."""

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
from gateway.web.openai.message_schemas import MESSAGE, is_common_message
from gateway.web.openai.request_schemas import CHAT, TOOL, is_common_tool, load_chat, load_embeddings
from tests.support.chat_examples import ACCEPTED, CALL, HELLO, MINIMAL_CHAT, REFUSED, chat_with
from tests.support.chat_strategies import chat_requests


@pytest.mark.parametrize("request_", ACCEPTED, ids=range(len(ACCEPTED)))
def test_requests_that_openai_documents_are_accepted_unchanged(request_):
    before = copy.deepcopy(request_)
    assert load_chat(request_) is request_
    assert request_ == before


@pytest.mark.parametrize(("data", "param", "message"), REFUSED, ids=range(len(REFUSED)))
def test_an_invalid_request_is_refused_with_the_path_of_its_first_error(data, param, message):
    with pytest.raises(InvalidRequest) as refused:
        load_chat(data)
    assert (refused.value.status, refused.value.param) == (400, param)
    assert message in (None, refused.value.message)
    assert refused.value.message.startswith(param or "The request")


@pytest.mark.parametrize("field", ["temperature", "n", "max_tokens", "seed", "stream", "stop", "user", "messages"])
def test_an_integer_beyond_64_bits_is_refused_in_every_declared_field(field):
    data = loads(json.dumps({**MINIMAL_CHAT, field: 1 << 80}).encode())
    with pytest.raises(InvalidRequest, match=field):
        load_chat(data)


def test_a_function_name_with_a_final_newline_is_refused():
    """Not in REFUSED: the document is checked with Python's `re`, where `$` also matches before a final newline."""
    with pytest.raises(InvalidRequest, match="must match"):
        load_chat(chat_with(tools=[{"type": "function", "function": {"name": "f\n"}}]))


def test_an_integer_beyond_64_bits_is_accepted_in_an_undeclared_field():
    data = loads(json.dumps({**MINIMAL_CHAT, "x": 1 << 80}).encode())
    assert load_chat(data) is data


def test_an_integer_written_with_a_fraction_of_zero_becomes_an_integer():
    assert repr(load_chat(chat_with(n=2.0, max_tokens=5.0, temperature=1.0))) == repr(
        chat_with(n=2, max_tokens=5, temperature=1.0)
    )


def test_long_keys_and_values_are_shortened_in_error_messages():
    with pytest.raises(InvalidRequest) as refused:
        load_chat(chat_with(logit_bias={"k" * 10**6: "v" * 10**6}))
    assert len(refused.value.message) < 200
    with pytest.raises(InvalidRequest) as refused:
        load_chat(chat_with(verbosity="v" * 10**6))
    assert len(refused.value.message) < 200


EMBEDDINGS_REQUEST = {"model": "e", "input": "text"}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"input": ["a", ""]},
        {"input": [1, 2]},
        {"input": [[1], [2, 3]]},
        {"input": [[1], [2, 3.0]]},
        {"encoding_format": "base64", "dimensions": 8, "x": 1},
    ],
)
def test_every_form_of_embeddings_input_is_accepted(fields):
    data = {**EMBEDDINGS_REQUEST, **fields}
    assert load_embeddings(data) is data


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": None}, "input"),
        ({"input": [None]}, "input[0]"),
        ({"input": ["a", 1]}, "input[1]"),
        ({"input": [[1], ["a"]]}, "input[1][0]"),
        ({"input": [1, -1]}, "input[1]"),
        ({"input": [1, 1.5]}, "input[1]"),
        ({"input": [1, True]}, "input[1]"),
        ({"input": [1, 1 << 65]}, "input[1]"),
        ({"input": [[1], [2, -1.0]]}, "input[1][1]"),
        ({"input": ["a"] * 2049}, "input"),
        ({"dimensions": 0}, "dimensions"),
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"model": 5}, "model"),
    ],
)
def test_an_invalid_embeddings_request_is_refused_with_the_path_of_its_error(fields, param):
    with pytest.raises(InvalidRequest) as refused:
        load_embeddings({**EMBEDDINGS_REQUEST, **fields})
    assert refused.value.param == param


@pytest.mark.skipif("SHARED" not in os.environ, reason="SHARED names no folder of recorded traffic")
def test_recorded_requests_that_openai_accepted_are_accepted():
    """Except for an image whose `image_url` is a string, which OpenAI no longer documents."""
    text = (Path(os.environ["SHARED"]) / "traffic" / "openai-chat.jsonl").read_text(encoding="utf-8")
    exchanges = [json.loads(line) for line in text.split("\n") if line]
    accepted = [
        exchange["request"]["json"]
        for exchange in exchanges
        if exchange["provider"] == "openai"
        and exchange["response"]["status"] == 200
        and isinstance(exchange["request"]["json"], dict)
    ]
    errors = [error_of({"model": "m", **data}) for data in accepted]
    assert len(accepted) > 100
    assert {error.param for error in errors if error} <= {"messages[0].content[1].image_url"}


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
MANY_EXAMPLES = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def paths(value, path=()):
    """The path of each value inside a JSON value."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in inner:
        yield from paths(member, (*path, key))


def replaced(value, path, new):
    """A copy with another value at a path."""
    if not path:
        return new
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[path[0]] = replaced(value[path[0]], path[1:], new)
    return copied


def without(value, path):
    """A copy without the member at a path, or, of an array, without the items from there on."""
    if len(path) == 1:
        return {k: v for k, v in value.items() if k != path[0]} if isinstance(value, dict) else value[: path[0]]
    return replaced(value, path[:1], without(value[path[0]], path[1:]))


def error_of(data):
    """The error of a request, None if it is accepted; any exception but InvalidRequest fails the test."""
    try:
        load_chat(data)
    except InvalidRequest as error:
        return error
    return None


def accepted_or_refused(data):
    """Whether a request is accepted, or refused by a 400 whose message begins with the path of the error."""
    error = error_of(data)
    return error is None or (error.status == 400 and error.message.startswith(error.param or "The request"))


@st.composite
def damaged_requests(draw):
    """A valid request with one value replaced or removed."""
    data = draw(chat_requests())
    path = draw(st.sampled_from([p for p in paths(data) if p]))
    return draw(st.sampled_from([without(data, path), replaced(data, path, draw(ANY_JSON))]))


@MANY_EXAMPLES
@given(chat_requests())
def test_random_valid_requests_are_accepted_unchanged(data):
    before = copy.deepcopy(data)
    assert load_chat(data) is data
    assert data == before


@MANY_EXAMPLES
@given(damaged_requests())
def test_a_request_with_any_value_in_any_place_is_accepted_or_refused(data):
    assert accepted_or_refused(data)


@MANY_EXAMPLES
@given(ANY_JSON)
def test_any_json_is_accepted_or_refused(data):
    assert accepted_or_refused(data)
    assert accepted_or_refused({"model": "m", "messages": data})


@MANY_EXAMPLES
@given(damaged_requests() | chat_requests())
def test_the_fast_checks_accept_nothing_that_the_schemas_refuse(data):
    messages, tools = data.get("messages"), data.get("tools")
    for fast_check, field, items in ((is_common_message, MESSAGE, messages), (is_common_tool, TOOL, tools)):
        for item in items if isinstance(items, list) else ():
            if fast_check(item):
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
def test_the_commonest_messages_pass_the_fast_check(message):
    assert is_common_message(message)
    MESSAGE.deserialize(message)


def test_a_schema_loads_and_validates_as_marshmallow_schemas_do():
    assert CHAT.load(MINIMAL_CHAT) is MINIMAL_CHAT
    assert CHAT.validate({"model": "m"}) == {"messages": ["is required"]}
    with pytest.raises(ValidationError):
        CHAT.load({"model": "m", "messages": "x"})
