"""
Which hosts and which web pages may use the gateway. Pure functions: strings in, a decision out.

Without API keys, whoever reaches the gateway may spend its providers' keys, and a browser on the same machine reaches
loopback on behalf of any web page: by requests to another origin, and by DNS rebinding, where the page's own host name
resolves to 127.0.0.1.
"""

import ipaddress
import re
from collections.abc import Collection, Iterable
from functools import lru_cache

# An origin as browsers serialise it: https://html.spec.whatwg.org/multipage/browsers.html#ascii-serialisation-of-an-origin
ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?", re.IGNORECASE)
# RFC 9110 section 7.2: uri-host [":" port]. RFC 3986 section 3.2.3: the port may be empty.
HOST = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]*))?", re.IGNORECASE)
DEFAULT_PORTS = {"http": "80", "https": "443"}
ANY = "*"
# Of a Host, and of an Origin, in characters: what is longer is no name, and is not kept in a cache.
MAX_LENGTH = 300


def host_is_allowed(host: str | None, allowed: Collection[str]) -> bool:
    """Whether a Host header, None if there is none, names this machine or one of ALLOWED_HOSTS, with any port."""
    if host is None:
        return True  # HTTP/1.0 has none, and every browser sends one
    match = HOST.fullmatch(host)
    # RFC 1035 section 2.3.4: a name has 255 octets at most.
    if match is None or len(host) > MAX_LENGTH:
        return False
    name = match[1].lower().removesuffix(".")
    return is_loopback(name) or any(_name_matches(name, pattern) for pattern in allowed)


def page_is_allowed(origin: str | None, fetch_site: str | None, host: str | None, patterns: Iterable[str]) -> bool:
    """
    Whether a request is of no browser, of a page of the gateway or of this machine, or of one that CORS_ORIGINS allows.

    `origin`, `fetch_site`, `host`: the headers Origin, Sec-Fetch-Site and Host. An Origin decides where there is one.
    """
    if origin is not None:
        return is_own_origin(origin, host) or origin_is_allowed(origin, patterns)
    # Browsers leave Origin out of a GET that no script may read. https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header
    # `none`: the user typed the URL. Pages of the same site as a loopback name are on this machine too.
    if fetch_site in (None, "same-origin", "none") or ANY in patterns:
        return True
    return fetch_site == "same-site" and host is not None and host_is_allowed(host, ())


def is_own_origin(origin: str, host: str | None) -> bool:
    """Whether a page of this origin was served by this machine, or by the host that the request is sent to."""
    page = ORIGIN.fullmatch(origin)
    if page is None or page[1].lower() not in DEFAULT_PORTS or len(origin) > MAX_LENGTH:
        return False
    if is_loopback(page[2].lower()):
        return True
    # The scheme is not compared: a proxy may have removed the TLS. A default port may be left out on either side.
    target, default = HOST.fullmatch(host or ""), DEFAULT_PORTS[page[1].lower()]
    return (
        target is not None and target[1].lower() == page[2].lower() and (target[2] or default) == (page[3] or default)
    )


def origin_is_allowed(origin: str, patterns: Iterable[str]) -> bool:
    """Whether CORS_ORIGINS, as gateway.config.parsers.origins returns them, have this origin. They are never regular expressions."""
    if ANY in patterns:
        return True
    match = ORIGIN.fullmatch(origin)
    if match is None:
        return False  # `null`, of sandboxed frames and files, is no origin that anybody could be told by
    scheme, host, port = match[1].lower(), match[2].lower(), match[3]
    end = "" if port is None or port == DEFAULT_PORTS.get(scheme) else f":{port}"
    for pattern in patterns:
        pattern_scheme, _, authority = pattern.partition("://")
        if pattern_scheme == scheme and authority.endswith(end) and _name_matches(host, authority.removesuffix(end)):
            return True
    return False


@lru_cache(64)
def is_loopback(name: str) -> bool:
    """Whether a name or address in lower case, an IPv6 address in brackets, is of this machine."""
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, section 6.3
        return True
    try:
        address = ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    # Not is_loopback, which is true for ::ffff:127.0.0.1 in some releases of Python.
    return address.is_loopback if address.version == 4 else str(address) == "::1"


def _name_matches(name: str, pattern: str) -> bool:
    """Whether `pattern` is this name, or `*.` and a suffix of it at a dot."""
    if pattern.startswith("*."):
        return name.endswith(pattern[1:]) and len(name) > len(pattern) - 1
    return name == pattern
