"""References within a JSON schema."""

import pytest

from gateway.dialects.json_pointer import resolve

SCHEMA = {"$defs": {"Point": {"type": "object"}, "a/b": 1, "m~n": 2}, "items": [3]}


@pytest.mark.parametrize(
    ("ref", "value"),
    [
        ("#", SCHEMA),
        ("#/$defs/Point", {"type": "object"}),
        ("#/$defs/a~1b", 1),
        ("#/$defs/m~0n", 2),
        ("#/$defs/Line", None),
        ("#/$defs/Point/type/x", None),
        ("#/items/0", None),
        ("https://example.com/schema#/$defs/Point", None),
    ],
)
def test_a_reference_resolves_to_a_value_in_the_schema_or_to_none(ref, value):
    assert resolve(ref, SCHEMA) == value
