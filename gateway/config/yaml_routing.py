"""What the YAML file asks of the targets of model names: strategies, fallbacks, hedges, streams that go on."""

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.catalog.routing_policy import FALLBACK_KINDS, LITELLM_STRATEGIES, P95, STRATEGIES, WEIGHTED, Policy
from gateway.config.parsers import Parser, boolean, choice, number, text

EVERY = "*"
"""LiteLLM's name for all models that have no fallbacks of their own."""
NOT_DONE = ("usage-based-routing", "usage-based-routing-v2")
"""LiteLLM's strategies without one of ours."""


def strategy(written: Any) -> str | None:
    """The strategy by our name, or by LiteLLM's."""
    word = choice(*STRATEGIES, *LITELLM_STRATEGIES, *NOT_DONE)(written)
    return LITELLM_STRATEGIES.get(word, word) if word not in NOT_DONE else WEIGHTED


def names(written: Any) -> tuple[str, ...]:
    if not isinstance(written, list):
        raise ValueError("must be a list of model names")  # noqa: TRY004 - what a file says, not what a caller passes
    return tuple(text(name) for name in written)


def fallbacks(written: Any) -> dict[str, tuple[str, ...]]:
    """LiteLLM writes a list of mappings: [{gpt-4: [claude, gemini]}]."""
    written = [written] if isinstance(written, dict) else written
    if not isinstance(written, list) or not all(isinstance(one, dict) for one in written):
        raise ValueError("must be a list such as [{model: [another, a third]}]")
    return {text(name): names(others) for one in written for name, others in one.items()}


def hedge(written: Any) -> float | str | None:
    """Seconds, or p95; None where it is switched off."""
    if written is None or str(written).lower() in ("false", "off", "no"):
        return None
    return P95 if str(written).lower() == P95 else float(number(0, open=True)(written))


def by_model(written: Any) -> dict[str, dict[str, Any]]:
    """What is asked of single models: {name: {routing_strategy: ..., continue_on_break: true}}."""
    if not isinstance(written, dict) or not all(isinstance(one, dict) for one in written.values()):
        raise ValueError("must be model names, each with its settings")
    strange = {key for one in written.values() for key in one} - OF_MODEL.keys()
    if strange:
        raise ValueError(f"knows no {', '.join(sorted(map(str, strange)))}")
    return {text(name): dict(_of_model(name, one)) for name, one in written.items()}


def _of_model(name: str, said: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in said.items():
        field, reader = OF_MODEL[key]
        try:
            yield field, reader(value)
        except ValueError as fault:
            raise ValueError(f"{name}.{key}: {fault}") from None


OF_MODEL: Mapping[str, tuple[str, Parser]] = {
    "routing_strategy": ("strategy", strategy),
    "continue_on_break": ("continue_on_break", boolean),
    "hedge_after": ("hedge_after", hedge),
}
"""What the file asks of single models, and of all."""


FALLBACKS: Mapping[str, tuple[str, Parser]] = {
    **{kind: (kind, fallbacks) for kind in FALLBACK_KINDS},
    "default_fallbacks": ("default_fallbacks", names),
}
ROUTING: Mapping[str, tuple[str, Parser]] = {
    **{key: (f"of_all.{field}", reader) for key, (field, reader) in OF_MODEL.items()},
    "models": ("by_model", by_model),
    **FALLBACKS,
}
"""The keys of the file's sections, and what each sets: `policies` makes policies of it."""


def policies(settings: dict[str, Any]) -> tuple[Policy, dict[str, Policy]]:
    """The policy of all models, and those of single ones; taken out of the settings."""
    usual = {field: settings.pop(f"of_all.{field}") for field, _ in OF_MODEL.values() if f"of_all.{field}" in settings}
    default, by_model = settings.pop("default_fallbacks", ()), settings.pop("by_model", {})
    kinds = {kind: settings.pop(kind, {}) for kind in FALLBACK_KINDS}
    for_all = {kind: said.get(EVERY, default if kind == "fallbacks" else ()) for kind, said in kinds.items()}
    named = {*by_model, *(name for said in kinds.values() for name in said if name != EVERY)}
    named_policies = {
        name: Policy(
            **{**usual, **by_model.get(name, {})},
            **{kind: said.get(name, for_all[kind]) for kind, said in kinds.items()},
        )
        for name in named
    }
    return Policy(**usual, **for_all), named_policies
