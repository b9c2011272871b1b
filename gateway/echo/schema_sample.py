"""A value that is valid under a JSON schema (draft 2020-12): the simplest one, the same every time."""

from math import isfinite
from typing import Any

from gateway.dialects.json_pointer import resolve
from gateway.json_codec import dumps

# Levels after which optional properties are omitted, so that a schema that refers to itself has an end.
FULL_DEPTH = 12
MAX_DEPTH = 4 * FULL_DEPTH
MAX_VALUES = 5_000
MAX_TEXT = 10_000
# Characters of a whole value, which a response with n choices has n times; parts, names and options of schemas looked at.
MAX_SIZE, MAX_WORK = 1 << 18, 50_000
# One value for each `format` of the Validation vocabulary, 7.3, that is in use.
FORMATS = {
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
    """A valid value would have more members or characters than are made here."""


def sample(schema: Any) -> Any:
    """A value for the schema; `$ref`s within it are followed, `pattern` and `not` are ignored. Raises TooLarge."""
    return _Sampler(schema).value(schema, 0)


class _Sampler:
    """One sample of one schema, whose `$ref`s point into `root`."""

    def __init__(self, root: Any) -> None:
        self._root, self._remaining, self._size, self._work = root, MAX_VALUES, MAX_SIZE, MAX_WORK
        self._sizes: dict[int, int] = {}

    def _spend(self, *, size: int = 0, work: int = 0) -> None:
        """Count what a value takes. Raises TooLarge."""
        self._size, self._work = self._size - size, self._work - work
        if self._size < 0:
            raise TooLarge(f"a schema whose value has more than {MAX_SIZE} characters")
        if self._work < 0:
            raise TooLarge(f"a schema that takes more than {MAX_WORK} steps to fill")

    def _given(self, value: Any) -> Any:
        """A value that the schema itself gives."""
        if id(value) not in self._sizes:
            self._sizes[id(value)] = len(dumps(value))
        self._spend(size=self._sizes[id(value)])
        return value

    def value(self, schema: Any, depth: int) -> Any:
        self._remaining -= 1
        if self._remaining < 0 or depth > MAX_DEPTH:
            raise TooLarge(f"a schema that takes more than {MAX_VALUES} values to fill")
        if not isinstance(schema, dict):  # `true` allows any value
            return {}
        for name in ("const", "default"):
            if name in schema:
                return self._given(schema[name])
        for name in ("enum", "examples"):
            if isinstance(schema.get(name), list) and schema[name]:
                return self._given(schema[name][0])
        match schema:
            case {"$ref": str(reference)}:
                self._spend(work=1 + reference.count("/"))
                return self.value(resolve(reference, self._root), depth + 1) if depth < 2 * FULL_DEPTH else None
            case {"allOf": [_, *_] as parts}:
                rest = {name: value for name, value in schema.items() if name != "allOf"}
                return self.value(self._merge([rest, *parts]), depth + 1)
            case {"anyOf": [_, *_] as options} | {"oneOf": [_, *_] as options}:
                self._spend(work=len(options))
                return self.value(_simplest(options) if depth > FULL_DEPTH else options[0], depth + 1)
        return self._typed(schema, depth)

    def _typed(self, schema: dict[str, Any], depth: int) -> Any:
        kind = schema.get("type")
        kind = kind[0] if isinstance(kind, list) and kind else kind
        match kind:
            case "string":
                text = _text(schema)
                self._spend(size=len(text))
                return text
            case "integer" | "number":
                return _number(schema, kind == "integer")
            case "boolean":
                return True
            case "null":
                return None
            case "array":
                length = _count(schema, "minItems", 0 if depth > FULL_DEPTH else 1)
                return [self.value(schema.get("items", {"type": "string"}), depth + 1) for _ in range(length)]
        properties = schema.get("properties")
        properties = properties if isinstance(properties, dict) else {}
        required = schema.get("required")
        self._spend(work=len(properties) + (len(required) if isinstance(required, list) else 0))
        required = [name for name in required if isinstance(name, str)] if isinstance(required, list) else []
        if depth > FULL_DEPTH:
            names = required
        else:
            names = [*properties, *(name for name in required if name not in properties)]
        self._spend(size=sum(map(len, names)))
        return {name: self.value(properties.get(name, {}), depth + 1) for name in names}

    def _merge(self, parts: list[Any]) -> dict[str, Any]:
        """One schema for all the parts of an `allOf`."""
        merged: dict[str, Any] = {}
        copied: set[str] = set()  # the keywords whose values in `merged` are no part's own
        for part in parts:
            is_reference = isinstance(part, dict) and isinstance(part.get("$ref"), str)
            if is_reference:
                self._spend(work=part["$ref"].count("/"))
            schema = resolve(part["$ref"], self._root) if is_reference else part
            members = schema if isinstance(schema, dict) else {}
            self._spend(work=1 + len(members))
            for name, value in members.items():
                present = merged.get(name)
                if not (isinstance(present, dict | list) and type(present) is type(value)):
                    merged[name] = value
                    copied.discard(name)
                    continue
                if name not in copied:
                    present = merged[name] = present.copy()
                    copied.add(name)
                    self._spend(work=len(present))
                self._spend(work=len(value))
                present.update(value) if isinstance(present, dict) else present.extend(value)
        return merged


def _count(schema: dict[str, Any], name: str, default: int) -> int:
    """The value of a keyword that counts something; the default if it is no such number."""
    value = schema.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else default


def _text(schema: dict[str, Any]) -> str:
    min_length, max_length = _count(schema, "minLength", 0), _count(schema, "maxLength", MAX_TEXT)
    if min_length > MAX_TEXT:
        raise TooLarge(f"a text of more than {MAX_TEXT} characters")
    return FORMATS.get(str(schema.get("format")), "echo").ljust(min_length, ".")[:max_length]


def _number(schema: dict[str, Any], is_integer: bool) -> Any:
    def bound(*names: str) -> float | int | None:
        values = (schema.get(name) for name in names)
        return next((value for value in values if isinstance(value, int | float) and not isinstance(value, bool)), None)

    minimum, maximum = bound("minimum", "exclusiveMinimum"), bound("maximum", "exclusiveMaximum")
    value = minimum if minimum is not None else 0 if maximum is None or maximum >= 0 else maximum
    step = bound("multipleOf") or 1
    if step <= 0 or not isfinite(value / step):
        return value
    value = -(-value // step) * step  # rounded up to a multiple
    if value == schema.get("exclusiveMinimum"):
        value += step
    if value == schema.get("exclusiveMaximum"):
        value -= step
    return int(value) if is_integer else value


def _simplest(options: list[Any]) -> Any:
    """The last option without members of its own, such as `{"type": "null"}`: it ends a recursion."""
    flat = [option for option in options if isinstance(option, dict) and not {"$ref", "properties"} & option.keys()]
    return (flat or options)[-1]
