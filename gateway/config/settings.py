"""
The settings of the gateway: one frozen object, read from the environment and an optional YAML file and checked once.

Nothing else reads the environment. gunicorn.conf.py imports this module before gevent patches the standard library, so
that nothing here may import ssl, requests or flask. docs/configuration.md explains every variable.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dotenv import dotenv_values

from gateway.catalog.routing_policy import DEFAULT_POLICY, Policy
from gateway.catalog.targets import Provider, Targets
from gateway.catalog.vendors import ECHO
from gateway.config import checks, enabled_providers, yaml_file
from gateway.config.parsers import (
    ConfigReport,
    Parser,
    boolean,
    certificates,
    choice,
    comma_separated,
    host,
    host_names,
    integer,
    model_map,
    number,
    origins,
    path,
    positive_number,
    proxy_url,
    rate_limit,
    read_variable,
    secrets,
    size_in_bytes,
    text,
)
from gateway.config.redis_url import redis_url

# Programs read these in lower case too; curl reads only `http_proxy`, since a CGI script gets a client's header `Proxy` as
# HTTP_PROXY: https://everything.curl.dev/usingcurl/proxies/env. Headers never get into the environment of this process.
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


class ConfigurationError(Exception):
    """Every error of the configuration, each with the path of its value."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Times are in seconds, sizes in bytes."""

    # The server.
    host: str = checks.LOOPBACK
    port: int = 8000
    workers: int = 1
    worker_class: str = "gevent"
    threads: int = 32
    connections: int = 4096
    trusted_proxies: int = 0
    graceful_timeout: int = 30
    # Longer than the load balancer in front keeps an idle connection (60 s by default at AWS): if the gateway closes it
    # first, a request may be on its way.
    keepalive: int = 75
    data_dir: Path = Path("data")
    log_level: str = "info"
    log_format: str = "json"

    # Clients.
    client_keys: tuple[str, ...] = field(default=(), repr=False)
    auth: bool = False
    # GATEWAY_AUTH=off: the gateway may listen beyond loopback without a key.
    open_access: bool = False
    allowed_hosts: tuple[str, ...] = ()
    rate_limit: str = "100 per 15 minutes"
    redis_url: str | None = field(default=None, repr=False)
    max_body: int = 20 << 20
    body_timeout: float = 30.0
    max_model_name: int = 512
    max_betas: int = 2 << 10
    cors_origins: tuple[str, ...] = ()

    # Upstreams.
    request_timeout: float = 600.0
    first_content_timeout: float = 120.0
    idle_timeout: float = 120.0
    max_response: int = 32 << 20
    max_event: int = 8 << 20
    max_before_content: int = 1 << 20
    max_listed_models: int = 10_000
    connect_timeout: float = 10.0
    retry_max_attempts: int = 3
    breakers: bool = True
    health_check_interval: float = 60.0
    strict: bool = False
    echo_pace: float = 0.02
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    no_proxy: str = ""
    ca_bundle: str | None = None

    # Models: `models` has the targets of each configured name, `aliases` other names for models. Both kinds of names may
    # have one `*`. `policies` by model name, `policy` for all others.
    providers: Mapping[str, Provider] = field(default_factory=dict)
    models: Mapping[str, Targets] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    routing_order: tuple[str, ...] = ()
    policies: Mapping[str, Policy] = field(default_factory=dict)
    policy: Policy = DEFAULT_POLICY

    # Logged at the start.
    warnings: tuple[str, ...] = ()

    @property
    def max_calls_in_flight(self) -> int:
        """How many calls a worker holds at once: fewer than it has threads or connections, so that /health is answered."""
        return max(1, self.threads - 2 if self.worker_class == "gthread" else self.connections - 96)


# Variable: (field of Settings, parser).
VARIABLES: Mapping[str, tuple[str, Parser]] = {
    "HOST": ("host", host),
    # Heroku routes requests to the port that it puts into PORT: https://devcenter.heroku.com/articles/runtime-principles.
    "PORT": ("port", integer(1, 65535)),
    # Set by Heroku's Python buildpack, by the size of the dyno: https://devcenter.heroku.com/articles/python-concurrency.
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
    "MAX_BODY": ("max_body", size_in_bytes),
    "BODY_TIMEOUT": ("body_timeout", positive_number),
    "MAX_MODEL_NAME": ("max_model_name", integer(1, 65536)),
    "MAX_BETAS": ("max_betas", size_in_bytes),
    "MAX_RESPONSE": ("max_response", size_in_bytes),
    "MAX_EVENT": ("max_event", size_in_bytes),
    "MAX_BEFORE_CONTENT": ("max_before_content", size_in_bytes),
    "MAX_LISTED_MODELS": ("max_listed_models", integer(1, 1_000_000)),
    "ALLOWED_HOSTS": ("allowed_hosts", host_names),
    "CORS_ORIGINS": ("cors_origins", origins),
    "LOG_LEVEL": ("log_level", choice("debug", "info", "warning", "error", "critical")),
    "LOG_FORMAT": ("log_format", choice("json", "console")),
    "REQUEST_TIMEOUT": ("request_timeout", positive_number),
    "FIRST_CONTENT_TIMEOUT": ("first_content_timeout", positive_number),
    "SILENCE_TIMEOUT": ("idle_timeout", positive_number),
    "BREAKER": ("breakers", boolean),
    "HEALTH_CHECK_INTERVAL": ("health_check_interval", number(0)),
    "CONNECT_TIMEOUT": ("connect_timeout", positive_number),
    "RETRY_MAX_ATTEMPTS": ("retry_max_attempts", integer(1, 100)),
    "STRICT_PARAMS": ("strict", boolean),
    "GATEWAY_ECHO_PACE": ("echo_pace", number(0)),
    "NO_PROXY": ("no_proxy", text),
    "REQUESTS_CA_BUNDLE": ("ca_bundle", certificates),
}
# Variables that set a field together with others, or with the YAML file.
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


