"""
Parsers of configuration values, from the environment (always text) or from a YAML file (typed).

A parser returns the value, or raises ValueError with what the value must be. The message never quotes the raw value,
which may be a secret in the wrong variable. Nothing here may import ssl or requests: gunicorn reads the configuration
before gevent patches the standard library.
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
SIZE = re.compile(r"(\d{1,15})\s*([a-z]*)", re.IGNORECASE)
SIZE_UNITS = {"": 1, "b": 1, "k": 1 << 10, "kb": 1 << 10, "m": 1 << 20, "mb": 1 << 20, "g": 1 << 30, "gb": 1 << 30}
# The grammar of limits.parse_many, which cannot be called here because the package `limits` imports ssl. Stricter in one
# point: parse_many reads a period of 0 as 1.
RATE_LIMIT = r"\s*[0-9]+\s*(/|\s*per\s*)\s*([1-9][0-9]*)?\s*(second|minute|hour|day|month|year)s?\s*"
RATE_LIMITS = re.compile(rf"{RATE_LIMIT}([,;|]{RATE_LIMIT})*", re.IGNORECASE)
HOST = re.compile(r"[0-9a-zA-Z.:_-]+")
# What CORS_ORIGINS may list beside `*`: an origin, or one whose host begins with `*.`. Case and a slash at the end do not matter.
ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://((?:\*\.)?[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?/?")
ALLOWED_HOST = re.compile(r"(?:\*\.)?[a-z0-9._-]+|\[[0-9a-f:.]+\]")
DEFAULT_PORTS = {"http": "80", "https": "443"}
# LiteLLM's reference to an environment variable: https://docs.litellm.ai/docs/proxy/configs.
REFERENCE = "os.environ/"
# Any other empty variable counts as unset: a copied .env.example may have lines such as `PORT=`.
EMPTY_MEANS_NONE = ("RATE_LIMIT", "CORS_ORIGINS")


def read_variable(environ: Mapping[str, str], name: str) -> str | None:
    """The stripped value of a variable; None where it is unset or empty."""
    raw = environ.get(name, "").strip()
    return raw if raw or (name in environ and name in EMPTY_MEANS_NONE) else None


def is_set(raw: Any) -> bool:
    """Whether a key of the YAML file has a value; as with a variable, an empty one counts as unset."""
    return raw is not None and raw != ""


class ConfigReport:
    """The errors and warnings of one reading of the configuration. Errors begin with the path of the value."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.warnings: list[str] = []

    def parse(self, path: str, parser: Parser, raw: Any, default: Any = None) -> Any:
        """The parsed value; where the parser raises ValueError, an error is recorded and `default` is returned."""
        try:
            return parser(raw)
        except ValueError as error:
            self.errors.append(f"{path}: {error}")
            return default


def from_environment(parser: Parser, environ: Mapping[str, str]) -> Parser:
    """`parser` for a value of the YAML file that may be, or contain, a reference `os.environ/NAME`."""

    def resolve(raw: Any) -> Any:
        if isinstance(raw, dict):
            return {key: resolve(value) for key, value in raw.items()}
        if isinstance(raw, list):
            return [resolve(value) for value in raw]
        if not isinstance(raw, str) or not raw.startswith(REFERENCE):
            return raw
        name = raw.removeprefix(REFERENCE)
        if not environ.get(name, "").strip():
            raise ValueError(f"{name} is not set in the environment")
        return environ[name].strip()

    return lambda raw: parser(resolve(raw))


def integer(minimum: int, maximum: int | None = None) -> Parser:
    bounds = f"from {minimum} to {maximum}" if maximum is not None else f"of at least {minimum}"

    def parse(raw: Any) -> int:
        # bool is a subclass of int: `port: true` would be port 1. int() also accepts "8_000".
        if isinstance(raw, bool) or not re.fullmatch(r"[+-]?\d{1,15}", str(raw)):
            raise ValueError(f"must be a whole number {bounds}")
        value = int(raw)
        if value < minimum or (maximum is not None and value > maximum):
            raise ValueError(f"must be a whole number {bounds}")
        return value

    return parse


def number(minimum: float, *, exclusive: bool = False) -> Parser:
    """A finite number of at least `minimum`, or above it if `exclusive`."""
    bounds = f"above {minimum:g}" if exclusive else f"of at least {minimum:g}"

    def parse(raw: Any) -> float:
        try:
            value = math.nan if isinstance(raw, bool) else float(raw)
        except (TypeError, ValueError):
            value = math.nan
        # float() accepts "nan" and "inf"; as a timeout, a socket would refuse both.
        if not math.isfinite(value) or value < minimum or (exclusive and value == minimum):
            raise ValueError(f"must be a number {bounds}")
        return value

    return parse


positive_number = number(0, exclusive=True)


def boolean(raw: Any) -> bool:
    word = str(raw).lower()
    if word not in TRUE_WORDS + FALSE_WORDS:
        raise ValueError("must be on or off (1, 0, true, false, yes, no)")
    return word in TRUE_WORDS


def choice(*words: str) -> Parser:
    def parse(raw: Any) -> str:
        word = str(raw).lower()
        if word not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return word

    return parse


