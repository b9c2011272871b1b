"""The routing keys of the YAML file: strategies, fallbacks, hedging and resumed streams, by model name."""

from collections.abc import Mapping
from typing import Any

from gateway.catalog.routing_policy import FALLBACK_KINDS, LITELLM_STRATEGIES, P95, STRATEGIES, WEIGHTED, Policy
from gateway.config.parsers import FALSE_WORDS, Parser, boolean, choice, positive_number, text

# LiteLLM's name for all models without fallbacks of their own.
ALL_MODELS = "*"
# LiteLLM's strategies that have no equivalent here.
UNSUPPORTED_STRATEGIES = ("usage-based-routing", "usage-based-routing-v2")


def strategy(raw: Any) -> str:
    """A strategy, by the gateway's name for it or by LiteLLM's."""
    word: str = choice(*STRATEGIES, *LITELLM_STRATEGIES, *UNSUPPORTED_STRATEGIES)(raw)
    return WEIGHTED if word in UNSUPPORTED_STRATEGIES else LITELLM_STRATEGIES.get(word, word)


def model_names(raw: Any) -> tuple[str, ...]:
    match raw:
        case list():
            return tuple(text(name) for name in raw)
    raise ValueError("must be a list of model names")


def fallbacks(raw: Any) -> dict[str, tuple[str, ...]]:
    """`[{gpt-4: [claude, gemini]}]`, as LiteLLM writes it: https://docs.litellm.ai/docs/proxy/reliability."""
    items = [raw] if isinstance(raw, dict) else raw
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ValueError("must be a list such as [{model: [another, a third]}]")
    return {text(name): model_names(others) for item in items for name, others in item.items()}


def hedge_after(raw: Any) -> float | str | None:
    """Seconds, or `p95`; None where hedging is off."""
    word = str(raw).lower()
    # PyYAML reads off, no and false as False already; in quotes, or from a variable, they are text. 0 is 0 seconds: an error.
    if raw is None or (word in FALSE_WORDS and word != "0"):
        return None
    return P95 if word == P95 else float(positive_number(raw))


def model_settings(raw: Any) -> dict[str, dict[str, Any]]:
    """`{name: {routing_strategy: ..., continue_on_break: true}}`, with the fields of Policy as keys of the result."""
    if not isinstance(raw, dict) or not all(isinstance(settings, dict) for settings in raw.values()):
        raise ValueError("must be a mapping of model names to settings")
    if unknown := {key for settings in raw.values() for key in settings} - MODEL_SETTINGS.keys():
        raise ValueError(f"unknown keys: {', '.join(sorted(map(str, unknown)))}")
    return {text(name): _policy_fields(name, settings) for name, settings in raw.items()}


def _policy_fields(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    fields = {}
    for key, raw in settings.items():
        field, parser = MODEL_SETTINGS[key]
        try:
            fields[field] = parser(raw)
        except ValueError as error:
            raise ValueError(f"{name}.{key}: {error}") from None
    return fields


# Key: (field of Policy, parser). They may be set for all models, and under `models` for single ones.
MODEL_SETTINGS: Mapping[str, tuple[str, Parser]] = {
    "routing_strategy": ("strategy", strategy),
    "continue_on_break": ("continue_on_break", boolean),
    "hedge_after": ("hedge_after", hedge_after),
}
# Key: (name of the parsed value, parser), for the sections of the file; policies() reads the values.
FALLBACK_SETTINGS: Mapping[str, tuple[str, Parser]] = {
    **{kind: (kind, fallbacks) for kind in FALLBACK_KINDS},
    "default_fallbacks": ("default_fallbacks", model_names),
}
ROUTING_SETTINGS: Mapping[str, tuple[str, Parser]] = {
    **{key: (f"policy.{field}", parser) for key, (field, parser) in MODEL_SETTINGS.items()},
    "models": ("model_settings", model_settings),
    **FALLBACK_SETTINGS,
}


def policies(values: Mapping[str, Any]) -> tuple[Policy, dict[str, Policy]]:
    """The policy of all models, and those of the models that have their own, from the values of the file's sections."""
    shared = {field: values[f"policy.{field}"] for field, _ in MODEL_SETTINGS.values() if f"policy.{field}" in values}
    by_model = values.get("model_settings", {})
    by_kind = {kind: values.get(kind, {}) for kind in FALLBACK_KINDS}
    default = {
        kind: fallbacks.get(ALL_MODELS, values.get("default_fallbacks", ()) if kind == "fallbacks" else ())
        for kind, fallbacks in by_kind.items()
    }
    names = {*by_model, *(name for fallbacks in by_kind.values() for name in fallbacks if name != ALL_MODELS)}
    model_policies = {
        name: Policy(
            **{**shared, **by_model.get(name, {})},
            **{kind: fallbacks.get(name, default[kind]) for kind, fallbacks in by_kind.items()},
        )
        for name in names
    }
    return Policy(**shared, **default), model_policies
