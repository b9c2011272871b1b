"""marshmallow validators with the gateway's error messages."""

from dataclasses import dataclass
from typing import Any

from marshmallow import ValidationError, validate

# Characters of a client's value in an error message.
MAX_QUOTED = 40


def quote(value: Any) -> str:
    """A value for an error message, shortened."""
    text = repr(value)
    return text if len(text) <= MAX_QUOTED else text[:MAX_QUOTED] + "..."


def alternatives(choices: tuple[str, ...]) -> str:
    quoted = ", ".join(map(repr, choices))
    return quoted if len(choices) == 1 else f"one of {quoted}"


@dataclass(frozen=True, slots=True)
class EnumValidator:
    """The value must be one of `choices`, an attribute in which apispec finds the document's `enum`."""

    choices: tuple[str, ...]

    def __call__(self, value: Any) -> None:
        if value not in self.choices:
            raise ValidationError(f"must be {alternatives(self.choices)}, not {quote(value)}")


class FullMatch(validate.Regexp):
    """The whole value must match. marshmallow's Regexp calls `re.match`, whose `$` also matches before a final newline."""

    def __call__(self, value: Any) -> Any:
        if self.regex.fullmatch(value) is None:
            raise ValidationError(f"must match {self.regex.pattern!s}, not {quote(value)}")
        return value


def range_validator(minimum: float, maximum: float) -> validate.Range:
    return validate.Range(minimum, maximum, error=f"must be between {minimum} and {maximum}, not {{input}}")


def with_length(options: dict[str, Any], unit: str, minimum: int | None, maximum: int | None) -> dict[str, Any]:
    """A field's options, with validators of its length before its other validators."""
    validators = []
    if minimum is not None:
        validators.append(validate.Length(min=minimum, error=f"must have at least {minimum} {unit}(s)"))
    if maximum is not None:
        validators.append(validate.Length(max=maximum, error=f"must have at most {maximum} {unit}s"))
    return {**options, "validate": [*validators, *options.get("validate", ())]}
