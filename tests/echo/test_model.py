"""The built-in model, and the values that it makes for schemas."""

import base64
import json
from array import array

import jsonschema
import pytest

from gateway.echo import model
from gateway.echo.schema_sample import TooLarge, sample
from tests.support.operations import operations

HELLO = {"model": "echo", "messages": [{"role": "user", "content": "Hello there"}]}
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 2}},
    "required": ["city", "days"],
}


def completion(**chat):
    return model.completion({**HELLO, **chat}, "id", 1)


def text(**chat):
    return completion(**chat)["choices"][0]["message"]["content"]


def test_the_text_says_that_it_is_a_stand_in_and_repeats_the_message():
    assert "stand-in" in text()
    assert "Hello there" in text()


def test_the_same_request_has_the_same_completion():
    assert completion() == completion()


def test_the_stream_is_the_completion_word_by_word():
    chunks = list(model.chunks(HELLO, "id", 1))
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == text()
    assert len(deltas) > 8
    assert chunks[-1]["usage"] == completion()["usage"]


def test_a_forced_tool_is_called_with_valid_arguments():
    tool = {"type": "function", "function": {"name": "weather", "parameters": WEATHER}}
    for tool_choice in ("required", {"type": "function", "function": {"name": "weather"}}):
        choice = completion(tools=[tool], tool_choice=tool_choice)["choices"][0]
        assert choice["finish_reason"] == "tool_calls"
        jsonschema.validate(json.loads(choice["message"]["tool_calls"][0]["function"]["arguments"]), WEATHER)


def test_a_tool_that_is_not_forced_is_not_called():
    tool = {"type": "function", "function": {"name": "weather", "parameters": WEATHER}}
    assert completion(tools=[tool])["choices"][0]["finish_reason"] == "stop"


def test_a_function_of_the_deprecated_form_is_called_in_that_form():
    choice = completion(functions=[{"name": "f", "parameters": WEATHER}], function_call={"name": "f"})["choices"][0]
    assert (choice["finish_reason"], choice["message"]["function_call"]["name"]) == ("function_call", "f")


def test_a_response_format_with_a_schema_has_a_valid_value():
    jsonschema.validate(
        json.loads(text(response_format={"type": "json_schema", "json_schema": {"schema": WEATHER}})), WEATHER
    )


def test_a_response_format_of_json_is_json():
    assert json.loads(text(response_format={"type": "json_object"}))["you_said"] == "Hello there"


def test_stop_and_the_token_limit_are_honoured():
    assert text(stop=[" model"]).endswith("for a")
    choice = completion(max_tokens=2)["choices"][0]
    assert (choice["finish_reason"], len(choice["message"]["content"])) == ("length", 8)


def test_every_one_of_n_choices_is_counted():
    assert len(completion(n=3)["choices"]) == 3
    assert completion(n=3)["usage"]["completion_tokens"] == 3 * completion()["usage"]["completion_tokens"]


def test_embeddings_are_unit_vectors_that_depend_on_the_input():
    response = model.embeddings({"input": ["a", "b", "a"], "dimensions": 16})
    first, second, third = (row["embedding"] for row in response["data"])
    assert first == third != second
    assert sum(x * x for x in first) == pytest.approx(1)
    encoded = model.embeddings({"input": "a", "dimensions": 16, "encoding_format": "base64"})["data"][0]["embedding"]
    assert array("f", base64.b64decode(encoded)).tolist() == first


TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
            "required": ["next"],
        }
    },
    "$ref": "#/$defs/node",
}


@pytest.mark.parametrize(
    "schema",
    [
        WEATHER,
        TREE,
        {"type": "array", "items": {"type": "number", "exclusiveMinimum": 0, "maximum": 1}, "minItems": 3},
        {"enum": ["a", "b"]},
        {"const": 7},
        {"type": ["string", "null"], "minLength": 9},
        {"type": "string", "maxLength": 2},
        {"type": "integer", "multipleOf": 7, "minimum": 8},
        {
            "allOf": [
                {"type": "object", "properties": {"a": {"type": "boolean"}}},
                {"required": ["b"], "properties": {"b": {"type": "string", "format": "date"}}},
            ]
        },
        {"oneOf": [{"type": "integer"}, {"type": "string"}]},
        {"type": "integer", "exclusiveMaximum": -3},
    ],
)
def test_a_sample_is_valid_under_its_schema(schema):
    jsonschema.validate(sample(schema), schema)


@pytest.mark.parametrize("tokens", [[1, 2], [1.0, 2]])
def test_a_list_of_tokens_is_one_input(tokens):
    response = model.embeddings({"input": tokens, "dimensions": 4})
    assert (len(response["data"]), response["usage"]["prompt_tokens"]) == (1, 2)
    assert len(model.embeddings({"input": [tokens, [3]], "dimensions": 4})["data"]) == 2


LARGE = {f"k{n}": {} for n in range(20_000)}
BOMBS = {
    "large parts of allOf": {"allOf": [{"properties": LARGE}] * 20},
    "many parts of allOf": {"allOf": [{"title": "a"}] * 200_000},
    "allOf in each item": {"type": "array", "minItems": 4000, "items": {"allOf": [{"title": "a"}] * 20_000}},
    "options in each item": {"type": "array", "minItems": 4000, "items": {"anyOf": [{"type": "string"}] * 20_000}},
    "names in each item": {"type": "array", "minItems": 4000, "items": {"type": "object", "required": [5] * 20_000}},
    "a large constant in each item": {"type": "array", "minItems": 4000, "items": {"const": "x" * 100_000}},
    "a long name in each item": {"type": "array", "minItems": 2000, "items": {"properties": {"x" * 100_000: {}}}},
    "long texts": {"type": "array", "minItems": 4000, "items": {"type": "string", "minLength": 10_000}},
    "long references": {
        "type": "array",
        "minItems": 4000,
        "items": {"$ref": "#" + "/~1" * 10_000},
    },
}


@pytest.mark.parametrize("schema", BOMBS.values(), ids=list(BOMBS))
def test_a_schema_is_filled_within_a_budget(schema):
    with pytest.raises(TooLarge):
        sample(schema)
    assert operations(sample, schema) < 5_000_000


def test_a_tool_with_a_very_long_name_is_refused():
    with pytest.raises(model.Refused):
        completion(tool_choice={"type": "function", "function": {"name": "x" * 1000}})
