"""The built-in stand-in."""

import base64
import json
from array import array

import jsonschema
import pytest

from gateway.echo import model
from gateway.echo.schema_sample import sample

HELLO = {"model": "echo", "messages": [{"role": "user", "content": "Hello there"}]}
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 2}},
    "required": ["city", "days"],
}


def completion(**chat):
    return model.completion({**HELLO, **chat}, "id", 1)


def said(**chat):
    return completion(**chat)["choices"][0]["message"]["content"]


def test_it_says_that_it_is_a_stand_in_and_what_it_was_told():
    assert "stand-in" in said()
    assert "Hello there" in said()


def test_the_same_request_has_the_same_answer():
    assert completion() == completion()


def test_the_stream_is_the_answer_word_by_word():
    chunks = list(model.chunks(HELLO, "id", 1))
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == said()
    assert len(deltas) > 8
    assert chunks[-1]["usage"] == completion()["usage"]


def test_a_forced_tool_is_called_with_arguments_that_fit():
    tool = {"type": "function", "function": {"name": "weather", "parameters": WEATHER}}
    for choice in ("required", {"type": "function", "function": {"name": "weather"}}):
        answer = completion(tools=[tool], tool_choice=choice)["choices"][0]
        assert answer["finish_reason"] == "tool_calls"
        jsonschema.validate(json.loads(answer["message"]["tool_calls"][0]["function"]["arguments"]), WEATHER)


def test_a_tool_that_is_not_forced_is_not_called():
    tool = {"type": "function", "function": {"name": "weather", "parameters": WEATHER}}
    assert completion(tools=[tool])["choices"][0]["finish_reason"] == "stop"


def test_a_legacy_function_is_called_in_the_legacy_form():
    answer = completion(functions=[{"name": "f", "parameters": WEATHER}], function_call={"name": "f"})["choices"][0]
    assert (answer["finish_reason"], answer["message"]["function_call"]["name"]) == ("function_call", "f")


def test_a_schema_is_filled():
    jsonschema.validate(
        json.loads(said(response_format={"type": "json_schema", "json_schema": {"schema": WEATHER}})), WEATHER
    )


def test_json_is_json():
    assert json.loads(said(response_format={"type": "json_object"}))["you_said"] == "Hello there"


def test_stop_and_the_token_limit_are_honoured():
    assert said(stop=[" model"]).endswith("for a")
    answer = completion(max_tokens=2)["choices"][0]
    assert (answer["finish_reason"], len(answer["message"]["content"])) == ("length", 8)


def test_n_answers_are_counted():
    assert len(completion(n=3)["choices"]) == 3
    assert completion(n=3)["usage"]["completion_tokens"] == 3 * completion()["usage"]["completion_tokens"]


def test_embeddings_are_unit_vectors_that_depend_on_the_input():
    answer = model.embeddings({"input": ["a", "b", "a"], "dimensions": 16})
    one, other, again = (row["embedding"] for row in answer["data"])
    assert one == again != other
    assert sum(x * x for x in one) == pytest.approx(1)
    coded = model.embeddings({"input": "a", "dimensions": 16, "encoding_format": "base64"})["data"][0]["embedding"]
    assert array("f", base64.b64decode(coded)).tolist() == one


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
def test_a_sample_fits_its_schema(schema):
    jsonschema.validate(sample(schema), schema)


@pytest.mark.parametrize("tokens", [[1, 2], [1.0, 2]])
def test_a_list_of_tokens_is_one_input(tokens):
    answer = model.embeddings({"input": tokens, "dimensions": 4})
    assert (len(answer["data"]), answer["usage"]["prompt_tokens"]) == (1, 2)
    assert len(model.embeddings({"input": [tokens, [3]], "dimensions": 4})["data"]) == 2
