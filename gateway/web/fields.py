"""
The strict fields that the schemas are made of, named as in JSON Schema.

marshmallow's own fields convert ("0.5" becomes 0.5, "yes" becomes True) and return new values. These check a value and
return it unchanged. Checking stops at the first error: a list of all errors could be as large as the body.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from marshmallow import INCLUDE, Schema, ValidationError, fields

from gateway.web.validators import EnumValidator, FullMatch, alternatives, quote, range_validator, with_length

TYPE_NAMES: Mapping[type, str] = {
    type(None): "null",
    bool: "a boolean",
    int: "an integer",
    float: "a fraction",
    str: "a string",
    list: "an array",
    dict: "an object",
}
MIN_INTEGER, MAX_INTEGER = -(1 << 63), (1 << 63) - 1


def type_name(value: Any) -> str:
    """The JSON type of a value, with its article. json_codec reads integers beyond 64 bits as orjson.Fragment."""
    return TYPE_NAMES.get(type(value), "an integer beyond 64 bits")


class StrictField(fields.Field[Any]):
    """A field for values of the JSON types in `types`; `expected` names them in error messages."""

    types: tuple[type, ...] = ()
    expected = ""
    default_error_messages = {  # noqa: RUF012 - as marshmallow has it
        "required": "is required",
        "null": "must not be null",
        "type": "must be {expected}, not {actual}",
    }

    def matches(self, value: Any) -> bool:
        """Whether a value is of this field's type, valid or not."""
        return type(value) in self.types

    # marshmallow's Field.deserialize handles null, calls this with (value, attr, data), then runs the validators.
    def _deserialize(self, value: Any, *context: Any, **kwargs: Any) -> Any:  # noqa: ARG002
        # By the exact type: isinstance() takes a bool for an int.
        if type(value) not in self.types:
            raise self.make_error("type", expected=self.expected, actual=type_name(value))
        return value


class String(StrictField, fields.String):
    types = (str,)
    expected = "a string"

    def __init__(self, *, min_length: int | None = None, max_length: int | None = None, **options: Any) -> None:
        super().__init__(**with_length(options, "character", min_length, max_length))


class Identifier(String):
    """The name of a function or of a JSON schema, as OpenAI restricts it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=64, validate=[FullMatch(re.compile("^[a-zA-Z0-9_-]*$"))], **options)


class Enum(String):
    """One of a few strings."""

    def __init__(self, *choices: str, **options: Any) -> None:
        super().__init__(validate=[EnumValidator(choices)], **options)
        self.expected = alternatives(choices)


class Boolean(StrictField, fields.Boolean):
    types = (bool,)
    expected = "a boolean"


class Integer(StrictField, fields.Integer):
    """An integer, of 64 bits unless its bounds are narrower. To JSON Schema, 2.0 is one, too (Validation 2020-12, section 6.1.1)."""

    types = (int,)
    expected = "an integer"

    def __init__(self, minimum: int = MIN_INTEGER, maximum: int = MAX_INTEGER, **options: Any) -> None:
        super().__init__(validate=[range_validator(minimum, maximum)], **options)

    def matches(self, value: Any) -> bool:
        return type(value) is int or (type(value) is float and value.is_integer())

    def _deserialize(self, value: Any, *context: Any, **kwargs: Any) -> Any:
        return value if self.matches(value) else super()._deserialize(value, *context, **kwargs)


class Number(StrictField, fields.Float):
    types = (float, int)
    expected = "a number"

    def __init__(self, minimum: float, maximum: float, **options: Any) -> None:
        super().__init__(validate=[range_validator(minimum, maximum)], **options)


class Map(StrictField, fields.Dict):
    """An object with any keys, whose values are all of one kind."""

    types = (dict,)
    expected = "an object"

    def __init__(
        self,
        value: StrictField | None = None,
        *,
        max_keys: int | None = None,
        max_key_length: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(values=value, **options)
        self.value, self.max_keys, self.max_key_length = value, max_keys, max_key_length

    def _deserialize(self, value: Any, *context: Any, **kwargs: Any) -> Any:
        super()._deserialize(value, *context, **kwargs)
        if self.max_keys is not None and len(value) > self.max_keys:
            raise ValidationError(f"must have at most {self.max_keys} keys, not {len(value)}")
        for key, member in value.items():
            if self.max_key_length is not None and len(key) > self.max_key_length:
                raise ValidationError(f"must have keys of at most {self.max_key_length} characters, not {quote(key)}")
            if self.value is not None:
                check_member(key, self.value, member)
        return value


class Array(StrictField, fields.List[Any]):
    """An array whose items are all of one kind. Items for which `fast_check` is true are valid, and not checked further."""

    types = (list,)
    expected = "an array"

    def __init__(
        self,
        item: StrictField,
        *,
        min_length: int | None = None,
        max_length: int | None = None,
        fast_check: Callable[[Any], bool] = lambda _: False,
        **options: Any,
    ) -> None:
        super().__init__(item, **with_length(options, "item", min_length, max_length))
        self.item, self.fast_check = item, fast_check

    def matches(self, value: Any) -> bool:
        return type(value) is list and (not value or self.item.matches(value[0]))

    def _deserialize(self, value: Any, *context: Any, **kwargs: Any) -> Any:
        super()._deserialize(value, *context, **kwargs)
        fast_check = self.fast_check
        for index, item in enumerate(value):
            if not fast_check(item):
                check_member(index, self.item, item)
        return value


class ObjectSchema(Schema):
    """
    An object with the declared fields and any others.

    marshmallow's `load` visits every declared field and builds a new object. A chat request has a few of 38 fields: this
    one visits those that the object has, in the object's order.
    """

    class Meta:
        unknown = INCLUDE

    def errors_between_fields(self, data: dict[str, Any]) -> Iterator[tuple[str, str]]:  # noqa: ARG002
        """(field, message) for each value that is valid in itself but not beside another field's."""
        yield from ()

    def load(self, data: Any, **options: Any) -> Any:  # noqa: ARG002
        """The same object. Raises ValidationError for its first error."""
        if type(data) is not dict:
            raise ValidationError(f"must be an object, not {type_name(data)}")
        declared = self.load_fields
        for name, value in data.items():
            if name in declared:
                check_member(name, declared[name], value)
        for name, field in declared.items():
            if field.required and name not in data:
                raise ValidationError({name: ["is required"]})
        for name, message in self.errors_between_fields(data):
            raise ValidationError({name: [message]})
        return data


