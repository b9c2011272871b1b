"""The URL of a Redis or Valkey, which redis-py and the package `limits` would check at the first connection only."""

import re
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

from gateway.config.parsers import text

# The URL schemes of the package `limits`: https://limits.readthedocs.io/en/stable/storage.html.
SCHEMES = ("redis", "rediss", "redis+unix", "redis+cluster", "redis+sentinel")
# A host and its port.
HOST = re.compile(r"([\w.-]+|\[[0-9a-fA-F:.]+\])(:(\d{1,5}))?", re.ASCII)
# The options of redis-py that its URL may have. redis-py fails at each connection over others, and ignores a database that is no
# number: https://redis.readthedocs.io/en/stable/connections.html
OPTIONS = {
    **dict.fromkeys(("db", "max_connections"), re.compile(r"\d{1,9}")),
    **dict.fromkeys(("socket_timeout", "socket_connect_timeout", "health_check_interval"), re.compile(r"\d{1,9}")),
    "protocol": re.compile("[23]"),
    "client_name": re.compile(r"[!-~]{1,64}"),
    "ssl_cert_reqs": re.compile("none|optional|required"),
    "ssl_check_hostname": re.compile("(?i:true|false|yes|no|1|0)"),
    **dict.fromkeys(("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_password"), re.compile(".+")),
}


def redis_url(raw: Any) -> str:
    scheme, separator, rest = text(raw).partition("://")
    # Valkey speaks the protocol of Redis: redis-py serves both, and `limits` would want valkey-py for the other schemes.
    scheme = scheme.lower().replace("valkey", "redis")
    if scheme not in SCHEMES or not separator or not rest:
        raise ValueError("must be a URL such as redis://localhost:6379/0 (or rediss, valkey, valkeys)")
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        options = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError as error:
        raise ValueError("must be a URL: its brackets or its options are malformed") from error
    check_address(scheme.partition("+")[2], parts)
    for name, value in options:
        if name not in OPTIONS or (name.startswith("ssl_") and scheme != "rediss"):
            raise ValueError(f"may have no options but {', '.join(OPTIONS)}; ssl_ options with rediss")
        if not OPTIONS[name].fullmatch(value):
            raise ValueError(f"has an invalid value for the option {name}")
    return f"{scheme}://{rest}"


def check_address(kind: str, parts: SplitResult) -> None:
    """Raise ValueError unless a Redis URL has the hosts and the path that its kind of server needs."""
    if parts.fragment:
        raise ValueError("may have no #: it is written as %23")
    hosts, path = parts.netloc.rpartition("@")[2], parts.path.strip("/")
    if kind == "unix":
        if hosts or not path:
            raise ValueError("must have the path of a socket, as in redis+unix:///run/redis.sock")
        return
    matches = [HOST.fullmatch(host) for host in hosts.split(",")]
    ports = [int(match[3]) if match[3] else None for match in matches if match]
    if len(ports) < len(matches) or any(port is not None and not 0 < port < 65536 for port in ports):
        raise ValueError("must have a host, with a port from 1 to 65535 if it has one")
    if kind and None in ports:
        raise ValueError("must have the port of each host, as in redis+cluster://one:6379,two:6379")
    if not kind and len(ports) > 1:
        raise ValueError("has several hosts, which only redis+cluster and redis+sentinel may have")
    if kind == "sentinel" and not path:
        raise ValueError("must have the name of the service, as in redis+sentinel://one:26379,two:26379/main")
    if not kind and path and not re.fullmatch(r"\d{1,9}", path):
        raise ValueError("must have the number of a database as its path, or none")
