"""LiteLLM's list of models, in our form."""

import json

import pytest

from tools import litellm_source
from tools.model_table import Model

CHAT = {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 2e-06, "output_cost_per_token": 8e-06}


@pytest.fixture
def read(tmp_path):
    """The models of a list with given entries, by vendor."""

    def read(entries):
        path = tmp_path / "models.json"
        path.write_text(json.dumps(entries), encoding="utf-8")
        return litellm_source.read(path)

    return read


def rows(read, **entry):
    return read({"m": {**CHAT, **entry}})["openai"]["m"].prices


def test_prices_are_dollars_a_million_tokens(read):
    assert rows(read) == [{"source": "litellm", "input": "2", "output": "8"}]


def test_the_noise_of_floating_point_numbers_is_rounded_off(read):
    assert rows(read, input_cost_per_token=2.8e-07 + 1e-22)[0]["input"] == "0.28"


def test_prices_above_a_size_of_the_prompt_are_tiers(read):
    row = rows(read, input_cost_per_token_above_200k_tokens=4e-06, cache_read_input_token_cost_above_200k_tokens=1e-06)[
        0
    ]
    assert row["input"] == ["2", 200_000, "4"]
    assert "cache_read" not in row


def test_a_list_of_tiers_is_read_from_its_ranges(read):
    tiers = [
        {"range": [0, 32e3], "input_cost_per_token": 1e-06, "output_cost_per_token": 5e-06},
        {"range": [32e3, 128e3], "input_cost_per_token": 3e-06, "output_cost_per_token": 5e-06},
    ]
    entry = {"litellm_provider": "openai", "mode": "chat", "tiered_pricing": tiers}
    assert read({"m": entry})["openai"]["m"].prices == [
        {"source": "litellm", "input": ["1", 32_000, "3"], "output": "5"}
    ]


def test_prices_of_a_service_tier_are_a_separate_row(read):
    _, batch, flex = rows(
        read,
        input_cost_per_token_batches=1e-06,
        input_cost_per_token_above_272k_tokens_flex=1,
        output_cost_per_token_flex=1e-6,
    )
    assert batch == {"source": "litellm", "service_tier": "batch", "input": "1"}
    assert flex == {"source": "litellm", "service_tier": "flex", "output": "1"}


def test_a_price_equal_to_that_of_the_wider_kind_is_dropped(read):
    row = rows(read, output_cost_per_reasoning_token=8e-06, input_cost_per_audio_token=4e-05)[0]
    assert "reasoning" not in row
    assert row["audio_input"] == "40"


def test_calls_are_priced_by_the_thousand(read):
    searches = {"search_context_size_low": 0.005, "search_context_size_medium": 0.008}
    row = rows(read, search_context_cost_per_query=searches, input_cost_per_request=0.001)[0]
    assert (row["web_search"], row["request"]) == ("8", "1")


def test_a_price_of_zero_is_no_price_except_of_local_and_free_models(read):
    free = {"mode": "chat", "max_input_tokens": 1, "input_cost_per_token": 0.0, "output_cost_per_token": 0.0}
    models = read({"m": free | {"litellm_provider": "openai"}, "ollama/m": free | {"litellm_provider": "ollama"}})
    assert models["openai"]["m"].prices == []
    assert models["ollama"]["m"].prices == [{"source": "litellm", "input": "0", "output": "0"}]


@pytest.mark.parametrize(
    ("key", "provider", "vendor", "name"),
    [
        ("gpt-4o", "openai", "openai", "gpt-4o"),
        ("xai/grok-4.7", "xai", "xai", "grok-4.7"),
        ("together_ai/zai-org/GLM-5.3", "together_ai", "together", "zai-org/glm-5.3"),
        ("fireworks_ai/accounts/fireworks/models/m", "fireworks_ai", "fireworks", "accounts/fireworks/models/m"),
        ("vertex_ai/claude-opus-5-5", "vertex_ai-anthropic_models", "vertex", "claude-opus-5-5"),
        ("us.amazon.nova-pro-v1:0", "bedrock_converse", "bedrock", "us.amazon.nova-pro-v1:0"),
        ("azure_ai/Phi-4", "azure_ai", "azure", "phi-4"),
        ("fireworks_ai/glm-5p3", "fireworks_ai", "fireworks", None),
        ("azure/eu/gpt-4o", "azure", "azure", None),
        ("bedrock/us-west-1/m", "bedrock", "bedrock", None),
        ("together-ai-4.1b-8b", "together_ai", "together", None),
    ],
)
def test_names_are_those_of_the_vendors_api(read, key, provider, vendor, name):
    models = read({key: CHAT | {"litellm_provider": provider}})
    assert list(models[vendor]) == ([name] if name else [])


@pytest.mark.parametrize("mode", ["image_generation", "audio_transcription", "rerank", None])
def test_models_for_neither_chat_nor_embeddings_are_skipped(read, mode):
    assert read({"m": CHAT | {"mode": mode}})["openai"] == {}


@pytest.mark.parametrize(
    ("entry", "facts"),
    [
        ({}, {}),
        ({"supports_vision": False, "supports_function_calling": True}, {"vision": False, "tools": True}),
        ({"supported_modalities": ["text"]}, {"vision": False}),
        ({"supported_modalities": ["text", "image"]}, {"vision": True}),
        ({"max_input_tokens": 9, "max_output_tokens": 3}, {"context_window": 9, "max_output_tokens": 3}),
        ({"supports_reasoning": True}, {"reasoning": True}),
        ({"supports_reasoning": True, "default_reasoning_effort": "none"}, {}),
    ],
)
def test_facts_are_those_that_an_entry_has(read, entry, facts):
    assert read({"m": CHAT | entry})["openai"]["m"].facts == {"mode": "chat", **facts}


def test_an_embedding_model_has_a_limit_for_each_input_and_no_window(read):
    entry = CHAT | {"mode": "embedding", "max_input_tokens": 8191, "output_cost_per_token": 0.0}
    assert read({"m": entry})["openai"]["m"] == Model(
        {"mode": "embedding", "max_input_tokens": 8191}, [{"source": "litellm", "input": "2", "output": "0"}]
    )


def test_a_claude_reasons_by_default_only_where_its_entry_says_so(read):
    entry = CHAT | {"litellm_provider": "anthropic", "supports_reasoning": True}
    models = read({"claude-a": entry, "claude-b": entry | {"thinking_on_by_default": True}})["anthropic"]
    assert [model.facts.get("reasoning") for model in models.values()] == [None, True]
