"""Which vendors the environment turns on, and how each is reached."""

from collections.abc import Iterator, Mapping

from gateway.catalog.targets import Provider
from gateway.catalog.vendors import ECHO, VENDORS, VENDORS_BY_NAME, Vendor, strip_endpoint
from gateway.config.parsers import ConfigReport, read_variable, secret, web_url

Providers = Mapping[str, Provider]


def default_providers(environ: Mapping[str, str], report: ConfigReport) -> dict[str, Provider]:
    """Every vendor, turned on or not, with the base URL and the key that the environment has for it."""
    return {name: Provider(vendor, *_reached(vendor, environ, report)) for name, vendor in VENDORS.items()}


def enabled(environ: Mapping[str, str], default_providers: Providers) -> dict[str, Provider]:
    """Those with a key, and those that need none with a base URL; without echo."""
    asked = {
        name: read_variable(environ, provider.vendor.base_url_variable) is not None
        for name, provider in default_providers.items()
    }
    return {
        name: provider
        for name, provider in default_providers.items()
        if provider.vendor is not ECHO and (asked[name] if provider.vendor.keyless else provider.key)
    }


def order(written: tuple[str, ...], on: Providers, report: ConfigReport) -> tuple[str, ...]:
    """ROUTING_ORDER: the providers that stand in for others, in order; all that are on where it says nothing."""
    unknown = [name for name in written if name not in VENDORS_BY_NAME]
    if unknown:
        report.errors.append(f"ROUTING_ORDER: no provider here is called {', '.join(unknown)}")
    named = dict.fromkeys(VENDORS_BY_NAME[name].name for name in written if name in VENDORS_BY_NAME)
    idle = [name for name in named if name not in on]
    if idle:
        report.warnings.append(f"ROUTING_ORDER: not configured, so passed over: {', '.join(idle)}")
    return tuple(name for name in named if name in on) if written else tuple(on)


def half_configured(environ: Mapping[str, str], on: Providers) -> Iterator[tuple[str, str]]:
    """(variable that is set, variable that it is of no use without)."""
    for vendor in VENDORS.values():
        base, key = read_variable(environ, vendor.base_url_variable), _key_name(vendor, environ)
        if vendor.keyless and key and vendor.name not in on:
            yield key, vendor.base_url_variable
        elif not vendor.keyless and base and not key:
            yield vendor.base_url_variable, vendor.key_variables[0]


def _key_name(vendor: Vendor, environ: Mapping[str, str]) -> str | None:
    """The first of its key variables that says something."""
    return next((name for name in vendor.key_variables if read_variable(environ, name)), None)


def _reached(vendor: Vendor, environ: Mapping[str, str], report: ConfigReport) -> tuple[str, str | None]:
    """Its base URL and its key."""
    name = _key_name(vendor, environ)
    key = report.value(name, secret, environ[name]) if name else None
    written = read_variable(environ, vendor.base_url_variable) if vendor is not ECHO else None
    if written is None:
        return vendor.base_url, key
    return strip_endpoint(vendor, report.value(vendor.base_url_variable, web_url, written, vendor.base_url)), key
