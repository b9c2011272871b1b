"""The models of LiteLLM's model_prices_and_context_window.json: facts that genai-prices has not, and other models."""

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

from tools.model_table import PARENTS, Model, Price, Row, dollars

Entry = dict[str, Any]

# Our vendors, by LiteLLM's name for the provider (globs) and what stands before the vendor's own name of a model.
VENDORS: dict[str, tuple[str, str]] = {
    "openai": (r"openai", ""),
    "anthropic": (r"anthropic", ""),
    "groq": (r"groq", "groq/"),
    "mistral": (r"mistral", "mistral/"),
    "deepseek": (r"deepseek", "deepseek/"),
    "xai": (r"xai", "xai/"),
    "together": (r"together_ai", "together_ai/"),
    "fireworks": (r"fireworks_ai(-embedding-models)?", "fireworks_ai/accounts/"),
    "perplexity": (r"perplexity", "perplexity/"),
    "cerebras": (r"cerebras", "cerebras/"),
    "deepinfra": (r"deepinfra", "deepinfra/"),
    "moonshot": (r"moonshot", "moonshot/"),
    "sambanova": (r"sambanova", "sambanova/"),
    "dashscope": (r"dashscope", "dashscope/"),
    "inception": (r"inception", "inception/"),
    "ollama": (r"ollama", "ollama/"),
    "gemini": (r"gemini", "gemini/"),
    "vertex": (r"vertex_ai(-.*)?", "(vertex_ai/)?"),
    "bedrock": (r"bedrock(_converse)?", ""),
    "azure": (r"azure|azure_ai", "(azure|azure_ai)/"),
    "cohere": (r"cohere|cohere_chat", "(cohere/)?"),
}
# What is part of the vendor's own name, though it is in the prefix too.
KEPT = {"fireworks": "accounts/"}
# Names that no request has: price classes of Together AI, Azure's and Bedrock's regions, OpenAI's containers.
NO_MODEL = re.compile(r"(azure(_ai)?/(eu|us|us-gov|global|global-standard|apac|standard)|bedrock|openai)/|together-ai-")
# Elsewhere LiteLLM writes 0 for a price that it does not have.
FREE = re.compile(r"ollama/|gemini/gemma-")
MODES = {"chat": "chat", "completion": "chat", "responses": "responses", "embedding": "embedding"}
ABILITIES = {
    "vision": "supports_vision",
    "tools": "supports_function_calling",
    "json_schema": "supports_response_schema",
}
FIELDS = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "output_cost_per_reasoning_token": "reasoning",
    "citation_cost_per_token": "citation",
    "input_cost_per_audio_token": "audio_input",
    "output_cost_per_audio_token": "audio_output",
    "cache_read_input_audio_token_cost": "audio_cache_read",
    "input_cost_per_image_token": "image_input",
    "output_cost_per_image_token": "image_output",
    "cache_read_input_image_token_cost": "image_cache_read",
    "input_cost_per_video_token": "video_input",
    "output_cost_per_video_token": "video_output",
}
SERVICE_TIERS = {"batches": "batch", "flex": "flex", "priority": "priority", "ultrafast": "ultrafast"}
KEY = re.compile(rf"({'|'.join(FIELDS)})(?:_above_(\d+)k_tokens)?(?:_({'|'.join(SERVICE_TIERS)}))?")


def read(path: Path) -> dict[str, dict[str, Model]]:
    """The models of LiteLLM's file, by vendor and the vendor's own name in lower case."""
    entries = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    return {vendor: _models(vendor, entries) for vendor in VENDORS}


def _models(vendor: str, entries: dict[str, Entry]) -> dict[str, Model]:
    provider, prefix = VENDORS[vendor]
    models = {}
    for key, entry in entries.items():
        match = re.match(prefix, key)
        if not match or NO_MODEL.match(key) or not re.fullmatch(provider, entry.get("litellm_provider", "")):
            continue
        name = KEPT.get(vendor, "") + key[match.end() :].lower()
        model = _model(key, entry)
        # `vertex_ai/x` beside `x`: the key with the vendor's name counts.
        if model and (name not in models or match.group()):
            models[name] = model
    return models


def _model(key: str, entry: Entry) -> Model | None:
    mode = MODES.get(entry.get("mode", ""))
    prices = _rows(entry)
    if prices and not FREE.match(key) and [prices[0].get("input"), prices[0].get("output", "0")] == ["0", "0"]:
        prices = []
    if not mode or not (prices or entry.get("max_input_tokens")):
        return None
    # An embedding model's limit is one for each input.
    window = "max_input_tokens" if mode == "embedding" else "context_window"
    facts = {
        "mode": mode,
        window: entry.get("max_input_tokens"),
        "max_output_tokens": entry.get("max_output_tokens") if mode != "embedding" else None,
        **{ability: entry.get(key) for ability, key in ABILITIES.items()},
        "reasoning": _reasons_by_default(key, entry) or None,
    }
    modalities = entry.get("supported_modalities")
    if facts["vision"] is None and modalities:
        facts["vision"] = "image" in modalities
    return Model({fact: value for fact, value in facts.items() if value is not None}, prices)


def _reasons_by_default(key: str, entry: Entry) -> bool:
    """Whether a model that can reason does so unasked: a Claude where the entry says so, others unless it denies it."""
    if "claude" in key:
        return bool(entry.get("thinking_always_on") or entry.get("thinking_on_by_default"))
    return bool(entry.get("supports_reasoning")) and entry.get("default_reasoning_effort") != "none"


def _rows(entry: Entry) -> list[Row]:
    by_tier: dict[str, dict[str, dict[int, str]]] = {"": {}}
    for key, value in entry.items():
        match = KEY.fullmatch(key)
        if match and value is not None:
            field, above, tier = match.groups(default="")
            fields = by_tier.setdefault(SERVICE_TIERS.get(tier, ""), {})
            fields.setdefault(FIELDS[field], {})[int(above or 0) * 1000] = dollars(value * 1_000_000)
    for size in entry.get("tiered_pricing", ()):
        for key in FIELDS.keys() & size.keys():
            by_tier[""].setdefault(FIELDS[key], {})[int(size["range"][0])] = dollars(size[key] * 1_000_000)
    standard = {**_prices(by_tier.pop("")), **_calls(entry)}
    standard = {field: price for field, price in standard.items() if not _is_superfluous(field, standard)}
    tiers = [{"service_tier": tier, **prices} for tier, fields in by_tier.items() if (prices := _prices(fields))]
    return [{"source": "litellm", **row} for row in (standard, *tiers)] if standard else []


def _is_superfluous(field: str, prices: dict[str, Price]) -> bool:
    """Whether a price is that of its parent, or of a write to a cache that costs no more than other input."""
    return prices[field] == prices.get(PARENTS.get(field, "")) or (field == "cache_write" and prices[field] == "0")


def _prices(fields: dict[str, dict[int, str]]) -> dict[str, Price]:
    return {field: _price(by_size) for field, by_size in fields.items() if 0 in by_size}


def _price(by_size: dict[int, str]) -> Price:
    if set(by_size.values()) == {by_size[0]}:
        return by_size[0]
    tiers = [part for size, price in sorted(by_size.items()) if size for part in (size, price)]
    return [by_size[0], *tiers]


def _calls(entry: Entry) -> dict[str, Price]:
    """Prices of calls, in dollars a thousand."""
    search = entry.get("search_context_cost_per_query", {}).get("search_context_size_medium")
    calls = {"web_search": search, "request": entry.get("input_cost_per_request")}
    return {call: dollars(Decimal(price) * 1000) for call, price in calls.items() if price}
