"""The models of genai-prices (https://github.com/pydantic/genai-prices), as its data module has them."""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from genai_prices import types
from genai_prices.data import providers

from tools.model_table import Model, Row, dollars

PROVIDERS = {provider.id: provider for provider in providers}
HUGGINGFACE = "huggingface_"
# Our vendors, by the name of the provider there.
VENDORS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "groq": "groq",
    "mistral": "mistral",
    "deepseek": "deepseek",
    "xai": "x-ai",
    "openrouter": "openrouter",
    "together": "together",
    "fireworks": "fireworks",
    "perplexity": "perplexity",
    "cerebras": "cerebras",
    "moonshot": "moonshotai",
    "gemini": "google",
    "vertex": "google",
    "bedrock": "aws",
    "azure": "azure",
    "cohere": "cohere",
}
FIELDS = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_reasoning_mtok": "reasoning",
    "output_citation_mtok": "citation",
    "input_audio_mtok": "audio_input",
    "output_audio_mtok": "audio_output",
    "cache_audio_read_mtok": "audio_cache_read",
    "input_image_mtok": "image_input",
    "output_image_mtok": "image_output",
    "cache_image_read_mtok": "image_cache_read",
    "input_video_mtok": "video_input",
    "output_video_mtok": "video_output",
    "input_audio_hours": "audio_hour",
    "web_searches_kcount": "web_search",
    "storage_searches_kcount": "file_search",
    "requests_kcount": "request",
}
# Prices of what is no chat or embedding; `audio_hours` is given together with `input_audio_hours`.
IGNORED = {
    "audio_hours",
    "input_mchars",
    "input_document_kpages",
    "input_annotated_document_kpages",
    "input_text_messages_kcount",
}
SERVICE_TIERS = {"service_tier", "processing", "speed"}
# A regular expression that excludes names: those that it excludes have entries of their own.
NEGATION = re.compile(r"^\^\(\?!")
# One that only allows a date at the end: lookups remove such dates.
DATED = re.compile(r"(?:-|\[-@\])\\d\{(?:8\}|4\}-\\d\{2\}-\\d\{2\})\$$")


def find(vendor: str, name: str) -> types.ModelInfo | None:
    """What genai-prices has under a model's name."""
    if vendor == "huggingface":
        model, _, host = name.partition(":")
        provider = PROVIDERS.get(HUGGINGFACE + host)
        return provider.find_model(model) if provider else None
    provider = PROVIDERS.get(VENDORS.get(vendor, ""))
    return provider.find_model(name, all_providers=providers) if provider else None


def is_guess(vendor: str, name: str) -> bool:
    """Whether the provider has no such model, so that the price is that of the model's maker."""
    provider = PROVIDERS.get(VENDORS.get(vendor, ""))
    return provider is not None and provider.find_model(name) is None


def converted(model: types.ModelInfo | None) -> Model | None:
    """A model in our form."""
    if model is None:
        return None
    facts = {"context_window": model.context_window} if model.context_window else {}
    return Model(facts, [*_standard_rows(model), *_service_tier_rows(model)])


def names(vendor: str) -> Iterator[str]:
    """Every name that genai-prices spells out, of models that are sold by the token."""
    if vendor == "huggingface":
        # The router takes `model:host`: https://huggingface.co/docs/inference-providers
        for host, provider in PROVIDERS.items():
            if host.startswith(HUGGINGFACE):
                yield from (f"{name}:{host.removeprefix(HUGGINGFACE)}" for name in _names(provider))
    elif vendor in VENDORS:
        yield from (name for name in _names(PROVIDERS[VENDORS[vendor]]) if _belongs(vendor, name))


def patterns(vendor: str) -> Iterator[tuple[str, types.ModelInfo]]:
    """(glob, model) for every rule that is more than a name."""
    for model in PROVIDERS[VENDORS[vendor]].models if vendor in VENDORS else ():
        if _sold_by_token(model) and _belongs(vendor, model.id):
            yield from ((glob, model) for glob in _globs(model.match))


def _belongs(vendor: str, name: str) -> bool:
    """Whether a name of the provider is one of the vendor: Google's Claude models are Vertex AI's alone."""
    if vendor == "gemini":
        return "claude" not in name
    # OpenRouter's names have an author; those without one are left over from a time before.
    return vendor != "openrouter" or "/" in name


