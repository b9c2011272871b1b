"""
What is known about models: a table, and the one look into it.

Prices and windows are those of the vendors' public lists in 2026; where a price rises with the length of the prompt, it
is the one for short prompts. A deployer's model_info overrides them. False keeps requests away from a model: it stands
only where a list or the vendor's documentation says that the model has no such thing. Where neither says, it is None.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """
    What is known of a model; None: not known. Costs in US dollars a token. `context`: input tokens that it takes.
    `reasoning`: it thinks, silently or not, before it answers, even when nobody asks it to: minutes may pass before
    the first content.
    """

    context_window: int | None = None
    vision: bool | None = None
    tools: bool | None = None
    json_schema: bool | None = None
    reasoning: bool = False
    input_cost: float | None = None
    output_cost: float | None = None


UNKNOWN = ModelInfo()

VISION = ModelInfo(vision=True, tools=True, json_schema=True)
VISION_REASONING = replace(VISION, reasoning=True)
TEXT = ModelInfo(vision=False, tools=True, json_schema=True)
TEXT_REASONING = replace(TEXT, reasoning=True)
TEXT_NO_SCHEMA = replace(TEXT, json_schema=False)
"""Reads text, and takes no schema for its answer."""
VISION_SCHEMA_UNKNOWN = ModelInfo(vision=True, tools=True)
VISION_REASONING_SCHEMA_UNKNOWN = replace(VISION_SCHEMA_UNKNOWN, reasoning=True)
TOOLS = ModelInfo(tools=True)
TOOLS_REASONING = replace(TOOLS, reasoning=True)


def priced(kind: ModelInfo, input_price: float, output_price: float, context_window: int) -> ModelInfo:
    """A model of a kind, with its prices as lists have them: in dollars a million tokens."""
    return replace(
        kind, context_window=context_window, input_cost=input_price / 1_000_000, output_cost=output_price / 1_000_000
    )


# OpenAI's pro, codex and deep-research models are not here: they do not answer chat completions. A Claude older than
# structured outputs is asked for a schema in words. Whether DeepSeek enforces one, the lists and its clients disagree.
MODELS: Mapping[str, Mapping[str, ModelInfo]] = {
    "openai": {
        "gpt-6-astra*": priced(VISION_REASONING, 10, 50, 922_000),
        "gpt-6-sol* gpt-6.1-sol*": priced(VISION_REASONING, 2, 10, 922_000),
        "gpt-6-luna*": priced(VISION_REASONING, 0.1, 0.5, 922_000),
        "gpt-5.6 gpt-5.6-sol*": priced(VISION_REASONING, 4, 20, 922_000),
        "gpt-5.6-terra*": priced(VISION_REASONING, 2, 12, 922_000),
        "gpt-5.6-luna*": priced(VISION_REASONING, 0.2, 1.2, 922_000),
        "gpt-5.5 gpt-5.5-20*": priced(VISION_REASONING, 5, 30, 1_050_000),
        "chat-latest": priced(VISION_REASONING, 5, 30, 400_000),
        "gpt-5.4 gpt-5.4-20*": priced(VISION, 2.5, 15, 1_050_000),
        "gpt-5.4-mini*": priced(VISION, 0.75, 4.5, 272_000),
        "gpt-5.4-nano*": priced(VISION, 0.2, 1.25, 272_000),
        "gpt-5.[23]-chat-latest": priced(VISION_REASONING, 1.75, 14, 128_000),
        "gpt-5.2 gpt-5.2-20*": priced(VISION, 1.75, 14, 272_000),
        "gpt-5-chat-latest gpt-5.1-chat-latest": priced(VISION_REASONING, 1.25, 10, 128_000),
        "gpt-5.1 gpt-5.1-20*": priced(VISION, 1.25, 10, 272_000),
        "gpt-5 gpt-5-20*": priced(VISION_REASONING, 1.25, 10, 272_000),
        "gpt-5-search-api*": priced(VISION, 1.25, 10, 272_000),
        "gpt-5-mini*": priced(VISION_REASONING, 0.25, 2, 272_000),
        "gpt-5-nano*": priced(VISION_REASONING, 0.05, 0.4, 272_000),
        "gpt-4.1 gpt-4.1-20*": priced(VISION, 2, 8, 1_047_576),
        "gpt-4.1-mini*": priced(VISION, 0.4, 1.6, 1_047_576),
        "gpt-4.1-nano*": priced(VISION, 0.1, 0.4, 1_047_576),
        "gpt-4o-2024-05-13": priced(replace(VISION, json_schema=False), 5, 15, 128_000),
        "gpt-4o gpt-4o-20*": priced(VISION, 2.5, 10, 128_000),
        "gpt-4o-mini gpt-4o-mini-20*": priced(VISION, 0.15, 0.6, 128_000),
        "chatgpt-4o-latest": priced(ModelInfo(vision=True), 5, 15, 128_000),
        "gpt-audio-mini*": priced(TEXT_NO_SCHEMA, 0.6, 2.4, 128_000),
        "gpt-audio*": priced(TEXT_NO_SCHEMA, 2.5, 10, 128_000),
        "gpt-4-1106-preview gpt-4-0125-preview gpt-4-turbo-preview": priced(TEXT_NO_SCHEMA, 10, 30, 128_000),
        "gpt-4-turbo*": priced(replace(VISION, json_schema=False), 10, 30, 128_000),
        "gpt-4 gpt-4-0613": priced(TEXT_NO_SCHEMA, 30, 60, 8_192),
        "gpt-3.5-turbo gpt-3.5-turbo-0125": priced(TEXT_NO_SCHEMA, 0.5, 1.5, 16_385),
        "gpt-3.5-turbo-1106": priced(TEXT_NO_SCHEMA, 1, 2, 16_385),
        "gpt-3.5-turbo-16k*": priced(replace(TEXT_NO_SCHEMA, tools=None), 3, 4, 16_385),
        "o1 o1-20*": priced(VISION_REASONING, 15, 60, 200_000),
        "o3 o3-20*": priced(VISION_REASONING, 2, 8, 200_000),
        "o3-mini*": priced(TEXT_REASONING, 1.1, 4.4, 200_000),
        "o4-mini o4-mini-20*": priced(VISION_REASONING, 1.1, 4.4, 200_000),
    },
    "anthropic": {
        "claude-fable-5* claude-mythos-*": priced(VISION_REASONING, 10, 50, 1_000_000),
        "claude-opus-5-5*": priced(VISION_REASONING, 4, 20, 1_000_000),
        "claude-opus-5 claude-opus-5-20*": priced(VISION_REASONING, 5, 25, 1_000_000),
        "claude-opus-4-[678]*": priced(VISION, 5, 25, 1_000_000),
        "claude-opus-4-5*": priced(VISION, 5, 25, 200_000),
        "claude-sonnet-5*": priced(VISION_REASONING, 2, 10, 1_000_000),
        "claude-sonnet-4-6*": priced(VISION, 3, 15, 1_000_000),
        "claude-sonnet-4-5*": priced(VISION, 3, 15, 200_000),
        "claude-haiku-5-5*": priced(VISION_REASONING, 0.1, 0.5, 1_000_000),
        "claude-haiku-4-5*": priced(VISION, 1, 5, 200_000),
        "claude-opus-4-[01]* claude-opus-4-20* claude-3-opus*": priced(VISION_SCHEMA_UNKNOWN, 15, 75, 200_000),
        "claude-sonnet-4-0 claude-sonnet-4-20* claude-3-[57]-sonnet* claude-3-sonnet*": priced(
            VISION_SCHEMA_UNKNOWN, 3, 15, 200_000
        ),
        "claude-3-5-haiku*": priced(VISION_SCHEMA_UNKNOWN, 0.8, 4, 200_000),
        "claude-3-haiku*": priced(VISION_SCHEMA_UNKNOWN, 0.25, 1.25, 200_000),
    },
    "mistral": {
        "mistral-large-4*": priced(VISION_REASONING, 0.68, 2.09, 1_048_576),
        "mistral-large-latest mistral-large-2512 mistral-large-3": priced(VISION, 0.5, 1.5, 262_144),
        "mistral-large-2407 mistral-large-2411": priced(TOOLS, 2, 6, 128_000),
        "mistral-medium mistral-medium-latest mistral-medium-2604": priced(VISION_REASONING, 1.5, 7.5, 262_144),
        "mistral-medium-3 mistral-medium-3[.-]5 magistral-medium-latest": priced(VISION_REASONING, 1.5, 7.5, 262_144),
        "mistral-small-latest mistral-small-2603 magistral-small-latest": priced(VISION_REASONING, 0.15, 0.6, 262_144),
        "ministral*-14b-2512 ministral-14b-latest": priced(VISION, 0.2, 0.2, 262_144),
        "ministral*-8b-2512 ministral-8b-latest": priced(VISION, 0.15, 0.15, 262_144),
        "ministral*-3b-2512 ministral-3b-latest": priced(VISION, 0.1, 0.1, 131_072),
        "codestral-latest codestral-2508": priced(TEXT, 0.3, 0.9, 128_000),
        "devstral-small-latest": priced(replace(TEXT, vision=None), 0.1, 0.3, 256_000),
        "devstral-latest devstral-medium-latest": priced(replace(TEXT, vision=None), 0.4, 2, 256_000),
        "pixtral-large*": priced(VISION, 2, 6, 128_000),
        "open-mistral-nemo*": priced(replace(TEXT, tools=None), 0.3, 0.3, 128_000),
    },
    "deepseek": {
        "deepseek-v4-pro*": priced(replace(TEXT_REASONING, json_schema=None), 1.32, 3.96, 1_000_000),
        "deepseek-v4-flash* deepseek-flash": priced(replace(VISION_REASONING, json_schema=None), 0.3, 1.2, 1_000_000),
        "deepseek-chat": priced(TOOLS, 0.28, 0.42, 131_072),
        "deepseek-reasoner": priced(ModelInfo(reasoning=True), 0.28, 0.42, 131_072),
    },
    "xai": {
        "grok-4.[567]* grok-build-latest": priced(VISION_REASONING, 2, 6, 500_000),
        "grok-4.20*non-reasoning*": priced(VISION, 1.25, 2.5, 1_000_000),
        "grok-4.20-multi-agent*": priced(replace(VISION_REASONING, tools=None), 1.25, 2.5, 1_000_000),
        "grok-4.20* grok-4.3*": priced(VISION_REASONING, 1.25, 2.5, 1_000_000),
        "grok-build-0.1 grok-code-fast*": priced(VISION_REASONING, 1, 2, 256_000),
        "grok-4 grok-4-0709": priced(TOOLS_REASONING, 3, 15, 256_000),
        "grok-3": priced(TOOLS, 3, 15, 131_072),
        "grok-3-mini": priced(TOOLS_REASONING, 0.3, 0.5, 131_072),
    },
    "groq": {
        "openai/gpt-oss-120b": priced(TEXT_REASONING, 0.15, 0.6, 131_072),
        "openai/gpt-oss-20b openai/gpt-oss-safeguard-20b": priced(TEXT_REASONING, 0.075, 0.3, 131_072),
        "qwen/qwen3.8-27b": priced(VISION_REASONING, 0.8, 4, 131_072),
        "qwen/qwen3-32b": priced(replace(TEXT_NO_SCHEMA, reasoning=True), 0.29, 0.59, 131_000),
        "llama-3.3-70b-versatile": priced(TEXT_NO_SCHEMA, 0.59, 0.79, 128_000),
        "llama-3.1-8b-instant": priced(TEXT_NO_SCHEMA, 0.05, 0.08, 128_000),
        "meta-llama/llama-4-maverick-*": priced(VISION, 0.2, 0.6, 131_072),
        "meta-llama/llama-4-scout-*": priced(VISION, 0.11, 0.34, 131_072),
    },
    "perplexity": {
        "sonar": priced(replace(VISION, tools=False), 1, 1, 128_000),
        "sonar-pro": priced(replace(VISION, tools=False), 3, 15, 200_000),
        "sonar-reasoning": priced(replace(VISION_REASONING, tools=False), 1, 5, 128_000),
        "sonar-reasoning-pro": priced(replace(VISION_REASONING, tools=False), 2, 8, 128_000),
        "sonar-deep-research": priced(ModelInfo(tools=False, reasoning=True), 2, 8, 128_000),
    },
    "cerebras": {
        "gpt-oss-120b": priced(TEXT_REASONING, 0.35, 0.75, 131_072),
        "gemma-4-31b": priced(VISION_REASONING, 0.99, 1.49, 131_072),
        "qwen-3.8-27b": priced(VISION_REASONING, 0.99, 1.49, 65_536),
        "qwen-3-32b": priced(replace(TEXT_REASONING, json_schema=None), 0.4, 0.8, 128_000),
        "llama-3.3-70b": priced(replace(TEXT, json_schema=None), 0.85, 1.2, 128_000),
        "llama3.1-8b": priced(replace(TEXT, json_schema=None), 0.1, 0.1, 128_000),
    },
    "moonshot": {
        "kimi-k3": priced(VISION_REASONING, 3, 15, 1_048_576),
        "kimi-k2.6 kimi-k2.7-code": priced(VISION_REASONING, 0.95, 4, 262_144),
        "kimi-k2.5": priced(VISION_REASONING, 0.6, 3, 262_144),
        "moonshot-v1-8k-vision-preview": priced(VISION, 0.2, 2, 8_192),
        "moonshot-v1-32k-vision-preview": priced(VISION, 1, 3, 32_768),
        "moonshot-v1-128k-vision-preview": priced(VISION, 2, 5, 131_072),
        "moonshot-v1-8k": priced(TEXT, 0.2, 2, 8_192),
        "moonshot-v1-32k": priced(TEXT, 1, 3, 32_768),
        "moonshot-v1-128k moonshot-v1-auto": priced(TEXT, 2, 5, 131_072),
    },
    "together": {
        "openai/gpt-oss-120b": priced(TEXT_REASONING, 0.15, 0.6, 131_072),
        "openai/gpt-oss-20b": priced(ModelInfo(vision=False, reasoning=True), 0.05, 0.2, 131_072),
        "meta-llama/Llama-3.3-70B-Instruct-Turbo": priced(TEXT, 1.04, 1.04, 131_072),
        "deepseek-ai/DeepSeek-V4-Pro*": priced(TEXT_REASONING, 1.32, 3.96, 1_048_576),
        "deepseek-ai/DeepSeek-V4.1-Flash*": priced(replace(VISION_REASONING, vision=None), 0.3, 1.2, 1_048_576),
        "moonshotai/Kimi-K3": priced(VISION_REASONING, 3, 15, 1_048_576),
        "zai-org/GLM-5.[23]": priced(replace(VISION_REASONING, vision=None), 1.4, 4.4, 1_048_575),
    },
    "fireworks": {
        "*/models/gpt-oss-120b": priced(TEXT_REASONING, 0.15, 0.6, 131_072),
        "*/models/gpt-oss-20b": priced(TEXT_REASONING, 0.07, 0.3, 131_072),
        "*/models/deepseek-v4-pro-0813": priced(TEXT_REASONING, 1.32, 3.96, 1_048_576),
        "*/models/deepseek-v4-flash": priced(TEXT_REASONING, 0.14, 0.28, 1_048_576),
        "*/models/glm-5p2": priced(TEXT_REASONING, 1.4, 4.4, 1_048_576),
        "*/models/kimi-k2p6 */models/kimi-k2p7-code": priced(VISION_REASONING, 0.95, 4, 262_144),
        "*/models/llama-v3p3-70b-instruct": priced(ModelInfo(vision=False), 0.9, 0.9, 131_072),
    },
    "openrouter": {
        "anthropic/claude-sonnet-4.6": priced(VISION_SCHEMA_UNKNOWN, 3, 15, 1_000_000),
        "anthropic/claude-haiku-4.5": priced(VISION_SCHEMA_UNKNOWN, 1, 5, 200_000),
    },
    "dashscope": {
        "qwen3.8-max*": priced(VISION_REASONING, 2, 6, 991_808),
        "qwen3.8-flash* qwen3.8-omni-flash*": priced(VISION_REASONING, 0.15, 0.47, 991_808),
        "qwen3.7-max*": priced(TEXT_REASONING, 2.5, 7.5, 991_808),
        "qwen3.7-plus*": priced(VISION_REASONING, 0.4, 1.6, 991_808),
        "qwen3.7-flash*": ModelInfo(vision=True, tools=True, reasoning=True),
        "qwen3.5-plus*": priced(VISION_REASONING_SCHEMA_UNKNOWN, 0.4, 2.4, 991_808),
        "qwen3-max*": priced(TOOLS_REASONING, 1.2, 6, 258_048),
        "qwen3-coder-plus*": priced(TOOLS_REASONING, 1, 5, 997_952),
        "qwen3-coder-flash*": priced(TOOLS_REASONING, 0.3, 1.5, 997_952),
        "qwen3-vl-plus*": priced(VISION_REASONING_SCHEMA_UNKNOWN, 0.2, 1.6, 260_096),
        "qwen-max": priced(TOOLS_REASONING, 1.6, 6.4, 30_720),
        "qwen-plus-latest qwen-plus-2025-07-28 qwen-plus-2025-09-11": priced(TOOLS_REASONING, 0.4, 1.2, 997_952),
        "qwen-plus qwen-plus-2025-0[14]-* qwen-plus-2025-07-14": priced(TOOLS_REASONING, 0.4, 1.2, 129_024),
        "qwen-flash*": priced(TOOLS_REASONING, 0.05, 0.4, 997_952),
        "qwen-turbo-latest qwen-turbo-20*": priced(TOOLS_REASONING, 0.05, 0.2, 1_000_000),
        "qwen-turbo": priced(TOOLS_REASONING, 0.05, 0.2, 129_024),
        "qwq-plus": priced(TOOLS_REASONING, 0.8, 2.4, 98_304),
    },
    "deepinfra": {
        "openai/gpt-oss-120b": priced(replace(TEXT_REASONING, json_schema=None), 0.037, 0.17, 131_072),
        "openai/gpt-oss-20b": priced(replace(TEXT_REASONING, json_schema=None), 0.03, 0.14, 131_072),
    },
    "sambanova": {"Meta-Llama-3.3-70B-Instruct": priced(TEXT, 0.6, 1.2, 131_072)},
    "inception": {
        "mercury-2": priced(TEXT_REASONING, 0.25, 0.75, 128_000),
        "mercury-2.5": priced(TEXT_REASONING, 0.2, 0.75, 260_000),
    },
    "nvidia": {"openai/gpt-oss-*": ModelInfo(vision=False, reasoning=True)},
    "huggingface": {
        "deepseek-ai/DeepSeek-V4-Pro*": ModelInfo(vision=False, reasoning=True),
        "meta-llama/Llama-3.1-8B-Instruct": ModelInfo(vision=False),
    },
    "github-models": {"openai/gpt-4.1*": VISION},
}
"""By vendor. A key is one glob or several, with spaces between them."""

TABLE: tuple[tuple[str, str, ModelInfo], ...] = tuple(
    (vendor, glob, facts)
    for vendor, models in MODELS.items()
    for globs, facts in models.items()
    for glob in globs.split()
)
"""(vendor, model glob, facts): the first that matches counts."""


@lru_cache(maxsize=4096)
def lookup(vendor: str, model: str) -> ModelInfo:
    """What is known of a vendor's model."""
    return next((facts for name, glob, facts in TABLE if name == vendor and fnmatchcase(model, glob)), UNKNOWN)
