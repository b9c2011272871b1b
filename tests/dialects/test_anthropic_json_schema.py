"""JSON schemas in the form that structured outputs and strict tools take."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.anthropic_dialect import vendor_body, vendor_request
from tests.support.chat_strategies import SCHEMA_LIKE_JSON

POINT = {
    "type": "object",
    "properties": {"x": {"type": "integer", "minimum": 0, "description": "Right."}, "p": {"$ref": "#/$defs/P"}},
    "required": ["x"],
    "$defs": {"P": {"type": "object", "properties": {"y": {"type": ["string", "null"], "format": "date"}}}},
}


def request_with_schema(schema, model="claude-sonnet-4-5", **fields):
    json_schema = {"name": "thing", "schema": schema, **fields}
    return vendor_request(model, response_format={"type": "json_schema", "json_schema": json_schema})


def test_a_schema_is_enforced_with_every_object_closed():
    sent = request_with_schema(POINT, strict=True, description="A point.").body["output_config"]["format"]
    assert sent["type"] == "json_schema"
    assert sent["schema"]["title"] == "thing"
    assert sent["schema"]["description"] == "A point."
    assert sent["schema"]["additionalProperties"] is False
    assert sent["schema"]["$defs"]["P"]["additionalProperties"] is False
    assert sent["schema"]["properties"]["x"] == {"type": "integer", "description": 'Right.\n\n{"minimum":0}'}
    assert sent["schema"]["$defs"]["P"]["properties"]["y"] == {"type": ["string", "null"], "format": "date"}


def test_keywords_beside_a_reference_are_sent():
    schema = {**POINT, "properties": {"p": {"$ref": "#/$defs/P", "description": "Where it is."}}}
    sent = request_with_schema(schema).body["output_config"]["format"]["schema"]["properties"]["p"]
    assert sent == {"description": "Where it is.", "anyOf": [{"$ref": "#/$defs/P"}]}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": "object", "properties": {"a": {"type": "object", "additionalProperties": {"type": "string"}}}},
        {"type": "object", "properties": {"a": {"$ref": "#"}}},
        {"type": "object", "properties": {"a": {}}},
        {"type": "object", "properties": {"a": {"$ref": "https://example.com/schema"}}},
        {"type": "array", "items": {"type": "string"}},
    ],
)
def test_a_schema_that_cannot_be_enforced_is_sent_in_the_system_prompt(schema):
    sent = request_with_schema(schema, strict=True)
    assert "output_config" not in sent.body
    instruction = sent.body["system"][-1]["text"]
    assert json.loads(instruction.partition("\n")[2]) == {"title": "thing", **schema}
    assert sent.dropped == ("response_format.json_schema.strict",)


def test_models_without_structured_outputs_get_the_schema_in_the_system_prompt():
    assert "JSON schema" in request_with_schema(POINT, model="claude-3-haiku-20240307").body["system"][-1]["text"]


def test_the_effort_and_the_schema_share_output_config():
    response_format = {"type": "json_schema", "json_schema": {"name": "p", "schema": POINT}}
    sent = vendor_body("claude-opus-4-8", response_format=response_format, reasoning_effort="low")
    assert set(sent["output_config"]) == {"effort", "format"}


@given(
    schema=st.dictionaries(st.sampled_from(["type", "properties", "anyOf", "$ref", "items"]), SCHEMA_LIKE_JSON),
    strict=st.booleans(),
)
@settings(deadline=None, suppress_health_check=list(HealthCheck))
def test_no_schema_makes_the_adapter_fail(schema, strict):
    tool = {"type": "function", "function": {"name": "f", "parameters": schema, "strict": strict}}
    response_format = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object", **schema}}}
    assert vendor_request(tools=[tool], response_format=response_format).body