def _sold_by_token(model: types.ModelInfo) -> bool:
    rows = _price_list(model)
    return any(field in ("input", "output") for row in rows for field in _fields(row.prices)) or _is_free(model)


def _is_free(model: types.ModelInfo) -> bool:
    """Whether a model costs nothing; elsewhere, no prices means that none are priced."""
    return model.id.endswith(":free")


def _names(provider: types.Provider) -> Iterator[str]:
    for model in provider.models:
        if _sold_by_token(model):
            yield from (name for name in _spelled_names(model) if provider.find_model(name) is model)


def _spelled_names(model: types.ModelInfo) -> list[str]:
    spelled = [clause.equals for clause in _clauses(model.match) if isinstance(clause, types.ClauseEquals)]
    return list(dict.fromkeys(name.lower() for name in (model.id, *spelled) if model.is_match(name)))


def _clauses(match: Any) -> Iterator[Any]:
    if isinstance(match, types.ClauseOr):
        for clause in match.or_:
            yield from _clauses(clause)
    else:
        yield match


def _globs(match: Any) -> Iterator[str]:
    for clause in _clauses(match):
        match clause:
            case types.ClauseStartsWith(starts_with=text):
                yield f"{text}*"
            case types.ClauseEndsWith(ends_with=text):
                yield f"*{text}"
            case types.ClauseContains(contains=text):
                yield f"*{text}*"
            case types.ClauseRegex(regex=regex) if not DATED.search(regex):
                yield _glob(regex)
            case types.ClauseAnd(and_=[types.ClauseStartsWith(starts_with=text), types.ClauseRegex(regex=regex)]):
                if not NEGATION.match(regex):
                    raise ValueError(regex)
                yield f"{text}*"


def _glob(regex: str) -> str:
    """A regular expression of letters and digits as a glob."""
    glob = regex.removeprefix("^").replace(r"\d", "[0-9]").replace(r"\.", ".")
    if re.search(r"[\\^$*+?{}()|]", glob):
        raise ValueError(regex)
    return f"{glob}*"


def _standard_rows(model: types.ModelInfo) -> Iterator[Row]:
    earlier: dict[str, None] = {}
    for conditional in _price_list(model):
        fields = _fields(conditional.prices) or ({"input": "0", "output": "0"} if _is_free(model) else {})
        if fields:
            # A later row replaces an earlier one whole; in our table, field by field.
            yield {"source": "genai-prices", **_condition(conditional.constraint), **earlier, **fields}
            earlier |= dict.fromkeys(fields)


def _service_tier_rows(model: types.ModelInfo) -> Iterator[Row]:
    # There the first variant that fits counts, here the last.
    for variant in reversed(model.price_variants or ()):
        fields, tier = _fields(variant.prices), next(iter(variant.when.values()))
        if fields and SERVICE_TIERS.issuperset(variant.when):
            yield {"source": "genai-prices", **_condition(variant.constraint), "service_tier": tier, **fields}


def unused_variants() -> Iterator[str]:
    """The variants of prices that depend on something other than the service tier."""
    for provider in (PROVIDERS[name] for name in dict.fromkeys(VENDORS.values())):
        for model in provider.models:
            for variant in model.price_variants or ():
                if not SERVICE_TIERS.issuperset(variant.when):
                    yield f"{provider.id} {model.id}: {variant.when}"


def _price_list(model: types.ModelInfo) -> list[types.ConditionalPrice]:
    if isinstance(model.prices, types.ModelPrice):
        return [types.ConditionalPrice(prices=model.prices)]
    return model.prices


def _condition(constraint: Any) -> Row:
    match constraint:
        case types.StartDateConstraint(start_date=day):
            return {"since": day.isoformat()}
        case types.TimeOfDateConstraint(start_time=start, end_time=end):
            return {"hours": f"{start:%H:%M}-{end:%H:%M}"}
    return {}


def _fields(prices: types.ModelPrice) -> dict[str, Any]:
    priced = {key: value for key, value in vars(prices).items() if value is not None and key not in IGNORED}
    return {FIELDS[key]: _price(value) for key, value in priced.items()}


def _price(value: Decimal | types.TieredPrices) -> str | list[str | int]:
    if isinstance(value, Decimal):
        return dollars(value)
    tiers = [part for tier in value.tiers for part in (tier.start, dollars(tier.price))]
    return [dollars(value.base), *tiers]
