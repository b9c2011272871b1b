"""
The values of a configuration, as the environment (text) or a YAML file (typed) has them.

Each reader takes what was written and raises ValueError to say what it has to be: never what it was, which may be a
secret in the wrong place. No import here may pull in ssl or requests: gunicorn reads the configuration before gevent
has patched them.
"""

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Parser = Callable[[Any], Any]

TRUE_WORDS = ("1", "true", "yes", "on")
FALSE_WORDS = ("0", "false", "no", "off")
BYTES = {"": 1, "b": 1, "k": 1 << 10, "kb": 1 << 10, "m": 1 << 20, "mb": 1 << 20, "g": 1 << 30, "gb": 1 << 30}
SIZE = re.compile(r"(\d{1,15})\s*([a-z]*)", re.IGNORECASE)
REDIS_SCHEMES = frozenset(
    f"{store}{kind}" for store in ("redis", "valkey") for kind in ("", "s", "+unix", "+cluster", "+sentinel")
)
ONE_LIMIT = r"\s*[0-9]+\s*(/|\s*per\s*)\s*([1-9][0-9]*)?\s*(second|minute|hour|day|month|year)s?\s*"
RATE_LIMITS = re.compile(rf"{ONE_LIMIT}([,;|]{ONE_LIMIT})*", re.IGNORECASE)
"""What limits.parse_many takes; that itself would import ssl."""
EMPTY_MEANS_NONE = ("RATE_LIMIT", "CORS_ORIGINS")
"""Variables whose empty value says `none`; elsewhere it says nothing."""


def read_variable(environ: Mapping[str, str], name: str) -> str | None:
    """What a variable says; None where it says nothing."""
    written = environ.get(name, "").strip()
    return written if written or (name in environ and name in EMPTY_MEANS_NONE) else None


class ConfigReport:
    """One reading of the configuration: what was wrong, and what deserves a warning."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.warnings: list[str] = []

    def value(self, path: str, reader: Parser, written: Any, default: Any = None) -> Any:
        """What `reader` makes of `written`; a fault at `path`, and `default`, where it is nothing good."""
        try:
            return reader(written)
        except ValueError as fault:
            self.errors.append(f"{path}: {fault}")
            return default


def integer(least: int, most: int | None = None) -> Parser:
    """A whole number."""
    span = f"from {least} to {most}" if most is not None else f"of at least {least}"

    def reader(written: Any) -> int:
        if isinstance(written, bool) or not re.fullmatch(r"[+-]?\d{1,15}", str(written)):
            raise ValueError(f"must be a whole number {span}")
        number = int(written)
        if number < least or (most is not None and number > most):
            raise ValueError(f"must be a whole number {span}")
        return number

    return reader


def number(least: float, *, open: bool = False) -> Parser:
    """A finite number of at least `least`, or, where `open`, above it."""
    span = f"above {least:g}" if open else f"of at least {least:g}"

    def reader(written: Any) -> float:
        try:
            value = math.nan if isinstance(written, bool) else float(written)
        except (TypeError, ValueError):
            value = math.nan
        if not math.isfinite(value) or value < least or (open and value == least):
            raise ValueError(f"must be a number {span}")
        return value

    return reader


def boolean(written: Any) -> bool:
    word = str(written).lower()
    if word not in TRUE_WORDS + FALSE_WORDS:
        raise ValueError("must be on or off (1, 0, true, false, yes, no)")
    return word in TRUE_WORDS


def choice(*words: str) -> Parser:
    def reader(written: Any) -> str:
        word = str(written).lower()
        if word not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return word

    return reader


def size(written: Any) -> int:
    """Bytes: `20mb`, `512kb`, `1048576`; a kilobyte has 1024."""
    match = SIZE.fullmatch(str(written))
    if match is None or match[2].lower() not in BYTES or int(match[1]) == 0:
        raise ValueError("must be a size such as 20mb, 512kb or a number of bytes")
    return int(match[1]) * BYTES[match[2].lower()]


def text(written: Any) -> str:
    if not isinstance(written, str) or not written.strip():
        raise ValueError("must be text")
    return written.strip()


def comma_separated(written: Any) -> tuple[str, ...]:
    """What stands between commas."""
    return tuple(part for part in (part.strip() for part in str(written).split(",")) if part)


def pairs(written: Any) -> dict[str, str]:
    """`left=right` between commas."""
    halves = [part.partition("=") for part in comma_separated(written)]
    if not all(left.strip() and right.strip() for left, _, right in halves):
        raise ValueError("must be pairs such as gpt-4=anthropic/claude-sonnet-4-6, separated by commas")
    return {left.strip(): right.strip() for left, _, right in halves}


def secret(written: Any) -> str:
    """A key, as a header can carry it."""
    key = text(written)
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError("must be a key of printable ASCII characters without spaces")
    return key


def secrets(written: Any) -> tuple[str, ...]:
    return tuple(secret(key) for key in comma_separated(written))


def rate_limit(written: Any) -> str:
    if written and not RATE_LIMITS.fullmatch(str(written)):
        raise ValueError("must be a limit such as '100 per 15 minutes' or '10/second;500/hour', or empty for none")
    return str(written)


def web_url(written: Any) -> str:
    """A base URL, without the slash at its end."""
    wrong = ValueError("must be a base URL that begins with http:// or https://, without ?, # and user:password@")
    url = text(written)
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise wrong from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isascii() or not url.isprintable():
        raise wrong
    if {" ", "?", "#"} & set(url) or "@" in parts.netloc:
        raise wrong
    if any(not 0 < len(label) < 64 for label in parts.hostname.removesuffix(".").split(".")):
        raise wrong
    return url.rstrip("/")


def redis_url(written: Any) -> str:
    """The URL of a Redis or Valkey, which speak one protocol: redis-py serves both."""
    scheme, found, rest = text(written).partition("://")
    if scheme.lower() not in REDIS_SCHEMES or not found or not rest:
        raise ValueError("must be a URL such as redis://localhost:6379/0 (or rediss, valkey, valkeys)")
    return f"{scheme.lower().replace('valkey', 'redis')}://{rest}"


def proxy_url(written: Any) -> str:
    """Of a forward proxy, which may want a user and a password."""
    parts = urlsplit(text(written))
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError("must be the URL of a proxy, http://[user:password@]host:port")
    return text(written)


def certificates(written: Any) -> str:
    if not Path(text(written)).exists():
        raise ValueError("must be a file or a folder of certificates: there is none")
    return text(written)


def pattern(written: Any) -> str:
    """A model name with at most one star."""
    name = text(written)
    if name.count("*") > 1:
        raise ValueError("may have one * at most")
    return name