def size_in_bytes(raw: Any) -> int:
    """`20mb`, `512kb` or `1048576`; 1 kB is 1024 bytes."""
    match = SIZE.fullmatch(str(raw))
    if match is None or match[2].lower() not in SIZE_UNITS or int(match[1]) == 0:
        raise ValueError("must be a size such as 20mb, 512kb or a number of bytes")
    return int(match[1]) * SIZE_UNITS[match[2].lower()]


def text(raw: Any) -> str:
    if not isinstance(raw, str) or not raw.strip():
        raise ValueError("must be text")
    return raw.strip()


def mapping(raw: Any) -> dict[Any, Any]:
    match raw:
        case dict():
            return raw
    raise ValueError("must be a mapping")


def optional_mapping(raw: Any) -> dict[Any, Any]:
    return {} if raw is None else mapping(raw)


def optional_list(raw: Any) -> list[Any]:
    match raw:
        case None:
            return []
        case list():
            return raw
    raise ValueError("must be a list")


def comma_separated(raw: Any) -> tuple[str, ...]:
    return tuple(part for part in (part.strip() for part in str(raw).split(",")) if part)


def key_value_pairs(raw: Any) -> dict[str, str]:
    """`key=value,key=value`."""
    pairs = [part.partition("=") for part in comma_separated(raw)]
    if not all(key.strip() and value.strip() for key, _, value in pairs):
        raise ValueError("must be pairs such as gpt-4=anthropic/claude-sonnet-4-6, separated by commas")
    return {key.strip(): value.strip() for key, _, value in pairs}


def wildcard_name(raw: Any) -> str:
    """A model name with at most one `*`."""
    name = text(raw)
    if name.count("*") > 1:
        raise ValueError("may have at most one *")
    return name


def model_map(raw: Any) -> dict[str, str]:
    return {wildcard_name(alias): model for alias, model in key_value_pairs(raw).items()}


def secret(raw: Any) -> str:
    key = text(raw)
    # It is sent in a header: visible ASCII only (RFC 9110, section 5.5), and no space inside a bearer token (RFC 6750,
    # section 2.1).
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError("must be a key of printable ASCII characters without spaces")
    return key


def secrets(raw: Any) -> tuple[str, ...]:
    return tuple(secret(key) for key in comma_separated(raw))


def rate_limit(raw: Any) -> str:
    if raw and not RATE_LIMITS.fullmatch(str(raw)):
        raise ValueError("must be a limit such as '100 per 15 minutes' or '10/second;500/hour', or empty for none")
    return str(raw)


def host(raw: Any) -> str:
    if not HOST.fullmatch(text(raw)):
        raise ValueError("must be a host name or an address to listen on, without a port")
    return text(raw)


def origins(raw: Any) -> tuple[str, ...]:
    """Origins in lower case, without a default port; `*` for all of them."""
    return tuple(_origin(part) for part in comma_separated(raw))


def _origin(raw: str) -> str:
    if raw == "*":
        return raw
    match = ORIGIN.fullmatch(raw.lower())
    if match is None:
        raise ValueError(
            "must be *, or origins such as https://app.example.com or https://*.example.com, separated by commas"
        )
    scheme, name, port = match.groups()
    return f"{scheme}://{name}" + (f":{port}" if port and port != DEFAULT_PORTS.get(scheme) else "")


def host_names(raw: Any) -> tuple[str, ...]:
    """Host names in lower case, `*.` in front of a name for all below it."""
    names = tuple(part.lower().removesuffix(".") for part in comma_separated(raw))
    if not all(ALLOWED_HOST.fullmatch(name) for name in names):
        raise ValueError("must be host names without a port, such as gateway.lan or *.example.com, separated by commas")
    return names


def base_url(raw: Any) -> str:
    """An http or https URL without a slash at its end."""
    error = ValueError("must be a base URL that begins with http:// or https://, without ?, # and user:password@")
    url = text(raw)
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError where it is no number from 0 to 65535
    except ValueError:
        raise error from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isascii() or not url.isprintable():
        raise error
    # The adapter appends a path, which would become part of a query or fragment. RFC 3986, section 3.2.1, deprecates
    # passwords in URLs.
    if {" ", "?", "#"} & set(url) or "@" in parts.netloc:
        raise error
    # A label of a host name has 1 to 63 octets (RFC 1035, section 2.3.4). With others, socket.getaddrinfo raises
    # UnicodeError, which is no OSError.
    if any(not 0 < len(label) < 64 for label in parts.hostname.removesuffix(".").split(".")):
        raise error
    return url.rstrip("/")


def proxy_url(raw: Any) -> str:
    parts = urlsplit(text(raw))
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError("must be the URL of a proxy, http://[user:password@]host:port")
    return text(raw)


def path(raw: Any) -> Path:
    return Path(text(raw)).expanduser()


def certificates(raw: Any) -> str:
    """The path of a file or a folder of CA certificates."""
    if not Path(text(raw)).exists():
        raise ValueError("must be a file or a folder of certificates: it does not exist")
    return text(raw)
