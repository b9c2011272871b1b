"""JSON without loss."""

import pytest

from gateway.json_codec import dumps, loads


@pytest.mark.parametrize(
    "text",
    [
        b'{"n":123456789012345678901234567890}',
        b'{"n":-9223372036854775809,"m":[18446744073709551616]}',
        b'{"n":18446744073709551615,"m":-9223372036854775808}',
        b'{"text":"1234567890123456789012345"}',
    ],
)
def test_an_integer_of_any_length_is_written_as_it_was_read(text):
    assert dumps(loads(text)) == text


def test_an_integer_of_64_bits_is_a_number():
    assert loads(b'{"seed":9223372036854775807}') == {"seed": 9223372036854775807}


@pytest.mark.parametrize("text", [b"{", b"NaN", b"Infinity", b"1e999", b'"\xff"', b'"\\ud800"', b"[" * 10_000, b""])
def test_a_text_that_is_no_json_is_a_value_error(text):
    with pytest.raises(ValueError):  # noqa: PT011 - whatever the parser says
        loads(text)


def test_a_long_number_nested_too_deeply_is_a_value_error():
    deep = b"[" * 1020 + b"1234567890123456789012" + b"]" * 1020
    assert dumps(loads(deep[1000:-1000])) == deep[1000:-1000]
    with pytest.raises(ValueError, match="nested"):
        loads(deep)
