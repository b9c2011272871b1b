"""The marshmallow schemas as JSON Schema: what apispec does not know of the project's own fields and rules."""

from collections.abc import Mapping
from typing import Any

from marshmallow import fields

from gateway.web.fields import AnyOf, Map, TaggedUnion
from gateway.web.openai.message_schemas import CONTENT_ALTERNATIVES, AssistantMessage
from gateway.web.openai.request_schemas import ChatRequest

Json = dict[str, Any]


def component_name(schema: Any) -> str:
    """The name of a schema in the document. apispec's resolver drops the suffix Schema: JsonSchema would become Json."""
    return (schema if isinstance(schema, type) else type(schema)).__name__


def field_schema(converter: Any, field: fields.Field[Any], **_: Any) -> Json:
    """The JSON Schema of the fields that apispec does not know."""
    null = [{"type": "null"}] if field.allow_none else []
    match field:
        case AnyOf():
            return {"anyOf": [*map(converter.field2property, field.options), *null]}
        case TaggedUnion():
            refs = {choice: converter.resolve_nested_schema(schema) for choice, schema in field.schemas.items()}
            mapping = {choice: ref["$ref"] for choice, ref in refs.items()}
            discriminator = {"discriminator": {"propertyName": field.tag, "mapping": mapping}}
            # null has no tag, which a discriminator requires.
            return {"oneOf": [*refs.values(), *null], **({} if null else discriminator)}
        case Map():
            max_keys = {} if field.max_keys is None else {"maxProperties": field.max_keys}
            max_length = field.max_key_length
            return {**max_keys, **({} if max_length is None else {"propertyNames": {"maxLength": max_length}})}
    return {}


def with_rules(document: Json) -> Json:
    """The document with what `errors_between_fields` of the schemas demands."""
    schemas = document["components"]["schemas"]
    with_demands = {name: {**schemas[name], "allOf": demands} for name, demands in RULES.items()}
    return {**document, "components": {**document["components"], "schemas": {**schemas, **with_demands}}}


def needs(field: str, other: str) -> Json:
    """`field` may be present only if `other` is true."""
    absent = {"properties": {field: {"type": "null"}}}
    return {"anyOf": [absent, {"properties": {other: {"const": True}}, "required": [other]}]}


def has(field: str, schema: Json) -> Json:
    return {"properties": {field: schema}, "required": [field]}


# What Python calls true: the schemas test these fields so.
TRUTHY: Json = {"not": {"enum": [None, "", [], {}]}}
RULES: Mapping[str, list[Json]] = {
    ChatRequest.__name__: [needs("stream_options", "stream"), needs("top_logprobs", "logprobs")],
    AssistantMessage.__name__: [
        {
            "anyOf": [
                has("content", {"type": ["string", "array"]}),
                *(has(name, TRUTHY) for name in CONTENT_ALTERNATIVES),
            ]
        }
    ],
}
