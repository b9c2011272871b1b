"""Where a model's name leads: the targets that can answer it, and the names that there are."""

from collections.abc import Mapping, Sequence
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
LONGEST_CACHED = 256
"""A client may ask for a name of megabytes: such names are not kept."""

NOTHING: Mapping[str, Sequence[str]] = MappingProxyType({})
NO_POLICIES: Mapping[str, Policy] = MappingProxyType({})


class Route(NamedTuple):
    """Where a model's name leads, and how its targets are chosen among."""

    targets: Targets
    policy: Policy


def match_wildcard(pattern: str, name: str) -> str | None:
    """What the star of `pattern` stands for in `name`; "" where it has none and is that name; None: no match."""
    before, star, after = pattern.partition("*")
    if not star:
        return "" if pattern == name else None
    fits = len(name) >= len(before) + len(after) and name.startswith(before) and name.endswith(after)
    return name[len(before) : len(name) - len(after)] if fits else None


def split_address(address: str) -> tuple[Vendor, str] | None:
    """The vendor and its own name for the model in `vendor/model` or a bare name; None: no vendor is known by it."""
    first, slash, rest = address.partition("/")
    if slash and first in VENDORS_BY_NAME:
        return VENDORS_BY_NAME[first], rest
    vendor = VENDORS.get(substitutes.vendor_of(address) or "") if not slash else None
    return (vendor, address) if vendor else None


class ModelRegistry:
    """
    The models of one configuration.

    A name is looked up as a configured model name, an alias, a configured wildcard, `provider/model`, a bare name of a
    provider's own model, and a bare name that the first provider in `routing_order` has a stand-in for; in that order.
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
        self.aliases = aliases
        self.routing_order = tuple(name for name in routing_order if name in providers)
        self.wildcards = sorted((name for name in models if "*" in name), key=len, reverse=True)
        self.policies, self.policy = policies, policy
        self._remembered = lru_cache(maxsize=CACHED_NAMES)(self._route)

    def why_unresolvable(self, pattern: str) -> str | None:
        """Why a name, or a pattern with a star, leads nowhere; None if it leads to a model."""
        try:
            self.resolve(pattern.replace("*", "x"))
        except ModelNotFound as error:
            return error.message
        return None

    def resolve(self, model: str) -> Route:
        """The targets that serve `model`, in order, and their policy. Raises ModelNotFound."""
        return self._remembered(model) if len(model) <= LONGEST_CACHED else self._route(model)

    def _route(self, model: str) -> Route:
        targets = tuple(with_model_info(target) for target in self._found(model))
        return Route(targets, self._policy(model))

    def _policy(self, model: str) -> Policy:
        """The policy of a name: its own, its alias's, or that of the pattern that it matches."""
        meant = self._meant(model)
        patterns = (name for name in self.wildcards if match_wildcard(name, meant) is not None)
        return next((self.policies[name] for name in (model, meant, *patterns) if name in self.policies), self.policy)

    def fallback_routes(self, policy: Policy, kind: str) -> dict[str, Route]:
        """Where a policy's fallbacks of a kind lead, by name."""
        return {name: self.resolve(name) for name in getattr(policy, kind)}

    def list_models(self, listed: Mapping[str, Sequence[str]] = NOTHING) -> list[tuple[str, str]]:
        """(id, owned by) of every model that has a name here; `listed`: what providers said they have, else the table's."""
        configured = [(name, targets[0].provider.name) for name, targets in self.models.items() if "*" not in name]
        aliases = [(name, self.resolve(name).targets[0].provider.name) for name in self.aliases if "*" not in name]
        own = [
            (model if provider == model else f"{provider}/{model}", provider)
            for provider in self.providers
            for model in listed.get(provider, substitutes.models(provider))
        ]
        return list({name: (name, owner) for name, owner in reversed([*configured, *aliases, *own])}.values())[::-1]

    def _found(self, model: str) -> Targets:
        if model in self.models and "*" not in model:
            return self.models[model]
        return self._by_name(self._meant(model))

    def _meant(self, model: str) -> str:
        """The name that an alias stands for; an alias leads to a model, never to another alias."""
        if model in self.aliases:
            return self.aliases[model]
        matches = ((match_wildcard(alias, model), meant) for alias, meant in self.aliases.items())
        return next((meant.replace("*", star) for star, meant in matches if star is not None), model)

    def _by_name(self, model: str) -> Targets:
        if model in self.models and "*" not in model:
            return self.models[model]
        for pattern in self.wildcards:
            star = match_wildcard(pattern, model)
            if star is not None:
                return tuple(fill_wildcard(target, star) for target in self.models[pattern])
        match split_address(model):
            case (vendor, upstream) if vendor is ECHO and upstream != ECHO.name:
                raise ModelNotFound(self._advice(model))
            case (vendor, upstream) if vendor.name in self.providers and upstream:
                return (Target(self.providers[vendor.name], upstream),)
        return self._stand_ins(model)

    def _stand_ins(self, model: str) -> Targets:
        if "/" not in model and substitutes.vendor_of(model) not in (
            None,
            ECHO.name,
        ):  # nobody stands in for a stand-in
            offers = ((name, substitutes.substitute_for(name, model)) for name in self.routing_order)
            for name, substitute in offers:
                if substitute:
                    return (Target(self.providers[name], substitute),)
        raise ModelNotFound(self._advice(model))

    def _advice(self, model: str) -> str:
        """What is wrong with the name, and what to set."""
        shown = model if len(model) <= LONGEST_CACHED else f"{model[:LONGEST_CACHED]}..."
        missing = f"The model `{shown}` does not exist here."
        match split_address(model):
            case (vendor, "") if vendor.name in self.providers:
                return f"{missing} A model of {vendor.name} is addressed as `{vendor.name}/<its own name>`."
            case (vendor, _) if vendor.name not in self.providers:
                return (
                    f"{missing} It belongs to {vendor.name}, which is not configured: set {enabling_variable(vendor)}."
                )
        with_model_info = ", ".join(self.providers) or "none"
        return (
            f"{missing} Address a model as `provider/model` (providers configured: {with_model_info}), "
            "or give it a name in MODEL_MAP or the configuration file; GET /v1/models lists the names there are."
        )


def with_model_info(target: Target) -> Target:
    """`target` with what is known of its model, unless the configuration said that."""
    if target.model_info is not model_info.UNKNOWN:
        return target
    return replace(target, model_info=model_info.lookup(target.provider.vendor.name, target.model))


def fill_wildcard(target: Target, star: str) -> Target:
    """`target` with `star` for the star in its model."""
    if "*" not in target.model:
        return target
    return replace(target, model=target.model.replace("*", star))


def enabling_variable(vendor: Vendor) -> str:
    """The variable that turns a vendor on."""
    if vendor is ECHO:
        return "GATEWAY_ECHO=1"
    return vendor.base_url_variable if vendor.keyless else vendor.key_variables[0]
