"""The table of models: against itself, the vendors and the stand-ins; and what it says of some."""

import re
from dataclasses import fields
from fnmatch import fnmatchcase

import pytest

from gateway.catalog import model_info, substitutes
from gateway.catalog.model_info import TABLE, UNKNOWN, ModelInfo
from gateway.catalog.vendors import VENDORS


def example(glob):
    """The shortest name that a glob matches."""
    return re.sub(r"\[(.)[^]]*\]", r"\1", glob).replace("*", "")


def dollars(input_price, output_price):
    """A pair of costs, from prices a million tokens."""
    return pytest.approx((input_price / 1e6, output_price / 1e6))


def first(vendor, model):
    """The number of the row that answers for a model; None: none does."""
    return next((n for n, (name, glob, _) in enumerate(TABLE) if name == vendor and fnmatchcase(model, glob)), None)


SUBSTITUTES = [
    (vendor, model) for vendor in substitutes.SUBSTITUTES if vendor != "echo" for model in substitutes.models(vendor)
]


@pytest.mark.parametrize(
    "number, row", list(enumerate(TABLE)), ids=[f"{vendor}/{glob}".replace("[", "(") for vendor, glob, _ in TABLE]
)
def test_a_row_answers_for_its_own_example_and_no_earlier_row_does(number, row):
    vendor, glob, known = row
    assert first(vendor, example(glob)) == number
    assert model_info.lookup(vendor, example(glob)) is known


@pytest.mark.parametrize("number, row", list(enumerate(TABLE)))
def test_no_glob_lies_within_an_earlier_one(number, row):
    vendor, glob, _ = row
    for name, earlier, _ in TABLE[:number]:
        assert name != vendor or not fnmatchcase(glob, earlier), f"{earlier} is before {glob}"


def test_a_row_is_a_vendors_and_says_something():
    for vendor, glob, known in TABLE:
        assert vendor in VENDORS
        assert " " not in glob
        assert known != UNKNOWN


@pytest.mark.parametrize("vendor, model", SUBSTITUTES, ids=[f"{vendor}/{model}" for vendor, model in SUBSTITUTES])
def test_a_stand_in_is_known(vendor, model):
    assert model_info.lookup(vendor, model) is not UNKNOWN


def test_only_the_built_in_stand_in_has_no_row():
    assert set(substitutes.SUBSTITUTES) - {vendor for vendor, _, _ in TABLE} == {"echo"}


def test_costs_come_in_pairs_are_positive_and_no_output_is_cheaper_than_input():
    for vendor, glob, known in TABLE:
        if known.input_cost is None or known.output_cost is None:
            assert known.input_cost is known.output_cost, (vendor, glob)
            continue
        assert 0 < known.input_cost <= known.output_cost < 1e-3, (vendor, glob)
        assert known.context_window is not None, (vendor, glob)


def test_windows_are_of_a_size_that_models_have():
    assert all(4_096 <= known.context_window <= 2_000_000 for _, _, known in TABLE if known.context_window is not None)


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
        ("anthropic", "claude-haiku-4-5-20251001", 200_000, (1, 5)),
        ("anthropic", "claude-opus-4-20250514", 200_000, (15, 75)),
        ("anthropic", "claude-opus-4-1-20250805", 200_000, (15, 75)),
        ("anthropic", "claude-opus-4-7-20260416", 1_000_000, (5, 25)),
        ("anthropic", "claude-opus-5-5", 1_000_000, (4, 20)),
        ("anthropic", "claude-sonnet-4-20250514", 200_000, (3, 15)),
        ("mistral", "mistral-medium-3.5", 262_144, (1.5, 7.5)),
        ("mistral", "ministral-3-8b-2512", 262_144, (0.15, 0.15)),
        ("xai", "grok-4.20-0309-non-reasoning", 1_000_000, (1.25, 2.5)),
        ("fireworks", "accounts/fireworks/models/gpt-oss-20b", 131_072, (0.07, 0.3)),
        ("dashscope", "qwen-plus-2025-09-11", 997_952, (0.4, 1.2)),
        ("dashscope", "qwen-plus-2025-04-28", 129_024, (0.4, 1.2)),
    ],
)
def test_a_dated_variant_has_its_models_window_and_costs(vendor, model, context_window, costs):
    known = model_info.lookup(vendor, model)
    assert known.context_window == context_window
    assert (known.input_cost, known.output_cost) == dollars(*costs)


@pytest.mark.parametrize(
    "vendor, model, said",
    [
        ("openai", "gpt-3.5-turbo", {"vision": False, "tools": True, "json_schema": False, "reasoning": False}),
        ("openai", "gpt-4-turbo-preview", {"vision": False, "json_schema": False}),
        ("openai", "gpt-4-turbo-2024-04-09", {"vision": True, "json_schema": False}),
        ("openai", "o3-mini", {"vision": False, "tools": True, "reasoning": True}),
        ("openai", "gpt-4.1", {"vision": True, "tools": True, "json_schema": True, "reasoning": False}),
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
def test_what_a_model_can_do(vendor, model, said):
    known = model_info.lookup(vendor, model)
    assert {name: getattr(known, name) for name in said} == said


@pytest.mark.parametrize(
    "vendor, model",
    [
        ("openai", "gpt-99"),
        ("openai", "gpt-5.4-pro"),
        ("openai", "text-embedding-3-small"),
        ("openai", "GPT-4o"),
        ("anthropic", "gpt-4o"),
        ("openrouter", "gpt-4o"),
        ("vllm", "gpt-4o"),
        ("nobody", "gpt-4o"),
        ("echo", "echo"),
        ("openai", ""),
    ],
)
def test_of_what_is_in_no_row_nothing_is_known(vendor, model):
    assert model_info.lookup(vendor, model) is UNKNOWN


def test_unknown_says_nothing():
    values = {field.name: getattr(UNKNOWN, field.name) for field in fields(ModelInfo)}
    assert values == {**dict.fromkeys(values), "reasoning": False}
