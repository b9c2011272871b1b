"""
The strict fields that the shapes of requests are made of.

marshmallow's own fields coerce ("0.5" becomes 0.5, "yes" becomes True) and rebuild what they read. These take a value
as it is or say what is wrong with it, and leave it untouched. The first fault in the document ends the search: bodies
are as large as clients like, and so would a list of faults be.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from marshmallow import INCLUDE, Schema, ValidationError, fields, validate

NOUNS: Mapping[type, str] = {
    type(None): "null",
    bool: "a boolean",
    int: "an integer",
    float: "a fraction",
    str: "a string",
    list: "an array",
    dict: "an object",
}
LARGEST = (1 << 63) - 1
SMALLEST = -(1 << 63)
SHOWN = 40


def noun(value: Any) -> str:
    """What a JSON value is, in words; jsontext leaves an integer that no machine word holds as its text."""
    return NOUNS.get(type(value), "an integer beyond 64 bits")


def shown(value: Any) -> str:
    """A value for an error message, cut short."""
    text = repr(value)
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."


def listed(words: tuple[str, ...]) -> str:
    quoted = ", ".join(map(repr, words))
    return quoted if len(words) == 1 else f"one of {quoted}"


@dataclass(frozen=True, slots=True)
class Among:
    """The validator of a vocabulary; `choices` is what apispec looks for."""

    choices: tuple[str, ...]

    def __call__(self, value: Any) -> None:
        if value not in self.choices:
            raise ValidationError(f"must be {listed(self.choices)}, not {shown(value)}")


class Pattern(validate.Regexp):
    """The whole value, where `validate.Regexp` asks for its beginning and lets a line end follow."""

    def __call__(self, value: Any) -> Any:
        if self.regex.fullmatch(value) is None:
            raise ValidationError(f"must match {self.regex.pattern!s}, not {shown(value)}")
        return value


class Strict(fields.Field[Any]):
    """A field for values of some JSON types, `types`, which `takes` says in words."""

    types: tuple[type, ...] = ()
    takes = ""
    default_error_messages = {  # noqa: RUF012, marshmallow's own form
        "required": "is required",
        "null": "must not be null",
        "type": "must be {takes}, not {given}",
    }

    def fits(self, value: Any) -> bool:
        """Is it a value of this kind, whatever is wrong inside?"""
        return type(value) in self.types

    def _deserialize(self, value: Any, *where: Any, **kwargs: Any) -> Any:  # noqa: ARG002, what marshmallow passes
        if type(value) not in self.types:
            raise self.make_error("type", takes=self.takes, given=noun(value))
        return value


class Text(Strict, fields.String):
    types = (str,)
    takes = "a string"

    def __init__(self, *, least: int | None = None, most: int | None = None, **options: Any) -> None:
        super().__init__(**with_length(options, "character", least, most))


class Name(Text):
    """What OpenAI lets a function or a schema be called."""

    def __init__(self, **options: Any) -> None:
        super().__init__(most=64, validate=[Pattern(re.compile("^[a-zA-Z0-9_-]*$"))], **options)


class Word(Text):
    """A word of a closed vocabulary."""

    def __init__(self, *words: str, **options: Any) -> None:
        super().__init__(validate=[Among(words)], **options)
        self.takes = listed(words)


class Flag(Strict, fields.Boolean):
    types = (bool,)
    takes = "a boolean"


class Whole(Strict, fields.Integer):
    """An integer; without narrower bounds, of 64 bits. To JSON Schema 2.0 is one too."""

    types = (int,)
    takes = "an integer"

    def fits(self, value: Any) -> bool:
        return type(value) is int or (type(value) is float and value.is_integer())

    def _deserialize(self, value: Any, *where: Any, **kwargs: Any) -> Any:
        return value if self.fits(value) else super()._deserialize(value, *where, **kwargs)

    def __init__(self, least: int = SMALLEST, most: int = LARGEST, **options: Any) -> None:
        super().__init__(validate=[between(least, most)], **options)


class Number(Strict, fields.Float):
    types = (float, int)
    takes = "a number"

    def __init__(self, least: float, most: float, **options: Any) -> None:
        super().__init__(validate=[between(least, most)], **options)


class Map(Strict, fields.Dict):
    """An object of any keys: at most `most`, of `key` characters each, with values of one kind."""

    types = (dict,)
    takes = "an object"

    def __init__(
        self, of: Strict | None = None, *, most: int | None = None, key: int | None = None, **options: Any
    ) -> None:
        super().__init__(values=of, **options)
        self.of, self.most, self.key = of, most, key

    def _deserialize(self, value: Any, *where: Any, **kwargs: Any) -> Any:
        super()._deserialize(value, *where, **kwargs)
        if self.most is not None and len(value) > self.most:
            raise ValidationError(f"must have at most {self.most} keys, not {len(value)}")
        for name, member in value.items():
            if self.key is not None and len(name) > self.key:
                raise ValidationError(f"must have keys of at most {self.key} characters, not {shown(name)}")
            if self.of is not None:
                inside(name, self.of, member)
        return value


class Array(Strict, fields.List[Any]):
    """An array of one kind of items. Items for which `plain` is true are known to be right."""

    types = (list,)
    takes = "an array"

    def __init__(
        self,
        of: Strict,
        *,
        least: int | None = None,
        most: int | None = None,
        plain: Callable[[Any], bool] = lambda _: False,
        **options: Any,
    ) -> None:
        super().__init__(of, **with_length(options, "item", least, most))
        self.of, self.plain = of, plain

    def fits(self, value: Any) -> bool:
        return type(value) is list and (not value or self.of.fits(value[0]))

    def _deserialize(self, value: Any, *where: Any, **kwargs: Any) -> Any:
        super()._deserialize(value, *where, **kwargs)
        plain = self.plain
        for index, item in enumerate(value):
            if not plain(item):
                inside(index, self.of, item)
        return value


class Shape(Schema):
    """
    An object with the fields that are declared and any others.

    marshmallow visits every field that a schema declares, and builds a new object. A chat request has three of 37:
    here, the object's own members are visited, in its own order.
    """

    class Meta:
        unknown = INCLUDE

    def rules(self, data: dict[str, Any]) -> Iterator[tuple[str, str]]:  # noqa: ARG002
        """(the culprit, what is wrong) where a field's value is right, and wrong beside another's."""
        yield from ()

    def load(self, data: Any, **options: Any) -> Any:  # noqa: ARG002
        """The very same object. Raises ValidationError with its first fault."""
        if type(data) is not dict:
            raise ValidationError(f"must be an object, not {noun(data)}")
        known = self.load_fields
        for name, value in data.items():
            if name in known:
                inside(name, known[name], value)
        for name, field in known.items():
            if field.required and name not in data:
                raise ValidationError({name: ["is required"]})
        for name, what in self.rules(data):
            raise ValidationError({name: [what]})
        return data


class Object(Strict, fields.Nested):
    """An object of one shape."""

    types = (dict,)
    takes = "an object"

    def __init__(self, shape: Callable[[], Shape], **options: Any) -> None:
        self.shape = shape()
        super().__init__(self.shape, **options)

    def _deserialize(self, value: Any, *where: Any, **kwargs: Any) -> Any:
        super()._deserialize(value, *where, **kwargs)
        return self.shape.load(value)


class Tagged(Strict):
    """An object whose member `tag` says which shape it has."""

    types = (dict,)
    takes = "an object"

    def __init__(self, tag: str, shapes: Mapping[str, Callable[[], Shape]], **options: Any) -> None:
        super().__init__(**options)
        self.tag = tag
        self.shapes = {word: shape() for word, shape in shapes.items()}
        self.word = Word(*self.shapes, required=True)

    def _deserialize(self, value: Any, *where: Any, **kwargs: Any) -> Any:
        super()._deserialize(value, *where, **kwargs)
        if self.tag not in value:
            raise ValidationError({self.tag: ["is required"]})
        inside(self.tag, self.word, value[self.tag])
        return self.shapes[value[self.tag]].load(value)


class Either(Strict):
    """A value of one of several kinds, told apart by its JSON type (of arrays: by that of the first item)."""

    def __init__(self, *kinds: Strict, **options: Any) -> None:
        super().__init__(**options)
        self.kinds = kinds
        self.types = tuple({type for kind in kinds for type in kind.types})
        self.takes = " or ".join(dict.fromkeys(kind.takes for kind in kinds))

    def fits(self, value: Any) -> bool:
        return any(kind.fits(value) for kind in self.kinds)

    def _deserialize(self, value: Any, *where: Any, **kwargs: Any) -> Any:
        super()._deserialize(value, *where, **kwargs)
        near = [kind for kind in self.kinds if type(value) in kind.types]
        return next((kind for kind in near if kind.fits(value)), near[0]).deserialize(value)


def inside(where: str | int, field: fields.Field[Any], value: Any) -> None:
    """Check a member of an object or array; its fault is told as the fault of that member."""
    try:
        field.deserialize(value)
    except ValidationError as error:
        raise ValidationError({where: error.messages}) from error


def between(least: float, most: float) -> validate.Range:
    return validate.Range(least, most, error=f"must be between {least} and {most}, not {{input}}")


def with_length(options: dict[str, Any], unit: str, least: int | None, most: int | None) -> dict[str, Any]:
    """A field's options, with the validators of its length before its others."""
    lengths = [
        *([validate.Length(min=least, error=f"must have at least {least} {unit}(s)")] if least is not None else ()),
        *([validate.Length(max=most, error=f"must have at most {most} {unit}s")] if most is not None else ()),
    ]
    return {**options, "validate": [*lengths, *options.get("validate", ())]}
