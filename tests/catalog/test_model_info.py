"""The table of models: its form, how it fits the vendors and the substitutes; and what it says of some models."""

import re
from dataclasses import fields, replace
from decimal import Decimal
from fnmatch import fnmatchcase
from itertools import pairwise

import pytest

from gateway.catalog import model_info, substitutes
from gateway.catalog.model_info import TABLE, UNKNOWN, VENDORS, ModelInfo, PriceRow
from gateway.catalog.vendors import VENDORS as KNOWN_VENDORS

# Vendors of the table that the gateway has no row for yet.
FUTURE_VENDORS = {"azure", "bedrock", "cohere", "gemini", "ollama", "vertex"}
CONDITIONS = {"source", "since", "hours", "service_tier"}
FACTS = {
    **dict.fromkeys(("context_window", "max_input_tokens", "max_output_tokens"), int),
    **dict.fromkeys(("vision", "tools", "json_schema", "reasoning"), bool),
    "mode": str,
    "prices": list,
}
ENTRIES = [
    (vendor, name, entry)
    for vendor, table in VENDORS.items()
    for name, entry in table["models"].items()
    if not isinstance(entry, str)
]
ROWS = [(vendor, name, row) for vendor, name, entry in ENTRIES for row in entry.get("prices", ())]
PATTERNS = [(vendor, list(table["patterns"].items())) for vendor, table in VENDORS.items()]
SUBSTITUTES = [
    (vendor, model) for vendor in substitutes.SUBSTITUTES if vendor != "echo" for model in substitutes.models(vendor)
]


def dollars(input_price, output_price):
    """A pair of costs, from prices a million tokens."""
    return pytest.approx((input_price / 1e6, output_price / 1e6))


def prices_of(row):
    return {field: price for field, price in row.items() if field not in CONDITIONS}


def entry_of(vendor, name):
    entry = VENDORS[vendor]["models"][name]
    return VENDORS[vendor]["models"][entry] if isinstance(entry, str) else entry


def test_the_table_says_when_and_from_what_it_was_made():
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", TABLE["generated"])
    assert set(TABLE["sources"]) == {"genai-prices", "litellm"}
    assert TABLE["sources"]["litellm"] not in ("1.82.7", "1.82.8")


def test_every_vendor_of_the_table_is_known_or_comes_next():
    assert set(VENDORS) - set(KNOWN_VENDORS) <= FUTURE_VENDORS


def test_entries_have_known_facts_of_the_right_type():
    assert [
        (vendor, name, fact)
        for vendor, name, entry in ENTRIES
        for fact, value in entry.items()
        if type(value) is not FACTS.get(fact)
    ] == []
    assert [(vendor, name) for vendor, name, entry in ENTRIES if not entry] == []


def test_names_and_patterns_are_in_lower_case_since_a_lookup_is():
    names = [name for table in VENDORS.values() for name in (*table["models"], *table["patterns"])]
    assert [name for name in names if name != name.lower()] == []


def test_no_name_is_too_long_to_be_looked_up():
    assert max(len(name) for _, name, _ in ENTRIES) <= model_info.MAX_NAME_LENGTH


def test_aliases_and_patterns_lead_to_entries():
    for vendor, table in VENDORS.items():
        for name in (*table["models"], *table["patterns"].values()):
            assert isinstance(entry_of(vendor, name), dict), (vendor, name)


@pytest.mark.parametrize("vendor, patterns", PATTERNS, ids=[vendor for vendor, _ in PATTERNS])
def test_no_pattern_is_hidden_by_an_earlier_one_of_another_model(vendor, patterns):
    for glob, name in patterns:
        first, other = next(
            (earlier, other) for earlier, other in patterns if earlier == glob or fnmatchcase(glob, earlier)
        )
        assert entry_of(vendor, other) == entry_of(vendor, name), f"{first} is before {glob}"


def test_price_rows_have_known_fields_and_a_source():
    assert [row for _, _, row in ROWS if not row.keys() <= PriceRow.__annotations__.keys()] == []
    assert [row for _, _, row in ROWS if not row.get("source") or not prices_of(row)] == []


def test_prices_are_exact_text_with_rising_sizes_of_the_prompt():
    for vendor, name, row in ROWS:
        for field, price in prices_of(row).items():
            parts = [price] if isinstance(price, str) else price or []
            assert all(re.fullmatch(r"\d+(\.\d*[1-9])?", part) for part in parts[::2]), (vendor, name, field)
            assert all(a < b for a, b in pairwise([0, *parts[1::2]])), (vendor, name, field)
            assert all(Decimal(part) < 10_000 for part in parts[::2]), (vendor, name, field)


