"""The providers that the environment enables, with their base URLs and API keys."""

from collections.abc import Iterator, Mapping

from gateway.catalog.targets import Provider
from gateway.catalog.vendors import ECHO, VENDORS, VENDORS_BY_NAME, Vendor, strip_endpoint
from gateway.config.parsers import ConfigReport, base_url, read_variable, secret

Providers = Mapping[str, Provider]


def default_providers(environ: Mapping[str, str], report: ConfigReport) -> dict[str, Provider]:
    """Every vendor, enabled or not, with the base URL and the API key that the environment has for it."""
    return {name: _default_provider(vendor, environ, report) for name, vendor in VENDORS.items()}


def enabled(environ: Mapping[str, str], default_providers: Providers) -> dict[str, Provider]:
    """The providers with an API key, and the keyless ones with a base URL in the environment; never echo."""
    return {
        name: provider
        for name, provider in default_providers.items()
        if provider.vendor is not ECHO
        and (read_variable(environ, provider.vendor.base_url_variable) if provider.vendor.keyless else provider.key)
    }


def routing_order(names: tuple[str, ...], providers: Providers, report: ConfigReport) -> tuple[str, ...]:
    """The providers that may substitute for others, in the order of ROUTING_ORDER; where it is unset, all of them."""
    if unknown := [name for name in names if name not in VENDORS_BY_NAME]:
        report.errors.append(f"ROUTING_ORDER: unknown providers: {', '.join(unknown)}")
    vendors = dict.fromkeys(VENDORS_BY_NAME[name].name for name in names if name in VENDORS_BY_NAME)
    if disabled := [name for name in vendors if name not in providers]:
        report.warnings.append(f"ROUTING_ORDER: not configured and therefore skipped: {', '.join(disabled)}")
    return tuple(name for name in vendors if name in providers) if names else tuple(providers)


def incomplete(environ: Mapping[str, str], providers: Providers) -> Iterator[tuple[str, str]]:
    """(a variable that is set, the variable without which it has no effect)."""
    for vendor in VENDORS.values():
        key_variable = _key_variable(vendor, environ)
        if vendor.keyless and key_variable and vendor.name not in providers:
            yield key_variable, vendor.base_url_variable
        elif not vendor.keyless and not key_variable and read_variable(environ, vendor.base_url_variable):
            yield vendor.base_url_variable, vendor.key_variables[0]


def _key_variable(vendor: Vendor, environ: Mapping[str, str]) -> str | None:
    """The first of the vendor's key variables that is set."""
    return next((name for name in vendor.key_variables if read_variable(environ, name)), None)


def _default_provider(vendor: Vendor, environ: Mapping[str, str], report: ConfigReport) -> Provider:
    name = _key_variable(vendor, environ)
    key = report.parse(name, secret, environ[name]) if name else None
    raw = read_variable(environ, vendor.base_url_variable) if vendor is not ECHO else None
    if raw is None:
        return Provider(vendor, vendor.base_url, key)
    url = report.parse(vendor.base_url_variable, base_url, raw, vendor.base_url)
    return Provider(vendor, strip_endpoint(vendor, url), key)
