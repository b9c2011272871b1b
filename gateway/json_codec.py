"""
JSON in and out: orjson, without its one loss.

orjson reads an integer beyond 64 bits as a float. Such numbers are rare and never ours to round, so a text that may
hold one is read by the standard library, and the number travels as the text that it was.
"""

import json
from typing import Any

import orjson

DIGITS = bytes(byte in b"0123456789" for byte in range(256))
LONG_INTEGER = b"\1" * 19
"""What 19 digits become under DIGITS: to look for them so costs a twentieth of a regular expression."""
dumps = orjson.dumps


def loads(text: bytes) -> Any:
    """
    The value of a JSON text; an integer beyond 64 bits is an `orjson.Fragment`, which `dumps` writes as it was.

    Raises ValueError: no JSON, NaN, infinities, bad UTF-8, lone surrogates, nesting beyond some hundred levels.
    """
    value = orjson.loads(text)
    if LONG_INTEGER not in text.translate(DIGITS):
        return value
    try:
        return json.loads(text, parse_int=_integer)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _integer(digits: str) -> Any:
    number = int(digits) if len(digits) < 21 else 1 << 64
    return number if -(1 << 63) <= number < 1 << 64 else orjson.Fragment(digits)
