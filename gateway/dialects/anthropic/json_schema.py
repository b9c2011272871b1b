"""
JSON schemas in the form that Anthropic's structured outputs and strict tools take.

https://platform.claude.com/docs/en/build-with-claude/structured-outputs, "JSON Schema limitations": every object must
be closed (`additionalProperties: false`), and neither recursion nor most constraints on values are supported.
"""

from collections.abc import Mapping
from typing import Any

from gateway import json_codec
from gateway.dialects.json_pointer import resolve
from gateway.openai_types import Json

SUPPORTED_KEYWORDS = frozenset({"$schema", "type", "required", "title", "description", "enum", "const"})
SUPPORTED_FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)
# Keywords whose values are named schemas, and lists of schemas. `oneOf` becomes `anyOf`, which allows at least as much.
SCHEMA_MAPS = ("properties", "$defs", "definitions")
SCHEMA_LISTS: Mapping[str, str] = {"anyOf": "anyOf", "oneOf": "anyOf", "allOf": "allOf"}
# A schema with none of these allows any value, objects with arbitrary keys among them.
TYPE_KEYWORDS = ("type", "anyOf", "oneOf", "allOf", "enum", "const", "$ref", "properties")
# Far deeper than any real schema, and well within Python's recursion limit.
MAX_DEPTH = 60


def is_expressible(schema: Any) -> bool:
    """Whether `closed(schema)` allows all that the schema allows: no recursion, no object with arbitrary keys."""
    return isinstance(schema, dict) and schema.get("type") == "object" and _is_expressible(schema, schema, ())


def _is_expressible(schema: Any, root: Json, steps: tuple[str, ...]) -> bool:
    """`steps`: what led here from the root, the `$ref` for a reference and "" for a nested schema."""
    if len(steps) > MAX_DEPTH or not isinstance(schema, dict) or not _is_well_formed(schema):
        return False
    match schema:
        case {"$ref": str() as ref}:
            return ref not in steps and _is_expressible(resolve(ref, root), root, (*steps, ref))
        case {"type": "object"} | {"properties": _} if not _is_closable(schema):
            return False
        case _:
            typed = any(keyword in schema for keyword in TYPE_KEYWORDS)
            return typed and all(_is_expressible(nested, root, (*steps, "")) for nested in _nested(schema))


def _is_well_formed(schema: Json) -> bool:
    maps = all(isinstance(schema.get(keyword, {}), dict) for keyword in SCHEMA_MAPS)
    return maps and all(isinstance(schema.get(keyword, []), list) for keyword in SCHEMA_LISTS)


def _is_closable(schema: Json) -> bool:
    """Whether an object without other keys is what the schema means."""
    additional = schema.get("additionalProperties")
    has_keys = bool(schema.get("properties")) or additional is False
    return has_keys and additional in (None, False) and "patternProperties" not in schema


def _nested(schema: Json) -> list[Any]:
    items = [schema["items"]] if "items" in schema else []
    alternatives = [nested for keyword in SCHEMA_LISTS for nested in schema.get(keyword, ())]
    return [*schema.get("properties", {}).values(), *alternatives, *items]


def closed(schema: Json) -> Json:
    """
    The schema with every object closed. Unsupported constraints move into the description.

    Anthropic's SDKs do the same: "Remove unsupported constraints", "Update descriptions with constraint info".
    """
    if "$ref" in schema and len(schema) > 1:
        # "All other properties in a "$ref" object MUST be ignored" before draft 2019-09, unlike those beside an anyOf:
        # https://json-schema.org/draft-07/json-schema-core, 8.3
        rest = {keyword: value for keyword, value in schema.items() if keyword != "$ref"}
        return closed({**rest, "allOf" if "anyOf" in rest else "anyOf": [{"$ref": schema["$ref"]}]})
    supported = {keyword: value for keyword, value in schema.items() if _is_supported(keyword, value)}
    out = {SCHEMA_LISTS.get(keyword, keyword): _with_closed(keyword, value) for keyword, value in supported.items()}
    if schema.get("type") == "object" or "properties" in schema:
        out = {"properties": {}, **out, "additionalProperties": False}
    unsupported = {
        keyword: value
        for keyword, value in schema.items()
        if keyword not in supported and keyword != "additionalProperties"
    }
    if not unsupported:
        return out
    texts = (schema.get("description"), json_codec.dumps(unsupported).decode())
    return {**out, "description": "\n\n".join(str(text) for text in texts if text)}


def _is_supported(keyword: str, value: Any) -> bool:
    match keyword, value:
        case "format", str():
            return value in SUPPORTED_FORMATS
        case "minItems", int():
            # "Array constraints beyond minItems of 0 or 1" are not supported.
            return value in (0, 1)
        case (("items" | "$ref"), _):
            return True
        case _:
            return keyword in SUPPORTED_KEYWORDS or keyword in SCHEMA_MAPS or keyword in SCHEMA_LISTS


def _with_closed(keyword: str, value: Any) -> Any:
    """A keyword's value with the schemas in it closed."""
    if keyword in SCHEMA_MAPS and isinstance(value, dict):
        return {name: closed(nested) if isinstance(nested, dict) else nested for name, nested in value.items()}
    if keyword in SCHEMA_LISTS and isinstance(value, list):
        return [closed(nested) if isinstance(nested, dict) else nested for nested in value]
    return closed(value) if keyword == "items" and isinstance(value, dict) else value
