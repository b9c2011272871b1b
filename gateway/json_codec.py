"""
JSON in and out: orjson, without its one loss.

orjson reads an integer beyond 64 bits as a float. Such numbers are rare, but not the gateway's to round: a text that may
contain one is parsed by the standard library, and the number is kept as its text.
"""

import json
from typing import Any

import orjson

# Maps digits to 1 and all other bytes to 0. The smallest integer beyond 64 bits has 19 digits, and bytes.translate with a
# search for 19 digits costs a twentieth of a regular expression.
IS_DIGIT = bytes(byte in b"0123456789" for byte in range(256))
LONG_INTEGER = b"\1" * 19
dumps = orjson.dumps
# Levels in what an upstream sends: orjson reads some hundred more than the 254 that it writes, and a response has levels
# around what it passes on.
MAX_LEVELS, SPARE_LEVELS = 200, 54


def loads(text: bytes) -> Any:
    """
    The value of a JSON text; an integer beyond 64 bits is an `orjson.Fragment`, which `dumps` writes unchanged.

    Raises ValueError: no JSON, NaN, infinities, invalid UTF-8, lone surrogates, nesting beyond some hundred levels.
    """
    value = orjson.loads(text)
    if LONG_INTEGER not in text.translate(IS_DIGIT):
        return value
    # json's own limit differs between Python 3.11 and 3.12: the bound is set here.
    require_shallow(text, value)
    return json.loads(text, parse_int=_integer)


def require_shallow(text: bytes, value: Any) -> None:
    """Raise ValueError where the value of a JSON text has more than MAX_LEVELS."""
    if text.count(b"[") + text.count(b"{") > MAX_LEVELS:
        for _ in range(SPARE_LEVELS):
            value = [value]
        try:
            dumps(value)
        except TypeError as error:
            raise ValueError("nested too deeply") from error


def _integer(digits: str) -> Any:
    # 20 digits hold every 64-bit integer; int() of many more would take quadratic time.
    number = int(digits) if len(digits) < 21 else 1 << 64
    return number if -(1 << 63) <= number < 1 << 64 else orjson.Fragment(digits)
