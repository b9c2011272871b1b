"""What the sources of the table of models have in common: a model's facts and price rows, and how prices are written."""

import re
from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import Any

# A row of prices as gateway/catalog/model_info.py describes it.
Row = dict[str, Any]
# A price, or prices by the prompt's size: ["2.5", 272000, "5"] is 2.5, and 5 for prompts of more than 272,000 tokens.
Price = str | list[str | int]

# The facts of an entry and the keys of a row, in the order in which they are written.
FACTS = (
    "mode",
    "context_window",
    "max_input_tokens",
    "max_output_tokens",
    "vision",
    "tools",
    "json_schema",
    "reasoning",
)
CONDITIONS = ("source", "since", "hours", "service_tier")
PRICES = (
    *("input", "cache_read", "cache_write", "cache_write_1h", "output", "reasoning", "citation"),
    *("audio_input", "audio_output", "audio_cache_read", "audio_hour"),
    *("image_input", "image_output", "image_cache_read", "video_input", "video_output"),
    *("request", "web_search", "file_search"),
)
# The price that counts where a row has none of its own.
PARENTS = {
    "cache_read": "input",
    "cache_write": "input",
    "cache_write_1h": "cache_write",
    "reasoning": "output",
    "citation": "output",
    "audio_input": "input",
    "audio_output": "output",
    "audio_cache_read": "cache_read",
    "image_input": "input",
    "image_output": "output",
    "image_cache_read": "cache_read",
    "video_input": "input",
    "video_output": "output",
}
# LiteLLM multiplies prices in floating point, so that some end in ...0000000001; no vendor has 10 significant digits.
TEN_DIGITS = Context(prec=10)
# `-2026-03-05`, `-20260305`, `@20260305`: the lookup removes them too, so the table needs no such names.
DATE = re.compile(r"[-@]20\d\d-?[01]\d-?[0-3]\d$")


@dataclass
class Model:
    """What one source knows of a model."""

    facts: dict[str, Any] = field(default_factory=dict)
    prices: list[Row] = field(default_factory=list)


def entry(model: Model) -> dict[str, Any]:
    """A model as the file has it. Raises KeyError: it has a fact or a price that the file's readers do not know."""
    facts = _in_order(model.facts, FACTS)
    return {**facts, "prices": [_in_order(row, CONDITIONS + PRICES) for row in model.prices]} if model.prices else facts


def _in_order(members: dict[str, Any], order: tuple[str, ...]) -> dict[str, Any]:
    if unknown := members.keys() - set(order):
        raise KeyError(*unknown)
    return {key: members[key] for key in order if key in members}


def dollars(price: Decimal) -> str:
    """A price as exact text, without an exponent or superfluous zeros."""
    return format(TEN_DIGITS.plus(price).normalize(), "f")


def fields_of(row: Row) -> dict[str, Price | None]:
    """The prices of a row, without its conditions."""
    return {key: value for key, value in row.items() if key not in CONDITIONS}


def current_prices(prices: list[Row], day: str) -> dict[str, Price]:
    """The standard prices on a day, at the hours without a row of their own."""
    current: dict[str, Price | None] = {}
    for row in prices:
        if row.get("since", "") <= day and "hours" not in row and "service_tier" not in row:
            current |= fields_of(row)
    return {key: value for key, value in current.items() if value is not None}


def undated(name: str) -> str:
    """A model's name without the date at its end."""
    return DATE.sub("", name)
