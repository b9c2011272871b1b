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
def test_numbers_of_any_length_survive_to_the_letter(text):
    assert dumps(loads(text)) == text


def test_integers_of_64_bits_stay_numbers():
    assert loads(b'{"seed":9223372036854775807}') == {"seed": 9223372036854775807}


@pytest.mark.parametrize("text", [b"{", b"NaN", b"Infinity", b"1e999", b'"\xff"', b'"\\ud800"', b"[" * 10_000, b""])
def test_what_is_no_json_is_a_value_error(text):
    with pytest.raises(ValueError):  # noqa: PT011 - whatever the parser says
        loads(text)


def test_a_long_number_nested_too_deeply_is_a_value_error():
    deep = b"[" * 1020 + b"1234567890123456789012" + b"]" * 1020
    assert dumps(loads(deep[1000:-1000])) == deep[1000:-1000]
    with pytest.raises(ValueError, match="nested"):
        loads(deep)
