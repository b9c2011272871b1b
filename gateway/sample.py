"""A value that fits a JSON schema: the plainest one, the same every time."""

from typing import Any

DEEP = 12
"""Levels after which a schema that contains itself is left at its emptiest."""
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


def sample(schema: Any) -> Any:
    """`$ref`s within the schema are followed; `pattern` and `not` are beyond it."""
    return _value(schema, schema, 0)


def _value(schema: Any, root: Any, depth: int) -> Any:
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
            return _value(_found(ref, root), root, depth + 1) if depth < 2 * DEEP else None
        case {"allOf": [*parts]} if parts:
            return _value(_merged([{k: v for k, v in schema.items() if k != "allOf"}, *parts], root), root, depth + 1)
        case {"anyOf": [*options]} | {"oneOf": [*options]} if options:
            return _value(_simplest(options) if depth > DEEP else options[0], root, depth + 1)
    return _typed(schema, root, depth)


def _typed(schema: dict[str, Any], root: Any, depth: int) -> Any:
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    match kind or ("object" if "properties" in schema else None):
        case "string":
            return _text(schema)
        case "integer" | "number":
            return _number(schema, kind == "integer")
        case "boolean":
            return True
        case "null":
            return None
        case "array":
            least = schema.get("minItems") or (0 if depth > DEEP else 1)
            return [_value(schema.get("items", {"type": "string"}), root, depth + 1)] * min(least, 100)
    properties = schema.get("properties") or {}
    wanted = schema.get("required") or [] if depth > DEEP else properties
    return {name: _value(properties.get(name, {}), root, depth + 1) for name in wanted}


def _text(schema: dict[str, Any]) -> str:
    text = TEXTS.get(str(schema.get("format")), "echo")
    text = text.ljust(min(schema.get("minLength") or 0, 10_000), ".")
    return text[: schema["maxLength"]] if isinstance(schema.get("maxLength"), int) else text


def _number(schema: dict[str, Any], whole: bool) -> Any:
    step = schema.get("multipleOf") or 1
    least = schema.get("minimum", schema.get("exclusiveMinimum"))
    most = schema.get("maximum", schema.get("exclusiveMaximum"))
    value = least if least is not None else 0 if most is None or most >= 0 else most
    value = -(-value // step) * step if value % step else value
    if value == schema.get("exclusiveMinimum"):
        value += step
    if value == schema.get("exclusiveMaximum"):
        value -= step
    return int(value) if whole else value


def _simplest(options: list[Any]) -> Any:
    flat = [one for one in options if isinstance(one, dict) and not {"$ref", "properties"} & one.keys()]
    return (flat or options)[-1]


def _merged(parts: list[Any], root: Any) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for part in parts:
        found = _found(part["$ref"], root) if isinstance(part, dict) and "$ref" in part else part
        for name, value in (found if isinstance(found, dict) else {}).items():
            known = merged.get(name)
            if isinstance(known, dict) and isinstance(value, dict):
                merged[name] = {**known, **value}
            elif isinstance(known, list) and isinstance(value, list):
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
