"""
The settings of the gateway: one frozen object, from the environment and an optional YAML file, read and checked once.

The only reader of the environment. gunicorn.conf.py imports it before gevent has patched the standard library, so that
nothing here may import ssl, requests or flask. docs/configuration.md explains every variable.
"""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dotenv import dotenv_values

from gateway.catalog.registry import ModelRegistry
from gateway.catalog.routing_policy import DEFAULT_POLICY, FALLBACK_KINDS, Policy
from gateway.catalog.targets import Provider, Target
from gateway.catalog.vendors import ECHO
from gateway.config import enabled_providers, yaml_file
from gateway.config.parsers import (
    ConfigReport,
    Parser,
    boolean,
    certificates,
    choice,
    comma_separated,
    integer,
    number,
    pairs,
    pattern,
    proxy_url,
    rate_limit,
    read_variable,
    redis_url,
    secrets,
    size,
    text,
)

PROXY_NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
LOOPBACK = "127.0.0.1"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - with API keys configured, that is what a server is for
HOST = re.compile(r"[0-9a-zA-Z.:_-]+")


class ConfigurationError(Exception):
    """Everything that is wrong with the configuration: one fault a line, each with its path."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    Times are in seconds, sizes in bytes. `models` are the targets of each configured model name, a name may have one
    star; `aliases` are names, which may have one star, for models. `warnings` are for the log of the start.
    """

    host: str = LOOPBACK
    port: int = 8000
    workers: int = 1
    worker_class: str = "gevent"
    threads: int = 32
    connections: int = 4096
    trusted_proxies: int = 0
    data_dir: Path = Path("data")
    client_keys: tuple[str, ...] = field(default=(), repr=False)
    auth: bool = False
    rate_limit: str = "100 per 15 minutes"
    redis_url: str | None = field(default=None, repr=False)
    max_body: int = 20 << 20
    body_timeout: float = 30.0
    cors_origins: tuple[str, ...] = ("*",)
    log_level: str = "info"
    log_format: str = "json"
    request_timeout: float = 600.0
    first_content_timeout: float = 120.0
    idle_timeout: float = 120.0
    breakers: bool = True
    health_check_interval: float = 60.0
    connect_timeout: float = 10.0
    retry_max_attempts: int = 3
    strict: bool = False
    echo_pace: float = 0.02
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    no_proxy: str = ""
    ca_bundle: str | None = None
    graceful_timeout: int = 30
    keepalive: int = 75
    providers: Mapping[str, Provider] = field(default_factory=dict)
    models: Mapping[str, tuple[Target, ...]] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    routing_order: tuple[str, ...] = ()
    policies: Mapping[str, Policy] = field(default_factory=dict)
    policy: Policy = DEFAULT_POLICY
    warnings: tuple[str, ...] = ()

    @property
    def max_calls_in_flight(self) -> int:
        """How many calls one worker may hold: fewer than it can, so that /health is answered beside them."""
        return max(1, self.threads - 2 if self.worker_class == "gthread" else self.connections - 96)


def host(written: Any) -> str:
    if not HOST.fullmatch(text(written)):
        raise ValueError("must be a host name or an address to listen on, without a port")
    return text(written)


def path(written: Any) -> Path:
    return Path(text(written)).expanduser()


def model_map(written: Any) -> dict[str, str]:
    return {pattern(left): right for left, right in pairs(written).items()}