def metrics_folder() -> str | None:
    """The folder that prometheus_client shares values in: gunicorn.conf.py makes and names it after the settings were read."""
    return os.environ.get("PROMETHEUS_MULTIPROC_DIR")


def environment() -> dict[str, str]:
    """The variables of this process and, below them in precedence, those of the file `.env`. Nothing is written back."""
    file = {name: value for name, value in dotenv_values(".env").items() if value is not None}
    lower_case = {name: os.environ[name.lower()] for name in PROXY_VARIABLES if name.lower() in os.environ}
    return {**file, **lower_case, **os.environ}


def read(environ: Mapping[str, str]) -> Settings:
    """The settings from `environ` and from the file that it names. Raises ConfigurationError with every error."""
    report = ConfigReport()
    single = _parse_variables(environ, {name: parser for name, (_, parser) in VARIABLES.items()}, report)
    combined = _parse_variables(environ, COMBINED_VARIABLES, report)
    default_providers = enabled_providers.default_providers(environ, report)
    file = _read_file(combined.get("GATEWAY_CONFIG"), environ, default_providers, report)

    names = _names(environ, default_providers, file, combined, report)
    keys = (*combined.get("VALID_API_KEYS", ()), *((file.master_key,) if file.master_key else ()))
    access = checks.access(single.get("HOST"), tuple(dict.fromkeys(keys)), combined.get("GATEWAY_AUTH"), report)
    checks.check_model_names(names, report)
    checks.check_providers(environ, names, report)
    if report.errors:
        raise ConfigurationError(report.errors)

    fields = {VARIABLES[name][0]: value for name, value in single.items()}
    # With keys every page may call: it needs one of them. Without, a page needs to be known.
    fields.setdefault("cors_origins", ("*",) if access["auth"] else ())
    proxies = {scheme: url for scheme in ("http", "https") if (url := combined.get(f"{scheme.upper()}_PROXY"))}
    return Settings(
        **{**file.settings, **fields, **names, **access},
        proxies=MappingProxyType(proxies),
        warnings=tuple(report.warnings),
    )


def _parse_variables(environ: Mapping[str, str], parsers: Mapping[str, Parser], report: ConfigReport) -> dict[str, Any]:
    """The values of the variables that are set and valid."""
    raw = {name: read_variable(environ, name) for name in parsers}
    values = {name: report.parse(name, parsers[name], value) for name, value in raw.items() if value is not None}
    return {name: value for name, value in values.items() if value is not None}


def _read_file(
    name: str | None, environ: Mapping[str, str], default_providers: Mapping[str, Provider], report: ConfigReport
) -> yaml_file.ConfigFile:
    if name is None:
        return yaml_file.ConfigFile()
    try:
        content = Path(name).expanduser().read_text(encoding="utf-8")
    except OSError as error:
        report.errors.append(f"GATEWAY_CONFIG: {name}: {error.strerror}")
        return yaml_file.ConfigFile()
    except UnicodeDecodeError:
        report.errors.append(f"GATEWAY_CONFIG: {name}: is not UTF-8")
        return yaml_file.ConfigFile()
    return yaml_file.parse(name, content, environ, default_providers, report)


def _names(
    environ: Mapping[str, str],
    default_providers: Mapping[str, Provider],
    file: yaml_file.ConfigFile,
    combined: Mapping[str, Any],
    report: ConfigReport,
) -> dict[str, Any]:
    """The fields of Settings that decide how a model name is resolved: the arguments of ModelRegistry."""
    providers = enabled_providers.enabled(environ, default_providers)
    # echo is enabled by itself only where nothing else could answer.
    if combined.get("GATEWAY_ECHO", not providers and not file.models):
        providers = {**providers, ECHO.name: default_providers[ECHO.name]}
    return {
        "providers": MappingProxyType(providers),
        "models": MappingProxyType(dict(file.models)),
        "aliases": MappingProxyType({**file.aliases, **combined.get("MODEL_MAP", {})}),
        "routing_order": enabled_providers.routing_order(combined.get("ROUTING_ORDER", ()), providers, report),
        "policies": MappingProxyType(dict(file.policies)),
        "policy": file.policy,
    }


class CachedSettings:
    """The settings that the server's parent process read; workers inherit them when they are forked."""

    settings: Settings | None = None


def active_settings() -> Settings:
    """
    The settings that the server read before it forked; without such a server, those of the environment now.

    A worker that read the files itself could find an error in one that was edited since, and exit.
    """
    return CachedSettings.settings or read(environment())
