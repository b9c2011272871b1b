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
    return (
        isinstance(schema, dict)
        and schema.get("type") == "object"
        and _Expressible(schema).levels(schema, 0) is not None
    )


class _Expressible:
    """One look at a schema. Each schema in it is looked at once, however many `$ref`s lead to it: they may double."""

    def __init__(self, root: Json) -> None:
        # By the id of a schema: the levels in it; None while it is looked at, so that whoever meets it then recurs.
        self._root, self._levels = root, dict[int, int | None]()

    def levels(self, schema: Any, depth: int) -> int | None:
        """The levels in a schema at `depth` below the root, `$ref`s included; None where it is not expressible."""
        if depth > MAX_DEPTH or not isinstance(schema, dict):
            return None
        if id(schema) in self._levels:
            levels = self._levels[id(schema)]
            return levels if levels is not None and depth + levels <= MAX_DEPTH else None
        self._levels[id(schema)] = None
        inner = _inner(schema, self._root)
        if inner is None:
            return None
        levels = 0
        for nested in inner:
            below = self.levels(nested, depth + 1)
            if below is None:
                return None
            levels = max(levels, below + 1)
        self._levels[id(schema)] = levels
        return levels


def _inner(schema: Json, root: Json) -> list[Any] | None:
    """The schemas that one consists of; None where it is not expressible itself."""
    if not _is_well_formed(schema):
        return None
    match schema:
        case {"$ref": str() as ref}:
            return [resolve(ref, root)]
        case {"type": "object"} | {"properties": _} if not _is_closable(schema):
            return None
        case _:
            return _nested(schema) if any(keyword in schema for keyword in TYPE_KEYWORDS) else None


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
