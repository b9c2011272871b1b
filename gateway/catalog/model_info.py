"""
What is known about models: a table, and the lookup in it.

The table is models.json beside this file. `make models` generates it from two public lists and our overrides, as
docs/providers.md describes. Its prices are decimal text: a price as a binary float is off by a fraction, and so would
be every sum that is billed with it; `Decimal` reads the text exactly. A deployer's model_info overrides the facts and
the two costs.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any, TypedDict

from gateway import json_codec

# A price, or prices by the prompt's size: ["2.5", 272000, "5"] is 2.5 for each token, and 5 for each where the prompt,
# cached tokens included, has more than 272,000. None: no price of its own.
Price = str | Sequence[str | int] | None


class PriceRow(TypedDict, total=False):
    """
    Prices in US dollars: a million tokens, a thousand calls (`request`, `web_search`, `file_search`), an hour of audio.

    The rows of a model are read in order, and of those that hold, a later one replaces the prices that it has. A row
    holds from the day `since` (UTC) on, in the `hours` ("01:00-04:00", UTC), and for requests of its `service_tier`
    (`batch`, `flex`, `priority`, ...); always, where it has no such condition. A kind of tokens without a price costs
    what the wider kind costs: cached, audio, image and video tokens as `input` or `output`, `reasoning` and `citation` as
    `output`, `cache_write_1h` as `cache_write`, which is a write with the vendor's usual lifetime (Anthropic's is 5
    minutes), and that as `input`.
    """

    source: str
    since: str
    hours: str
    service_tier: str
    input: Price
    cache_read: Price
    cache_write: Price
    cache_write_1h: Price
    output: Price
    reasoning: Price
    citation: Price
    audio_input: Price
    audio_output: Price
    audio_cache_read: Price
    audio_hour: Price
    image_input: Price
    image_output: Price
    image_cache_read: Price
    video_input: Price
    video_output: Price
    request: Price
    web_search: Price
    file_search: Price


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """
    What is known of a model; None: not known. False keeps requests away from a model: it is only set where a list or
    the vendor's documentation says that the model lacks a feature.

    `context_window`: input tokens that it takes; None for embedding models, whose limit is one for each input.
    `reasoning`: it reasons before it answers, visibly or not, even when the request does not mention it, so that
    minutes may pass before the first content. `input_cost`, `output_cost`: US dollars a token for short prompts, on
    the day when the table was made, and where prices depend on the hour, at the dearest.
    """

    context_window: int | None = None
    vision: bool | None = None
    tools: bool | None = None
    json_schema: bool | None = None
    reasoning: bool = False
    input_cost: float | None = None
    output_cost: float | None = None
    max_output_tokens: int | None = None
    # Not compared, since rows cannot be hashed.
    prices: Sequence[PriceRow] | None = field(default=None, compare=False, repr=False)


UNKNOWN = ModelInfo()

# Read as the module is imported, so that no request waits for it.
TABLE: Mapping[str, Any] = json_codec.loads(Path(__file__).with_name("models.json").read_bytes())
VENDORS: Mapping[str, Mapping[str, Mapping[str, Any]]] = TABLE["vendors"]

# No model has a longer name; one that a client makes up may be megabytes long, and must not stay in the cache.
MAX_NAME_LENGTH = 256
# The date at the end of a model's name: `-2026-03-05` (OpenAI), `-20260305` (Anthropic), `@20260305` (Vertex AI).
DATE = re.compile(r"[-@]20\d\d-?[01]\d-?[0-3]\d$")


def lookup(vendor: str, model: str) -> ModelInfo:
    """What is known of a vendor's model, by its name in any case; of a dated one without an entry, by its undated name."""
    return _lookup(vendor, model.lower()) if len(model) <= MAX_NAME_LENGTH else UNKNOWN


@lru_cache(maxsize=4096)
def _lookup(vendor: str, name: str) -> ModelInfo:
    entry = _entry(vendor, name)
    if entry is None:
        return UNKNOWN
    prices: Sequence[PriceRow] | None = entry.get("prices")
    standard = _standard_prices(prices or ())
    return ModelInfo(
        context_window=entry.get("context_window"),
        vision=entry.get("vision"),
        tools=entry.get("tools"),
        json_schema=entry.get("json_schema"),
        reasoning=entry.get("reasoning", False),
        input_cost=_dollars_per_token(standard.get("input")),
        output_cost=_dollars_per_token(standard.get("output")),
        max_output_tokens=entry.get("max_output_tokens"),
        prices=prices,
    )


def _entry(vendor: str, name: str) -> Mapping[str, Any] | None:
    """A model's entry: under its name, its name without a date, or the first glob that matches."""
    if vendor not in VENDORS:
        return None
    models = VENDORS[vendor]["models"]
    entry = models.get(name) or models.get(DATE.sub("", name))
    if entry is None:
        entry = next(
            (models[target] for glob, target in VENDORS[vendor]["patterns"].items() if _fits(glob, name)), None
        )
    # An entry that is only a name is an alias.
    return models[entry] if isinstance(entry, str) else entry


def _fits(glob: str, name: str) -> bool:
    # To compile a glob takes 0.1 ms, and one vendor has 300: most are excluded by their text.
    return ("[" in glob or all(text in name for text in glob.split("*"))) and fnmatchcase(name, glob)


def _standard_prices(rows: Sequence[PriceRow]) -> PriceRow:
    """The prices on the day when the table was made; rows for hours of the day are peak prices, and count."""
    prices: PriceRow = {}
    for row in rows:
        if row.get("since", "") <= TABLE["generated"] and "service_tier" not in row:
            prices |= row
    return prices


def _dollars_per_token(price: Price) -> float | None:
    """A float, which is exact enough to compare costs."""
    if price is None:
        return None
    return float(price if isinstance(price, str) else price[0]) / 1_000_000
