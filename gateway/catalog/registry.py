"""The registry that resolves a model name to its targets, and lists the names that there are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from gateway.catalog import model_info, substitutes
from gateway.catalog.routing_policy import DEFAULT_POLICY, Policy
from gateway.catalog.targets import Provider, Target, Targets
from gateway.catalog.vendors import ECHO, VENDORS, VENDORS_BY_NAME, Vendor
from gateway.errors import ModelNotFound

CACHED_NAMES = 2048
# Clients choose the names: longer ones, up to the limit of a request's body, are resolved without the cache and shortened
# in error messages.
MAX_CACHED_LENGTH = 256
NO_MODELS: Mapping[str, Sequence[str]] = MappingProxyType({})
NO_POLICIES: Mapping[str, Policy] = MappingProxyType({})


class Route(NamedTuple):
    """The targets of a model name, and the policy for them."""

    targets: Targets
    policy: Policy


def match_wildcard(pattern: str, name: str) -> str | None:
    """
    The part of `name` that the `*` of `pattern` stands for; None where it does not match.

    A pattern without `*` matches itself, with "". fnmatch is not used: it would treat `?` and `[` as special too, and it
    does not return the part.
    """
    prefix, star, suffix = pattern.partition("*")
    if not star:
        return "" if pattern == name else None
    matches = len(name) >= len(prefix) + len(suffix) and name.startswith(prefix) and name.endswith(suffix)
    return name[len(prefix) : len(name) - len(suffix)] if matches else None


def split_address(address: str) -> tuple[Vendor, str] | None:
    """The vendor and its model of `vendor/model` or of a bare name; None where the vendor is unknown."""
    first, slash, rest = address.partition("/")
    # Only the first slash separates: OpenRouter's models, among others, have slashes in their names.
    if slash and first in VENDORS_BY_NAME:
        return VENDORS_BY_NAME[first], rest
    vendor = VENDORS.get(substitutes.vendor_of(address) or "") if not slash else None
    return (vendor, address) if vendor else None


class ModelRegistry:
    """
    The models of one configuration.

    A name is resolved as the first of these that applies: a configured model name, an alias, a configured wildcard,
    `provider/model`, a bare name of an enabled provider's model, and a bare name for which a provider in `routing_order`
    has a substitute.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        models: Mapping[str, Targets],
        aliases: Mapping[str, str],
        routing_order: Sequence[str],
        *,
        policies: Mapping[str, Policy] = NO_POLICIES,
        policy: Policy = DEFAULT_POLICY,
    ) -> None:
        """`policies` by model name; `policy` for all others."""
        self.providers = providers
        self.models = models
        self._exact = {name: targets for name, targets in models.items() if "*" not in name}
        # The longest first: it is the most specific.
        self._wildcards = sorted((name for name in models if "*" in name), key=len, reverse=True)
        self._aliases = aliases
        self._routing_order = tuple(name for name in routing_order if name in providers)
        self._policies, self._policy = policies, policy
        self._resolve_cached = lru_cache(maxsize=CACHED_NAMES)(self._resolve)

    def resolve(self, model: str) -> Route:
        """The targets of `model`, in order, and their policy. Raises ModelNotFound."""
        return self._resolve_cached(model) if len(model) <= MAX_CACHED_LENGTH else self._resolve(model)

    def why_unresolvable(self, pattern: str) -> str | None:
        """Why a name, or a pattern with a `*`, has no targets; None if it has."""
        try:
            self.resolve(pattern.replace("*", "x"))
        except ModelNotFound as error:
            return error.message
        return None

    def fallback_routes(self, policy: Policy, kind: str) -> dict[str, Route]:
        """The routes of a policy's fallbacks of a kind, by model name."""
        return {name: self.resolve(name) for name in getattr(policy, kind)}

    def list_models(self, provider_models: Mapping[str, Sequence[str]] = NO_MODELS) -> list[tuple[str, str]]:
        """
        (id, owned_by) of every model with a name here.

        `provider_models`: the models that providers list, by provider; of the others, the substitutes are listed.
        """
        owners: dict[str, str] = {}
        for name, targets in self._exact.items():
            owners[name] = targets[0].provider.name
        for alias in self._aliases:
            if "*" not in alias:
                owners.setdefault(alias, self.resolve(alias).targets[0].provider.name)
        for provider in self.providers:
            for model in provider_models.get(provider, substitutes.models(provider)):
                owners.setdefault(model if model == provider else f"{provider}/{model}", provider)
        return list(owners.items())

    def _resolve(self, model: str) -> Route:
        name = model if model in self._exact else self._expand_alias(model)
        targets = tuple(with_model_info(target) for target in self._targets(name))
        names = (model, name, *(pattern for pattern, _ in self._matching_wildcards(name)))
        return Route(targets, next((self._policies[name] for name in names if name in self._policies), self._policy))

    def _expand_alias(self, model: str) -> str:
        """The name that an alias stands for. That is a model, never another alias."""
        if model in self._aliases:
            return self._aliases[model]
        matches = ((match_wildcard(alias, model), target) for alias, target in self._aliases.items())
        return next((target.replace("*", match) for match, target in matches if match is not None), model)

    def _matching_wildcards(self, name: str) -> Iterator[tuple[str, str]]:
        """(a configured wildcard, what its `*` stands for in `name`), the most specific first."""
        for pattern in self._wildcards:
            match = match_wildcard(pattern, name)
            if match is not None:
                yield pattern, match

    def _targets(self, model: str) -> Targets:
        if model in self._exact:
            return self._exact[model]
        if wildcard := next(self._matching_wildcards(model), None):
            pattern, match = wildcard
            return tuple(fill_wildcard(target, match) for target in self.models[pattern])
        match split_address(model):
            case (vendor, upstream_model) if vendor is ECHO and upstream_model != ECHO.name:
                raise ModelNotFound(self._not_found_message(model))
            case (vendor, upstream_model) if vendor.name in self.providers and upstream_model:
                return (Target(self.providers[vendor.name], upstream_model),)
        # Echo is itself a substitute: a request for it must not reach a paid provider.
        if "/" not in model and substitutes.vendor_of(model) not in (None, ECHO.name):
            for provider in self._routing_order:
                if substitute := substitutes.substitute_for(provider, model):
                    return (Target(self.providers[provider], substitute),)
        raise ModelNotFound(self._not_found_message(model))

    def _not_found_message(self, model: str) -> str:
        """What is wrong with the name, and what to set."""
        shown = model if len(model) <= MAX_CACHED_LENGTH else f"{model[:MAX_CACHED_LENGTH]}..."
        missing = f"The model `{shown}` does not exist here."
        match split_address(model):
            case (vendor, "") if vendor.name in self.providers:
                return f"{missing} Address a model of {vendor.name} as `{vendor.name}/<model>`."
            case (vendor, _) if vendor.name not in self.providers:
                return (
                    f"{missing} It belongs to {vendor.name}, which is not configured: set {enabling_variable(vendor)}."
                )
        return (
            f"{missing} Address a model as `provider/model` (providers configured: {', '.join(self.providers) or 'none'}), "
            "or give it a name in MODEL_MAP or the configuration file; GET /v1/models lists the names there are."
        )


def with_model_info(target: Target) -> Target:
    """`target` with the catalog's information on its model, unless the configuration has set it."""
    if target.model_info is not model_info.UNKNOWN:
        return target
    return replace(target, model_info=model_info.lookup(target.provider.vendor.name, target.model))


def fill_wildcard(target: Target, match: str) -> Target:
    """`target` with `match` for the `*` in its model."""
    if "*" not in target.model:
        return target
    return replace(target, model=target.model.replace("*", match))


def enabling_variable(vendor: Vendor) -> str:
    """The variable that enables a vendor."""
    if vendor is ECHO:
        return "GATEWAY_ECHO=1"
    return vendor.base_url_variable if vendor.keyless else vendor.key_variables[0]