def test_conditions_of_price_rows_are_dates_hours_and_service_tiers():
    for vendor, name, row in ROWS:
        assert re.fullmatch(r"(20\d\d-\d\d-\d\d)?", row.get("since", "")), (vendor, name)
        assert re.fullmatch(r"(\d\d:\d\d-\d\d:\d\d)?", row.get("hours", "")), (vendor, name)
        assert row.get("service_tier", "batch") in ("batch", "fast", "flex", "priority", "ultrafast"), (vendor, name)


def test_prices_for_hours_of_the_day_are_peak_prices():
    """`input_cost` and `output_cost` count on it."""
    for vendor, name, entry in ENTRIES:
        for earlier, row in pairwise(entry.get("prices", ())):
            if "hours" in row:
                assert Decimal(earlier["input"]) <= Decimal(row["input"]), (vendor, name)


def test_a_model_that_is_priced_is_priced_before_any_date():
    unpriced = [
        (vendor, name)
        for vendor, name, entry in ENTRIES
        if entry.get("prices") and not any(row.keys().isdisjoint(CONDITIONS - {"source"}) for row in entry["prices"])
    ]
    assert unpriced == []


@pytest.mark.parametrize("vendor, model", SUBSTITUTES, ids=[f"{vendor}/{model}" for vendor, model in SUBSTITUTES])
def test_a_substitute_is_known(vendor, model):
    assert model_info.lookup(vendor, model) is not UNKNOWN


def test_every_vendor_with_substitutes_has_models_in_the_table():
    assert set(substitutes.SUBSTITUTES) - set(VENDORS) == {"echo"}


def test_windows_of_chat_models_are_of_a_size_that_models_have():
    windows = [entry["context_window"] for _, _, entry in ENTRIES if "context_window" in entry]
    assert all(512 <= window <= 10_000_000 for window in windows)


@pytest.mark.parametrize(
    "vendor, model, context_window, costs",
    [
        ("openai", "gpt-4o", 128_000, (2.5, 10)),
        ("openai", "gpt-4o-2024-08-06", 128_000, (2.5, 10)),
        ("openai", "gpt-4o-2024-05-13", 128_000, (5, 15)),
        ("openai", "gpt-4o-mini-2024-07-18", 128_000, (0.15, 0.6)),
        ("openai", "gpt-4.1-nano-2025-04-14", 1_047_576, (0.1, 0.4)),
        ("openai", "gpt-5.4-mini-2026-03-17", 272_000, (0.75, 4.5)),
        ("openai", "gpt-5-2025-08-07", 272_000, (1.25, 10)),
        ("openai", "gpt-5-2027-01-31", 272_000, (1.25, 10)),
        ("openai", "gpt-6-sol-preview", 922_000, (2, 10)),
        ("anthropic", "claude-haiku-4-5-20251001", 200_000, (1, 5)),
        ("anthropic", "claude-opus-4-20250514", 200_000, (15, 75)),
        ("anthropic", "claude-opus-4-1-20250805", 200_000, (15, 75)),
        ("anthropic", "claude-opus-4-7-20260416", 1_000_000, (5, 25)),
        ("anthropic", "claude-opus-5-5", 1_000_000, (4, 20)),
        ("anthropic", "claude-sonnet-4-20250514", 200_000, (3, 15)),
        ("anthropic", "claude-sonnet-5-5-20270131", 1_000_000, (2, 10)),
        ("mistral", "mistral-medium-3.5", 262_144, (1.5, 7.5)),
        ("mistral", "mistral-large-latest", 262_144, (0.5, 1.5)),
        ("mistral", "ministral-3-8b-2512", 262_144, (0.15, 0.15)),
        ("deepseek", "deepseek-chat", 131_072, (0.28, 0.42)),
        ("deepseek", "deepseek-v4-pro", 1_000_000, (1.32, 3.96)),
        ("xai", "grok-4.20-0309-non-reasoning", 1_000_000, (1.25, 2.5)),
        ("fireworks", "accounts/fireworks/models/gpt-oss-20b", 131_072, (0.07, 0.3)),
        ("fireworks", "accounts/somebody/models/gpt-oss-20b", 131_072, (0.07, 0.3)),
        ("dashscope", "qwen-plus-2025-09-11", 997_952, (0.4, 1.2)),
        ("dashscope", "qwen-plus-2025-04-28", 129_024, (0.4, 1.2)),
    ],
)
def test_a_dated_variant_has_its_models_window_and_costs(vendor, model, context_window, costs):
    info = model_info.lookup(vendor, model)
    assert info.context_window == context_window
    assert (info.input_cost, info.output_cost) == dollars(*costs)


