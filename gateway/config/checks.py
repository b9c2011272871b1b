"""Checks that need several settings at once."""

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from gateway.catalog.registry import ModelRegistry
from gateway.catalog.routing_policy import FALLBACK_KINDS
from gateway.catalog.vendors import ECHO
from gateway.config import enabled_providers
from gateway.config.parsers import ConfigReport

LOOPBACK = "127.0.0.1"
ALL_INTERFACES = "0.0.0.0"  # noqa: S104 - the default only where API keys are configured
# A shorter key could be guessed: 16 random characters of base64 have 96 bits.
MIN_KEY_LENGTH = 16
# Of a name in a warning: a key of the YAML file may be longer than a log line should be.
MAX_NAME_LENGTH = 100


def access(host: str | None, keys: tuple[str, ...], auth: bool | None, report: ConfigReport) -> dict[str, Any]:
    """
    The fields of Settings that decide who may use the gateway; None stands for an unset HOST or GATEWAY_AUTH.

    Without API keys it listens on loopback only, unless GATEWAY_AUTH=off says that open access is intended.
    """
    host = host or (ALL_INTERFACES if keys else LOOPBACK)
    if auth is False and keys:
        report.errors.append("GATEWAY_AUTH: is off, but API keys are configured: remove one or the other")
    if auth and not keys:
        report.errors.append("GATEWAY_AUTH: is on, but no API key is configured: set VALID_API_KEYS")
    if not keys and auth is None and not is_loopback_address(host):
        report.errors.append(
            "HOST: without an API key, anyone could use your providers' keys: set VALID_API_KEYS, or GATEWAY_AUTH=off "
            "if that is intended"
        )
    if not keys:
        report.warnings.append(
            f"NO API KEY IS CONFIGURED: anyone who can reach {host} can use this gateway and its providers' keys. "
            "Set VALID_API_KEYS to prevent that."
        )
    if short := sum(len(key) < MIN_KEY_LENGTH for key in keys):
        report.warnings.append(
            f"VALID_API_KEYS or master_key: {short} of {len(keys)} keys have fewer than {MIN_KEY_LENGTH} characters and could be "
            "guessed. `openssl rand -hex 24` makes a longer one."
        )
    return {"host": host, "client_keys": keys, "auth": bool(keys), "open_access": auth is False and not keys}


def exposed_listeners(addresses: Iterable[Any]) -> list[str]:
    """Those of the addresses, as `getsockname` returns them, that other machines may reach."""
    # The address of a Unix socket, a path, is text or bytes: https://docs.python.org/3/library/socket.html#socket-families
    internet = [address for address in addresses if isinstance(address, tuple)]
    return [f"{address[0]}:{address[1]}" for address in internet if not is_loopback_address(str(address[0]))]


def is_loopback_address(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"  # loopback by definition: RFC 6761, section 6.3


def check_model_names(names: Mapping[str, Any], report: ConfigReport) -> None:
    """Every alias and every fallback must be resolvable. `names`: the arguments of ModelRegistry."""
    registry = ModelRegistry(**names)
    references = [
        (f"MODEL_MAP or model_group_alias: {alias} refers to {model}", model)
        for alias, model in names["aliases"].items()
    ]
    for name, policy in [("every model", names["policy"]), *names["policies"].items()]:
        for kind in FALLBACK_KINDS:
            references += [(f"{kind}: {name} falls back to {model}", model) for model in getattr(policy, kind)]
    for description, model in references:
        if reason := registry.why_unresolvable(model):
            report.errors.append(f"{description}: {reason}")
    # No error: a policy may be written for a model whose provider is disabled at the moment.
    unknown = (name for name in names["policies"] if registry.why_unresolvable(name))
    report.warnings.extend(f"router_settings: no model is called {name[:MAX_NAME_LENGTH]}" for name in unknown)


def check_providers(environ: Mapping[str, str], names: Mapping[str, Any], report: ConfigReport) -> None:
    """Warn of half-configured providers, and of a gateway without any."""
    for variable, missing in enabled_providers.incomplete(environ, names["providers"]):
        report.warnings.append(f"{variable} is set without {missing}: the provider stays disabled")
    if list(names["providers"]) == [ECHO.name] and not names["models"]:
        report.warnings.append(
            "No provider is configured: the built-in provider echo answers, without a model. Set ANTHROPIC_API_KEY, "
            "OPENAI_API_KEY or another provider's key."
        )
