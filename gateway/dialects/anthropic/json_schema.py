"""
JSON schemas as Anthropic's structured outputs and strict tools take them.

https://platform.claude.com/docs/en/build-with-claude/structured-outputs: objects must be closed, recursion and most
limits of values are refused.
"""

from collections.abc import Mapping
from typing import Any

from gateway import json_codec
from gateway.openai_types import Json

KEPT = frozenset({"$schema", "type", "required", "title", "description", "enum", "const"})
FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"})
NAMED = ("properties", "$defs", "definitions")
LISTED: Mapping[str, str] = {"anyOf": "anyOf", "oneOf": "anyOf", "allOf": "allOf"}
DEEPEST = 60
FALLBACK_KINDS = ("type", "anyOf", "oneOf", "allOf", "enum", "const", "$ref", "properties")


def expressible(schema: Any) -> bool:
    """Whether the closed schema allows what the schema allows: no recursion, no object with keys of any name."""
    return isinstance(schema, dict) and schema.get("type") == "object" and _expressible(schema, schema, ())


def _expressible(schema: Any, root: Json, within: tuple[str, ...]) -> bool:
    """`within`: the steps that led here."""
    if len(within) > DEEPEST or not isinstance(schema, dict) or not _formed(schema):
        return False
    match schema:
        case {"$ref": str() as ref}:
            return ref not in within and _expressible(_target(ref, root), root, (*within, ref))
        case {"type": "object"} | {"properties": _} if not _closable(schema):
            return False
        case _:
            known = any(kind in schema for kind in FALLBACK_KINDS)
            return known and all(_expressible(inner, root, (*within, "")) for inner in _inner(schema))


def _formed(schema: Json) -> bool:
    """Whether what holds other schemas has the form for it."""
    named = all(isinstance(schema.get(name, {}), dict) for name in NAMED)
    return named and all(isinstance(schema.get(name, []), list) for name in LISTED)


def _closable(schema: Json) -> bool:
    extra = schema.get("additionalProperties")
    named = bool(schema.get("properties")) or extra is False
    return named and extra in (None, False) and "patternProperties" not in schema


def _inner(schema: Json) -> list[Any]:
    items = [schema["items"]] if "items" in schema else []
    listed = [inner for name in LISTED for inner in schema.get(name, ())]
    return [*schema.get("properties", {}).values(), *listed, *items]


def _target(ref: str, root: Json) -> Any:
    found: Any = root if ref.startswith("#") else None
    for step in ref.removeprefix("#").split("/")[1:]:
        found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
    return found


def closed(schema: Json) -> Json:
    """The schema with every object closed; what can't be enforced stands in the description, in words."""
    if "$ref" in schema and len(schema) > 1:
        rest = {name: value for name, value in schema.items() if name != "$ref"}
        return closed({**rest, "allOf" if "anyOf" in rest else "anyOf": [{"$ref": schema["$ref"]}]})
    kept = {name: value for name, value in schema.items() if _kept(name, value)}
    out = {LISTED.get(name, name): _deeper(name, value) for name, value in kept.items()}
    if schema.get("type") == "object" or "properties" in schema:
        out = {"properties": {}, **out, "additionalProperties": False}
    moved = {name: value for name, value in schema.items() if name not in kept and name != "additionalProperties"}
    if not moved:
        return out
    words = (schema.get("description"), json_codec.dumps(moved).decode())
    return {**out, "description": "\n\n".join(str(word) for word in words if word)}


def _kept(name: str, value: Any) -> bool:
    match name, value:
        case "format", str():
            return value in FORMATS
        case "minItems", int():
            return value in (0, 1)
        case (("items" | "$ref"), _):
            return True
        case _:
            return name in KEPT or name in NAMED or name in LISTED


def _deeper(name: str, value: Any) -> Any:
    if name in NAMED and isinstance(value, dict):
        return {key: closed(inner) if isinstance(inner, dict) else inner for key, inner in value.items()}
    if name in LISTED and isinstance(value, list):
        return [closed(inner) if isinstance(inner, dict) else inner for inner in value]
    return closed(value) if name == "items" and isinstance(value, dict) else value