VARIABLES: Mapping[str, tuple[str, Parser]] = {
    "HOST": ("host", host),
    "PORT": ("port", integer(1, 65535)),
    "WEB_CONCURRENCY": ("workers", integer(1, 1024)),
    "GATEWAY_WORKER_CLASS": ("worker_class", choice("gevent", "gthread")),
    "GATEWAY_THREADS": ("threads", integer(1, 4096)),
    "GATEWAY_CONNECTIONS": ("connections", integer(1, 1_000_000)),
    "GRACEFUL_TIMEOUT": ("graceful_timeout", integer(1, 86400)),
    "KEEPALIVE": ("keepalive", integer(0, 86400)),
    "TRUSTED_PROXIES": ("trusted_proxies", integer(0, 16)),
    "GATEWAY_DATA": ("data_dir", path),
    "RATE_LIMIT": ("rate_limit", rate_limit),
    "REDIS_URL": ("redis_url", redis_url),
    "MAX_BODY": ("max_body", size),
    "BODY_TIMEOUT": ("body_timeout", number(0, open=True)),
    "CORS_ORIGINS": ("cors_origins", comma_separated),
    "LOG_LEVEL": ("log_level", choice("debug", "info", "warning", "error", "critical")),
    "LOG_FORMAT": ("log_format", choice("json", "console")),
    "REQUEST_TIMEOUT": ("request_timeout", number(0, open=True)),
    "FIRST_CONTENT_TIMEOUT": ("first_content_timeout", number(0, open=True)),
    "SILENCE_TIMEOUT": ("idle_timeout", number(0, open=True)),
    "BREAKER": ("breakers", boolean),
    "HEALTH_CHECK_INTERVAL": ("health_check_interval", number(0)),
    "CONNECT_TIMEOUT": ("connect_timeout", number(0, open=True)),
    "RETRY_MAX_ATTEMPTS": ("retry_max_attempts", integer(1, 100)),
    "STRICT_PARAMS": ("strict", boolean),
    "GATEWAY_ECHO_PACE": ("echo_pace", number(0)),
    "NO_PROXY": ("no_proxy", text),
    "REQUESTS_CA_BUNDLE": ("ca_bundle", certificates),
}
"""What sets one field by itself."""
COMBINED_VARIABLES: Mapping[str, Parser] = {
    "VALID_API_KEYS": secrets,
    "GATEWAY_AUTH": boolean,
    "GATEWAY_CONFIG": text,
    "GATEWAY_ECHO": boolean,
    "MODEL_MAP": model_map,
    "ROUTING_ORDER": comma_separated,
    "HTTP_PROXY": proxy_url,
    "HTTPS_PROXY": proxy_url,
}
"""What sets a field together with other things."""


def environment() -> dict[str, str]:
    """The environment as it is now, and below it what `.env` says: read anew each time, nothing is written back.

    The names of proxies are usual in small letters too.
    """
    written = {name: value for name, value in dotenv_values(".env").items() if value is not None}
    small = {name: os.environ[name.lower()] for name in PROXY_NAMES if name.lower() in os.environ}
    return {**written, **small, **os.environ}


def read(environ: Mapping[str, str]) -> Settings:
    """The settings that `environ` and the file it names make. Raises ConfigurationError with every fault."""
    report = ConfigReport()
    alone = _values(environ, {name: reader for name, (_, reader) in VARIABLES.items()}, report)
    joined = _values(environ, COMBINED_VARIABLES, report)
    default_providers = enabled_providers.default_providers(environ, report)
    file = _file(joined.get("GATEWAY_CONFIG"), environ, default_providers, report)
    names = _names(
        enabled_providers.enabled(environ, default_providers), default_providers[ECHO.name], file, joined, report
    )
    keys = (*joined.get("VALID_API_KEYS", ()), *((file.master_key,) if file.master_key else ()))
    access = _access(alone.get("HOST"), tuple(dict.fromkeys(keys)), joined.get("GATEWAY_AUTH"), report)
    _check_names(names, report)
    _warn_of_idle(environ, names, report)
    if report.errors:
        raise ConfigurationError(report.errors)
    fields = {VARIABLES[name][0]: value for name, value in alone.items()}
    proxies = {scheme: url for scheme in ("http", "https") if (url := joined.get(f"{scheme.upper()}_PROXY"))}
    told = {"proxies": MappingProxyType(proxies), "warnings": tuple(report.warnings)}
    return Settings(**{**file.scalars, **fields, **names, **access, **told})


def _values(environ: Mapping[str, str], readers: Mapping[str, Parser], report: ConfigReport) -> dict[str, Any]:
    """What the variables say, those that say something, and nothing wrong."""
    written = {name: read_variable(environ, name) for name in readers}
    found = {name: report.value(name, readers[name], text) for name, text in written.items() if text is not None}
    return {name: value for name, value in found.items() if value is not None}


