"""The prices of the table, compared with what genai-prices computes for 200 of its models."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import chain, product, zip_longest
from typing import NamedTuple

import genai_prices
import pytest

from gateway.catalog.model_info import TABLE, VENDORS

PROVIDERS = {"xai": "x-ai", "moonshot": "moonshotai", "gemini": "google", "vertex": "google", "bedrock": "aws"}
CONTEXTS = {
    None: {},
    "batch": {"processing": "batch"},
    "fast": {"service_tier": "fast", "speed": "fast"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
}
SIZE = 200
NOON = datetime.fromisoformat(f"{TABLE['generated']}T12:00:00").replace(tzinfo=UTC)
MILLION = Decimal(1_000_000)


class Request(NamedTuple):
    """What a request used, in tokens, and when and how it was sent."""

    prompt: int
    cached: int
    output: int
    at: datetime
    service_tier: str | None


def from_genai_prices(entry):
    """The rows of an entry that come from genai-prices."""
    return [row for row in entry.get("prices", ()) if row["source"] == "genai-prices"]


def sample():
    """(vendor, model) pairs, of all vendors in turn, with the models whose prices depend on something first."""
    rng = random.Random(TABLE["generated"])
    by_vendor = []
    for vendor, table in VENDORS.items():
        entries = {name: entry for name, entry in table["models"].items() if isinstance(entry, dict)}
        names = sorted(name for name, entry in entries.items() if from_genai_prices(entry))
        rng.shuffle(names)
        names.sort(key=lambda name: -len(str(from_genai_prices(entries[name]))) // 400)
        by_vendor.append([(vendor, name) for name in names])
    in_turn = chain.from_iterable(zip_longest(*by_vendor))
    return [pair for pair in in_turn if pair][:SIZE]


SAMPLE = sample()


def holds(row, at, service_tier):
    start, _, end = row.get("hours", "00:00-24:00").partition("-")
    return (
        row.get("since", "") <= at.date().isoformat()
        and row.get("service_tier") in (None, service_tier)
        and start <= f"{at:%H:%M}" < end
    )


def cost(entry, request):
    """Dollars for a request, from the rows as PriceRow describes them."""
    prices = {}
    for row in entry["prices"]:
        if holds(row, request.at, request.service_tier):
            prices |= row

    def price(field, wider=None):
        parts = prices.get(field) or prices.get(wider) or "0"
        base, *tiers = [parts] if isinstance(parts, str) else parts
        above = [price for size, price in zip(tiers[::2], tiers[1::2], strict=True) if request.prompt > size]
        return Decimal((above or [base])[-1])

    tokens = (
        (request.prompt - request.cached) * price("input")
        + request.cached * price("cache_read", "input")
        + request.output * price("output")
    )
    return tokens / MILLION + price("request") / 1000


def expected(vendor, name, request):
    model, _, host = name.partition(":") if vendor == "huggingface" else (name, "", "")
    usage = genai_prices.Usage(
        input_tokens=request.prompt, cache_read_tokens=request.cached, output_tokens=request.output
    )
    return genai_prices.calc_price(
        usage,
        model,
        provider_id=f"huggingface_{host}" if host else PROVIDERS.get(vendor, vendor),
        genai_request_timestamp=request.at,
        price_context=CONTEXTS[request.service_tier],
    ).total_price


def moments(rows):
    """Days and hours on both sides of every change of the prices."""
    yield NOON
    for row in rows:
        if "since" in row:
            day = datetime.fromisoformat(row["since"]).replace(tzinfo=UTC)
            yield from (day - timedelta(minutes=1), day)
        for hour in row["hours"].split("-") if "hours" in row else ():
            border = NOON.replace(hour=int(hour[:2]), minute=int(hour[3:]))
            yield from (border - timedelta(minutes=1), border)


def prompts(rows):
    """Sizes on both sides of every border of a tier."""
    prices = [price for row in rows for price in row.values() if isinstance(price, list)]
    borders = {size for price in prices for size in price[1::2]}
    return sorted({1, 12_345, *borders, *(size + 1 for size in borders)})


def test_the_table_and_the_tests_have_the_same_version_of_genai_prices():
    assert TABLE["sources"]["genai-prices"] == genai_prices.__version__


def test_the_sample_has_models_of_every_kind_of_price():
    rows = [row for vendor, name in SAMPLE for row in from_genai_prices(VENDORS[vendor]["models"][name])]
    assert len(set(SAMPLE)) == SIZE
    assert {row.get("service_tier") for row in rows} == set(CONTEXTS)
    assert all(sum(condition in row for row in rows) > 4 for condition in ("since", "hours", "service_tier"))
    assert sum(len(prompts([row])) > 2 for row in rows) > 40


@pytest.mark.parametrize("vendor, name", SAMPLE, ids=[f"{vendor}/{name}" for vendor, name in SAMPLE])
def test_a_request_costs_what_genai_prices_computes(vendor, name):
    entry = VENDORS[vendor]["models"][name]
    rows = from_genai_prices(entry)
    tiers = {None, *(row["service_tier"] for row in rows if "service_tier" in row)}
    # A price of cached tokens that only LiteLLM has is none of genai-prices'.
    cache = any("cache_read" in row for row in rows)
    for at, prompt, tier in product(moments(rows), prompts(rows), tiers):
        for cached, output in ((0, 0), (0, 777), (prompt // 2 if cache else 0, 1)):
            request = Request(prompt, cached, output, at, tier)
            # Some of its prices for Hugging Face are binary floats, off by 1e-17.
            assert round(cost(entry, request), 12) == round(expected(vendor, name, request), 12), request