class Object(StrictField, fields.Nested):
    """An object of one schema."""

    types = (dict,)
    expected = "an object"

    def __init__(self, schema: Callable[[], ObjectSchema], **options: Any) -> None:
        self.object_schema = schema()
        super().__init__(self.object_schema, **options)

    def _deserialize(self, value: Any, *context: Any, **kwargs: Any) -> Any:
        super()._deserialize(value, *context, **kwargs)
        return self.object_schema.load(value)


class TaggedUnion(StrictField):
    """An object of one of several schemas, selected by its member `tag`: OpenAPI's oneOf with a discriminator."""

    types = (dict,)
    expected = "an object"

    def __init__(self, tag: str, schemas: Mapping[str, Callable[[], ObjectSchema]], **options: Any) -> None:
        super().__init__(**options)
        self.tag = tag
        self.schemas = {choice: schema() for choice, schema in schemas.items()}
        self.tag_field = Enum(*self.schemas, required=True)

    def _deserialize(self, value: Any, *context: Any, **kwargs: Any) -> Any:
        super()._deserialize(value, *context, **kwargs)
        if self.tag not in value:
            raise ValidationError({self.tag: ["is required"]})
        check_member(self.tag, self.tag_field, value[self.tag])
        return self.schemas[value[self.tag]].load(value)


class AnyOf(StrictField):
    """A value of one of several fields, selected by its JSON type (that of the first item, in an array)."""

    def __init__(self, *options: StrictField, **field_options: Any) -> None:
        super().__init__(**field_options)
        self.options = options
        self.types = tuple({type for option in options for type in option.types})
        self.expected = " or ".join(dict.fromkeys(option.expected for option in options))

    def matches(self, value: Any) -> bool:
        return any(option.matches(value) for option in self.options)

    def _deserialize(self, value: Any, *context: Any, **kwargs: Any) -> Any:
        super()._deserialize(value, *context, **kwargs)
        candidates = [option for option in self.options if type(value) in option.types]
        match = next((option for option in candidates if option.matches(value)), candidates[0])
        return match.deserialize(value)


def check_member(name: str | int, field: fields.Field[Any], value: Any) -> None:
    """Check a member of an object or an item of an array. Raises ValidationError, nested under its name or index."""
    try:
        field.deserialize(value)
    except ValidationError as error:
        raise ValidationError({name: error.messages}) from error
