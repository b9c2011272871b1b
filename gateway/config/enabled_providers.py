"""Which vendors the environment turns on, and how each is reached."""

from collections.abc import Iterator, Mapping

from gateway.catalog.vendors import ECHO, NAMED, VENDORS, Provider, Vendor, bare_base
from gateway.config.parsers import Reading, said, secret, web_url

Providers = Mapping[str, Provider]


def usual(environ: Mapping[str, str], reading: Reading) -> dict[str, Provider]:
    """Every vendor, turned on or not, with the base URL and the key that the environment has for it."""
    return {name: Provider(vendor, *_reached(vendor, environ, reading)) for name, vendor in VENDORS.items()}


def turned_on(environ: Mapping[str, str], usual: Providers) -> dict[str, Provider]:
    """Those with a key, and those that need none with a base URL; without echo."""
    asked = {name: said(environ, _base(provider.vendor)) is not None for name, provider in usual.items()}
    return {
        name: provider
        for name, provider in usual.items()
        if provider.vendor is not ECHO and (asked[name] if provider.vendor.keyless else provider.key)
    }


def order(written: tuple[str, ...], on: Providers, reading: Reading) -> tuple[str, ...]:
    """ROUTING_ORDER: the providers that stand in for others, in order; all that are on where it says nothing."""
    unknown = [name for name in written if name not in NAMED]
    if unknown:
        reading.faults.append(f"ROUTING_ORDER: no provider here is called {', '.join(unknown)}")
    named = dict.fromkeys(NAMED[name].name for name in written if name in NAMED)
    idle = [name for name in named if name not in on]
    if idle:
        reading.warnings.append(f"ROUTING_ORDER: not configured, so passed over: {', '.join(idle)}")
    return tuple(name for name in named if name in on) if written else tuple(on)


def half_configured(environ: Mapping[str, str], on: Providers) -> Iterator[tuple[str, str]]:
    """(variable that is set, variable that it is of no use without)."""
    for vendor in VENDORS.values():
        base, key = said(environ, _base(vendor)), _key_name(vendor, environ)
        if vendor.keyless and key and vendor.name not in on:
            yield key, _base(vendor)
        elif not vendor.keyless and base and not key:
            yield _base(vendor), vendor.keys[0]


def _base(vendor: Vendor) -> str:
    return f"{vendor.prefix}_BASE_URL"


def _key_name(vendor: Vendor, environ: Mapping[str, str]) -> str | None:
    """The first of its key variables that says something."""
    return next((name for name in vendor.keys if said(environ, name)), None)


def _reached(vendor: Vendor, environ: Mapping[str, str], reading: Reading) -> tuple[str, str | None]:
    """Its base URL and its key."""
    name = _key_name(vendor, environ)
    key = reading.value(name, secret, environ[name]) if name else None
    written = said(environ, _base(vendor)) if vendor is not ECHO else None
    if written is None:
        return vendor.base_url, key
    return bare_base(vendor, reading.value(_base(vendor), web_url, written, vendor.base_url)), key
