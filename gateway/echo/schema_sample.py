"""A value that fits a JSON schema: the plainest one, the same every time."""

from math import isfinite
from typing import Any

DEEP = 12
"""Levels after which a schema that contains itself is left at its emptiest."""
MOST_VALUES = 5_000
LONGEST = 10_000
TEXTS = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "duration": "PT1S",
    "email": "echo@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


class TooLarge(ValueError):
    """What fits the schema has more values than anybody wants to see."""


def sample(schema: Any) -> Any:
    """`$ref`s within the schema are followed; `pattern` and `not` are beyond it. Raises TooLarge."""
    return _Sampler(schema).value(schema, 0)


class _Sampler:
    """One sample of one schema, whose `$ref`s point into `root`."""

    def __init__(self, root: Any) -> None:
        self._root, self._left = root, MOST_VALUES

    def value(self, schema: Any, depth: int) -> Any:
        self._left -= 1
        if self._left < 0 or depth > 4 * DEEP:
            raise TooLarge(f"a schema that takes more than {MOST_VALUES} values to fill")
        if not isinstance(schema, dict):
            return {}
        for name in ("const", "default"):
            if name in schema:
                return schema[name]
        for name in ("enum", "examples"):
            if isinstance(schema.get(name), list) and schema[name]:
                return schema[name][0]
        match schema:
            case {"$ref": str(ref)}:
                return self.value(_found(ref, self._root), depth + 1) if depth < 2 * DEEP else None
            case {"allOf": [_, *_] as parts}:
                rest = {name: value for name, value in schema.items() if name != "allOf"}
                return self.value(_merged([rest, *parts], self._root), depth + 1)
            case {"anyOf": [_, *_] as options} | {"oneOf": [_, *_] as options}:
                return self.value(_simplest(options) if depth > DEEP else options[0], depth + 1)
        return self._typed(schema, depth)

    def _typed(self, schema: dict[str, Any], depth: int) -> Any:
        kind = schema.get("type")
        kind = kind[0] if isinstance(kind, list) and kind else kind
        match kind:
            case "string":
                return _text(schema)
            case "integer" | "number":
                return _number(schema, kind == "integer")
            case "boolean":
                return True
            case "null":
                return None
            case "array":
                least = _count(schema, "minItems", 0 if depth > DEEP else 1)
                return [self.value(schema.get("items", {"type": "string"}), depth + 1) for _ in range(least)]
        properties = schema.get("properties")
        properties = properties if isinstance(properties, dict) else {}
        required = schema.get("required")
        wanted = [name for name in required if isinstance(name, str)] if isinstance(required, list) else []
        names = wanted if depth > DEEP else [*properties, *(name for name in wanted if name not in properties)]
        return {name: self.value(properties.get(name, {}), depth + 1) for name in names}


def _count(schema: dict[str, Any], name: str, default: int) -> int:
    """A keyword that counts something; whatever else stands there says nothing."""
    value = schema.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else default


def _text(schema: dict[str, Any]) -> str:
    least, most = _count(schema, "minLength", 0), _count(schema, "maxLength", LONGEST)
    if least > LONGEST:
        raise TooLarge(f"a text of more than {LONGEST} characters")
    return TEXTS.get(str(schema.get("format")), "echo").ljust(least, ".")[:most]


def _number(schema: dict[str, Any], whole: bool) -> Any:
    def bound(*names: str) -> float | int | None:
        found = (schema.get(name) for name in names)
        return next((one for one in found if isinstance(one, int | float) and not isinstance(one, bool)), None)

    least, most = bound("minimum", "exclusiveMinimum"), bound("maximum", "exclusiveMaximum")
    value = least if least is not None else 0 if most is None or most >= 0 else most
    step = bound("multipleOf") or 1
    if step <= 0 or not isfinite(value / step):
        return value
    value = -(-value // step) * step
    if value == schema.get("exclusiveMinimum"):
        value += step
    if value == schema.get("exclusiveMaximum"):
        value -= step
    return int(value) if whole else value


def _simplest(options: list[Any]) -> Any:
    flat = [one for one in options if isinstance(one, dict) and not {"$ref", "properties"} & one.keys()]
    return (flat or options)[-1]


def _merged(parts: list[Any], root: Any) -> dict[str, Any]:
    """One schema for all the parts of an `allOf`."""
    merged: dict[str, Any] = {}
    for part in parts:
        found = _found(part["$ref"], root) if isinstance(part, dict) and isinstance(part.get("$ref"), str) else part
        for name, value in (found if isinstance(found, dict) else {}).items():
            known = merged.get(name)
            if isinstance(known, dict) and isinstance(value, dict):
                merged[name] = {**known, **value}
            elif isinstance(known, list) and isinstance(value, list) and len(known) < MOST_VALUES:
                merged[name] = [*known, *value]
            else:
                merged[name] = value
    return merged


def _found(ref: str, root: Any) -> Any:
    """What a `#/a/b` points to; anything else is an empty schema."""
    here = root
    for step in ref.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        here = here.get(name, {}) if isinstance(here, dict) else {}
    return here