@pytest.mark.parametrize(
    "vendor, model, expected",
    [
        ("openai", "gpt-3.5-turbo", {"vision": False, "tools": True, "json_schema": False, "reasoning": False}),
        ("openai", "gpt-4-turbo-preview", {"vision": False, "json_schema": False}),
        ("openai", "gpt-4-turbo-2024-04-09", {"vision": True, "json_schema": False}),
        ("openai", "o3-mini", {"vision": False, "tools": True, "reasoning": True}),
        ("openai", "gpt-4.1", {"vision": True, "tools": True, "json_schema": True, "reasoning": False}),
        ("openai", "gpt-4.1", {"max_output_tokens": 32_768}),
        ("anthropic", "claude-3-haiku-20240307", {"vision": True, "json_schema": None, "reasoning": False}),
        ("openai", "gpt-5-mini", {"reasoning": True}),
        ("openai", "gpt-5.4-2026-03-05", {"json_schema": True, "reasoning": False}),
        ("anthropic", "claude-sonnet-4-6", {"vision": True, "json_schema": True, "reasoning": False}),
        ("anthropic", "claude-sonnet-5", {"vision": True, "json_schema": True, "reasoning": True}),
        ("perplexity", "sonar", {"tools": False, "json_schema": True, "reasoning": False}),
        ("xai", "grok-4.20-non-reasoning", {"reasoning": False}),
        ("xai", "grok-4.20-reasoning", {"reasoning": True}),
        ("deepseek", "deepseek-v4-pro", {"vision": False, "json_schema": None, "reasoning": True}),
        ("groq", "llama-3.1-8b-instant", {"tools": True, "json_schema": False}),
    ],
)
def test_what_a_model_can_do(vendor, model, expected):
    info = model_info.lookup(vendor, model)
    assert {name: getattr(info, name) for name in expected} == expected


@pytest.mark.parametrize(
    "vendor, model",
    [
        ("openai", "gpt-99"),
        ("openai", "gpt-5.4-mega"),
        ("openai", "claude-opus-5-5"),
        ("anthropic", "gpt-4o"),
        ("openrouter", "gpt-4o"),
        ("vllm", "gpt-4o"),
        ("nobody", "gpt-4o"),
        ("echo", "echo"),
        ("openai", ""),
        ("openai", "gpt-6-sol" + "o" * 300),
    ],
)
def test_nothing_is_known_of_a_model_that_is_not_in_the_table(vendor, model):
    assert model_info.lookup(vendor, model) is UNKNOWN


@pytest.mark.parametrize(
    "vendor, model, same",
    [
        ("openai", "GPT-4o", "gpt-4o"),
        ("together", "meta-llama/Llama-3.3-70B-Instruct-Turbo", "meta-llama/llama-3.3-70b-instruct-turbo"),
    ],
)
def test_a_name_is_looked_up_in_any_case(vendor, model, same):
    assert model_info.lookup(vendor, model) is model_info.lookup(vendor, same) is not UNKNOWN


def test_a_second_lookup_returns_the_same_object():
    assert model_info.lookup("openai", "gpt-4o") is model_info.lookup("openai", "gpt-4o")


def test_an_embedding_model_has_no_window_that_a_request_of_many_inputs_would_exceed():
    info = model_info.lookup("openai", "text-embedding-3-small")
    assert info.context_window is None
    assert (info.input_cost, info.output_cost) == dollars(0.02, 0)


def test_a_model_has_the_price_rows_of_its_entry():
    rows = model_info.lookup("openai", "gpt-5.4").prices
    assert rows is VENDORS["openai"]["models"]["gpt-5.4"]["prices"]
    assert ["2.5", 272_000, "5"] in [row["input"] for row in rows]
    assert {row.get("service_tier") for row in rows} == {None, "batch", "fast", "flex", "priority"}


def test_a_model_info_can_be_hashed_though_its_prices_cannot():
    info = model_info.lookup("openai", "gpt-5.4")
    assert hash(info) == hash(replace(info, prices=None))


def test_unknown_says_nothing():
    values = {field.name: getattr(UNKNOWN, field.name) for field in fields(ModelInfo)}
    assert values == {**dict.fromkeys(values), "reasoning": False}