def _file(
    name: str | None, environ: Mapping[str, str], default_providers: Mapping[str, Provider], report: ConfigReport
) -> yaml_file.ConfigFile:
    if name is None:
        return yaml_file.ConfigFile()
    try:
        written = Path(name).expanduser().read_text(encoding="utf-8")
    except OSError as error:
        report.errors.append(f"GATEWAY_CONFIG: {name}: {error.strerror}")
        return yaml_file.ConfigFile()
    except UnicodeDecodeError:
        report.errors.append(f"GATEWAY_CONFIG: {name}: is not UTF-8")
        return yaml_file.ConfigFile()
    return yaml_file.read(name, written, environ, default_providers, report)


def _names(
    on: Mapping[str, Provider],
    echo: Provider,
    file: yaml_file.ConfigFile,
    joined: Mapping[str, Any],
    report: ConfigReport,
) -> dict[str, Any]:
    """What a model can be called here; echo answers where nothing else would, or when asked for."""
    echoes = joined.get("GATEWAY_ECHO", not on and not file.models)
    providers = {**on, ECHO.name: echo} if echoes else dict(on)
    return {
        "providers": MappingProxyType(providers),
        "models": MappingProxyType(dict(file.models)),
        "aliases": MappingProxyType({**file.aliases, **joined.get("MODEL_MAP", {})}),
        "routing_order": enabled_providers.order(joined.get("ROUTING_ORDER", ()), providers, report),
        "policies": MappingProxyType(dict(file.policies)),
        "policy": file.policy,
    }


def _access(asked: str | None, keys: tuple[str, ...], auth: bool | None, report: ConfigReport) -> dict[str, Any]:
    """Who may come in, and where they knock."""
    host = asked or (EVERYWHERE if keys else LOOPBACK)
    if auth is False and keys:
        report.errors.append("GATEWAY_AUTH: is off, yet API keys are configured: drop the one or the others")
    if auth and not keys:
        report.errors.append("GATEWAY_AUTH: is on, yet no API key is configured: set VALID_API_KEYS")
    if not keys and auth is None and not _is_loopback(host):
        report.errors.append(
            "HOST: anyone could spend your providers' keys: set VALID_API_KEYS, or GATEWAY_AUTH=off if that is meant"
        )
    if not keys:
        report.warnings.append(
            f"NO API KEY IS CONFIGURED: whoever reaches {host} may use this gateway and spend its providers' keys. "
            "Set VALID_API_KEYS to close it."
        )
    return {"host": host, "client_keys": keys, "auth": bool(keys)}


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_names(names: Mapping[str, Any], report: ConfigReport) -> None:
    """An alias or a fallback that leads nowhere is found at the start, not by the first client."""
    directory = ModelRegistry(**names)
    aliases = [(f"MODEL_MAP or model_group_alias: {one} leads to {to}", one) for one, to in names["aliases"].items()]
    policies = [("every model", names["policy"]), *names["policies"].items()]
    others = [
        (kind, name, other) for name, policy in policies for kind in FALLBACK_KINDS for other in getattr(policy, kind)
    ]
    for what, name in [*aliases, *((f"{kind}: {name} falls back to {other}", other) for kind, name, other in others)]:
        if read_variable := directory.why_unresolvable(name):
            report.errors.append(f"{what}: {read_variable}")
    unknown = (name for name in names["policies"] if directory.why_unresolvable(name))
    report.warnings.extend(f"router_settings speaks of {name[:100]}, which no model is called" for name in unknown)


def _warn_of_idle(environ: Mapping[str, str], names: Mapping[str, Any], report: ConfigReport) -> None:
    for name, missing in enabled_providers.half_configured(environ, names["providers"]):
        report.warnings.append(f"{name} is set, {missing} is not: that provider stays off")
    if list(names["providers"]) == [ECHO.name] and not names["models"]:
        report.warnings.append(
            "No provider is configured: echo, a stand-in without a model, answers. Set ANTHROPIC_API_KEY, "
            "OPENAI_API_KEY or another provider's key."
        )


class CachedSettings:
    """What the server's parent process read, inherited by the workers that it forks."""

    settings: Settings | None = None


def active_settings() -> Settings:
    """
    The settings that the server read before it forked, or, where none did, those of the environment now.

    A worker that read for itself could find a fault in a file that changed under a running server, and end it.
    """
    return CachedSettings.settings or read(environment())
