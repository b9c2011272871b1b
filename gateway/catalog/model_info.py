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
class Facts:
    """
    What is known of a model; None: not known. Costs in US dollars a token. `context`: input tokens that it takes.
    `reasoning`: it thinks, silently or not, before it answers, even when nobody asks it to: minutes may pass before
    the first content.
    """

    context: int | None = None
    vision: bool | None = None
    tools: bool | None = None
    json_schema: bool | None = None
    reasoning: bool = False
    input_cost: float | None = None
    output_cost: float | None = None


UNKNOWN = Facts()

SEES = Facts(vision=True, tools=True, json_schema=True)
THINKS = replace(SEES, reasoning=True)
READS = Facts(vision=False, tools=True, json_schema=True)
PONDERS = replace(READS, reasoning=True)
LOOSE = replace(READS, json_schema=False)
"""Reads text, and takes no schema for its answer."""
IMAGES = Facts(vision=True, tools=True)
IMAGES_THINKS = replace(IMAGES, reasoning=True)
TOOLS = Facts(tools=True)
TOOLS_THINKS = replace(TOOLS, reasoning=True)


def at(kind: Facts, input_price: float, output_price: float, context: int) -> Facts:
    """A model of a kind, with its prices as lists have them: in dollars a million tokens."""
    return replace(kind, context=context, input_cost=input_price / 1_000_000, output_cost=output_price / 1_000_000)


# OpenAI's pro, codex and deep-research models are not here: they do not answer chat completions. A Claude older than
# structured outputs is asked for a schema in words. Whether DeepSeek enforces one, the lists and its clients disagree.
MODELS: Mapping[str, Mapping[str, Facts]] = {
    "openai": {
        "gpt-6-astra*": at(THINKS, 10, 50, 922_000),
        "gpt-6-sol* gpt-6.1-sol*": at(THINKS, 2, 10, 922_000),
        "gpt-6-luna*": at(THINKS, 0.1, 0.5, 922_000),
        "gpt-5.6 gpt-5.6-sol*": at(THINKS, 4, 20, 922_000),
        "gpt-5.6-terra*": at(THINKS, 2, 12, 922_000),
        "gpt-5.6-luna*": at(THINKS, 0.2, 1.2, 922_000),
        "gpt-5.5 gpt-5.5-20*": at(THINKS, 5, 30, 1_050_000),
        "chat-latest": at(THINKS, 5, 30, 400_000),
        "gpt-5.4 gpt-5.4-20*": at(SEES, 2.5, 15, 1_050_000),
        "gpt-5.4-mini*": at(SEES, 0.75, 4.5, 272_000),
        "gpt-5.4-nano*": at(SEES, 0.2, 1.25, 272_000),
        "gpt-5.[23]-chat-latest": at(THINKS, 1.75, 14, 128_000),
        "gpt-5.2 gpt-5.2-20*": at(SEES, 1.75, 14, 272_000),
        "gpt-5-chat-latest gpt-5.1-chat-latest": at(THINKS, 1.25, 10, 128_000),
        "gpt-5.1 gpt-5.1-20*": at(SEES, 1.25, 10, 272_000),
        "gpt-5 gpt-5-20*": at(THINKS, 1.25, 10, 272_000),
        "gpt-5-search-api*": at(SEES, 1.25, 10, 272_000),
        "gpt-5-mini*": at(THINKS, 0.25, 2, 272_000),
        "gpt-5-nano*": at(THINKS, 0.05, 0.4, 272_000),
        "gpt-4.1 gpt-4.1-20*": at(SEES, 2, 8, 1_047_576),
        "gpt-4.1-mini*": at(SEES, 0.4, 1.6, 1_047_576),
        "gpt-4.1-nano*": at(SEES, 0.1, 0.4, 1_047_576),
        "gpt-4o-2024-05-13": at(replace(SEES, json_schema=False), 5, 15, 128_000),
        "gpt-4o gpt-4o-20*": at(SEES, 2.5, 10, 128_000),
        "gpt-4o-mini gpt-4o-mini-20*": at(SEES, 0.15, 0.6, 128_000),
        "chatgpt-4o-latest": at(Facts(vision=True), 5, 15, 128_000),
        "gpt-audio-mini*": at(LOOSE, 0.6, 2.4, 128_000),
        "gpt-audio*": at(LOOSE, 2.5, 10, 128_000),
        "gpt-4-1106-preview gpt-4-0125-preview gpt-4-turbo-preview": at(LOOSE, 10, 30, 128_000),
        "gpt-4-turbo*": at(replace(SEES, json_schema=False), 10, 30, 128_000),
        "gpt-4 gpt-4-0613": at(LOOSE, 30, 60, 8_192),
        "gpt-3.5-turbo gpt-3.5-turbo-0125": at(LOOSE, 0.5, 1.5, 16_385),
        "gpt-3.5-turbo-1106": at(LOOSE, 1, 2, 16_385),
        "gpt-3.5-turbo-16k*": at(replace(LOOSE, tools=None), 3, 4, 16_385),
        "o1 o1-20*": at(THINKS, 15, 60, 200_000),
        "o3 o3-20*": at(THINKS, 2, 8, 200_000),
        "o3-mini*": at(PONDERS, 1.1, 4.4, 200_000),
        "o4-mini o4-mini-20*": at(THINKS, 1.1, 4.4, 200_000),
    },
    "anthropic": {
        "claude-fable-5* claude-mythos-*": at(THINKS, 10, 50, 1_000_000),
        "claude-opus-5-5*": at(THINKS, 4, 20, 1_000_000),
        "claude-opus-5 claude-opus-5-20*": at(THINKS, 5, 25, 1_000_000),
        "claude-opus-4-[678]*": at(SEES, 5, 25, 1_000_000),
        "claude-opus-4-5*": at(SEES, 5, 25, 200_000),
        "claude-sonnet-5*": at(THINKS, 2, 10, 1_000_000),
        "claude-sonnet-4-6*": at(SEES, 3, 15, 1_000_000),
        "claude-sonnet-4-5*": at(SEES, 3, 15, 200_000),
        "claude-haiku-5-5*": at(THINKS, 0.1, 0.5, 1_000_000),
        "claude-haiku-4-5*": at(SEES, 1, 5, 200_000),
        "claude-opus-4-[01]* claude-opus-4-20* claude-3-opus*": at(IMAGES, 15, 75, 200_000),
        "claude-sonnet-4-0 claude-sonnet-4-20* claude-3-[57]-sonnet* claude-3-sonnet*": at(IMAGES, 3, 15, 200_000),
        "claude-3-5-haiku*": at(IMAGES, 0.8, 4, 200_000),
        "claude-3-haiku*": at(IMAGES, 0.25, 1.25, 200_000),
    },
    "mistral": {
        "mistral-large-4*": at(THINKS, 0.68, 2.09, 1_048_576),
        "mistral-large-latest mistral-large-2512 mistral-large-3": at(SEES, 0.5, 1.5, 262_144),
        "mistral-large-2407 mistral-large-2411": at(TOOLS, 2, 6, 128_000),
        "mistral-medium mistral-medium-latest mistral-medium-2604": at(THINKS, 1.5, 7.5, 262_144),
        "mistral-medium-3 mistral-medium-3[.-]5 magistral-medium-latest": at(THINKS, 1.5, 7.5, 262_144),
        "mistral-small-latest mistral-small-2603 magistral-small-latest": at(THINKS, 0.15, 0.6, 262_144),
        "ministral*-14b-2512 ministral-14b-latest": at(SEES, 0.2, 0.2, 262_144),
        "ministral*-8b-2512 ministral-8b-latest": at(SEES, 0.15, 0.15, 262_144),
        "ministral*-3b-2512 ministral-3b-latest": at(SEES, 0.1, 0.1, 131_072),
        "codestral-latest codestral-2508": at(READS, 0.3, 0.9, 128_000),
        "devstral-small-latest": at(replace(READS, vision=None), 0.1, 0.3, 256_000),
        "devstral-latest devstral-medium-latest": at(replace(READS, vision=None), 0.4, 2, 256_000),
        "pixtral-large*": at(SEES, 2, 6, 128_000),
        "open-mistral-nemo*": at(replace(READS, tools=None), 0.3, 0.3, 128_000),
    },
    "deepseek": {
        "deepseek-v4-pro*": at(replace(PONDERS, json_schema=None), 1.32, 3.96, 1_000_000),
        "deepseek-v4-flash* deepseek-flash": at(replace(THINKS, json_schema=None), 0.3, 1.2, 1_000_000),
        "deepseek-chat": at(TOOLS, 0.28, 0.42, 131_072),
        "deepseek-reasoner": at(Facts(reasoning=True), 0.28, 0.42, 131_072),
    },
    "xai": {
        "grok-4.[567]* grok-build-latest": at(THINKS, 2, 6, 500_000),
        "grok-4.20*non-reasoning*": at(SEES, 1.25, 2.5, 1_000_000),
        "grok-4.20-multi-agent*": at(replace(THINKS, tools=None), 1.25, 2.5, 1_000_000),
        "grok-4.20* grok-4.3*": at(THINKS, 1.25, 2.5, 1_000_000),
        "grok-build-0.1 grok-code-fast*": at(THINKS, 1, 2, 256_000),
        "grok-4 grok-4-0709": at(TOOLS_THINKS, 3, 15, 256_000),
        "grok-3": at(TOOLS, 3, 15, 131_072),
        "grok-3-mini": at(TOOLS_THINKS, 0.3, 0.5, 131_072),
    },
    "groq": {
        "openai/gpt-oss-120b": at(PONDERS, 0.15, 0.6, 131_072),
        "openai/gpt-oss-20b openai/gpt-oss-safeguard-20b": at(PONDERS, 0.075, 0.3, 131_072),
        "qwen/qwen3.8-27b": at(THINKS, 0.8, 4, 131_072),
        "qwen/qwen3-32b": at(replace(LOOSE, reasoning=True), 0.29, 0.59, 131_000),
        "llama-3.3-70b-versatile": at(LOOSE, 0.59, 0.79, 128_000),
        "llama-3.1-8b-instant": at(LOOSE, 0.05, 0.08, 128_000),
        "meta-llama/llama-4-maverick-*": at(SEES, 0.2, 0.6, 131_072),
        "meta-llama/llama-4-scout-*": at(SEES, 0.11, 0.34, 131_072),
    },
    "perplexity": {
        "sonar": at(replace(SEES, tools=False), 1, 1, 128_000),
        "sonar-pro": at(replace(SEES, tools=False), 3, 15, 200_000),
        "sonar-reasoning": at(replace(THINKS, tools=False), 1, 5, 128_000),
        "sonar-reasoning-pro": at(replace(THINKS, tools=False), 2, 8, 128_000),
        "sonar-deep-research": at(Facts(tools=False, reasoning=True), 2, 8, 128_000),
    },
    "cerebras": {
        "gpt-oss-120b": at(PONDERS, 0.35, 0.75, 131_072),
        "gemma-4-31b": at(THINKS, 0.99, 1.49, 131_072),
        "qwen-3.8-27b": at(THINKS, 0.99, 1.49, 65_536),
        "qwen-3-32b": at(replace(PONDERS, json_schema=None), 0.4, 0.8, 128_000),
        "llama-3.3-70b": at(replace(READS, json_schema=None), 0.85, 1.2, 128_000),
        "llama3.1-8b": at(replace(READS, json_schema=None), 0.1, 0.1, 128_000),
    },
    "moonshot": {
        "kimi-k3": at(THINKS, 3, 15, 1_048_576),
        "kimi-k2.6 kimi-k2.7-code": at(THINKS, 0.95, 4, 262_144),
        "kimi-k2.5": at(THINKS, 0.6, 3, 262_144),
        "moonshot-v1-8k-vision-preview": at(SEES, 0.2, 2, 8_192),
        "moonshot-v1-32k-vision-preview": at(SEES, 1, 3, 32_768),
        "moonshot-v1-128k-vision-preview": at(SEES, 2, 5, 131_072),
        "moonshot-v1-8k": at(READS, 0.2, 2, 8_192),
        "moonshot-v1-32k": at(READS, 1, 3, 32_768),
        "moonshot-v1-128k moonshot-v1-auto": at(READS, 2, 5, 131_072),
    },
    "together": {
        "openai/gpt-oss-120b": at(PONDERS, 0.15, 0.6, 131_072),
        "openai/gpt-oss-20b": at(Facts(vision=False, reasoning=True), 0.05, 0.2, 131_072),
        "meta-llama/Llama-3.3-70B-Instruct-Turbo": at(READS, 1.04, 1.04, 131_072),
        "deepseek-ai/DeepSeek-V4-Pro*": at(PONDERS, 1.32, 3.96, 1_048_576),
        "deepseek-ai/DeepSeek-V4.1-Flash*": at(replace(THINKS, vision=None), 0.3, 1.2, 1_048_576),
        "moonshotai/Kimi-K3": at(THINKS, 3, 15, 1_048_576),
        "zai-org/GLM-5.[23]": at(replace(THINKS, vision=None), 1.4, 4.4, 1_048_575),
    },
    "fireworks": {
        "*/models/gpt-oss-120b": at(PONDERS, 0.15, 0.6, 131_072),
        "*/models/gpt-oss-20b": at(PONDERS, 0.07, 0.3, 131_072),
        "*/models/deepseek-v4-pro-0813": at(PONDERS, 1.32, 3.96, 1_048_576),
        "*/models/deepseek-v4-flash": at(PONDERS, 0.14, 0.28, 1_048_576),
        "*/models/glm-5p2": at(PONDERS, 1.4, 4.4, 1_048_576),
        "*/models/kimi-k2p6 */models/kimi-k2p7-code": at(THINKS, 0.95, 4, 262_144),
        "*/models/llama-v3p3-70b-instruct": at(Facts(vision=False), 0.9, 0.9, 131_072),
    },
    "openrouter": {
        "anthropic/claude-sonnet-4.6": at(IMAGES, 3, 15, 1_000_000),
        "anthropic/claude-haiku-4.5": at(IMAGES, 1, 5, 200_000),
    },
    "dashscope": {
        "qwen3.8-max*": at(THINKS, 2, 6, 991_808),
        "qwen3.8-flash* qwen3.8-omni-flash*": at(THINKS, 0.15, 0.47, 991_808),
        "qwen3.7-max*": at(PONDERS, 2.5, 7.5, 991_808),
        "qwen3.7-plus*": at(THINKS, 0.4, 1.6, 991_808),
        "qwen3.7-flash*": Facts(vision=True, tools=True, reasoning=True),
        "qwen3.5-plus*": at(IMAGES_THINKS, 0.4, 2.4, 991_808),
        "qwen3-max*": at(TOOLS_THINKS, 1.2, 6, 258_048),
        "qwen3-coder-plus*": at(TOOLS_THINKS, 1, 5, 997_952),
        "qwen3-coder-flash*": at(TOOLS_THINKS, 0.3, 1.5, 997_952),
        "qwen3-vl-plus*": at(IMAGES_THINKS, 0.2, 1.6, 260_096),
        "qwen-max": at(TOOLS_THINKS, 1.6, 6.4, 30_720),
        "qwen-plus-latest qwen-plus-2025-07-28 qwen-plus-2025-09-11": at(TOOLS_THINKS, 0.4, 1.2, 997_952),
        "qwen-plus qwen-plus-2025-0[14]-* qwen-plus-2025-07-14": at(TOOLS_THINKS, 0.4, 1.2, 129_024),
        "qwen-flash*": at(TOOLS_THINKS, 0.05, 0.4, 997_952),
        "qwen-turbo-latest qwen-turbo-20*": at(TOOLS_THINKS, 0.05, 0.2, 1_000_000),
        "qwen-turbo": at(TOOLS_THINKS, 0.05, 0.2, 129_024),
        "qwq-plus": at(TOOLS_THINKS, 0.8, 2.4, 98_304),
    },
    "deepinfra": {
        "openai/gpt-oss-120b": at(replace(PONDERS, json_schema=None), 0.037, 0.17, 131_072),
        "openai/gpt-oss-20b": at(replace(PONDERS, json_schema=None), 0.03, 0.14, 131_072),
    },
    "sambanova": {"Meta-Llama-3.3-70B-Instruct": at(READS, 0.6, 1.2, 131_072)},
    "inception": {"mercury-2": at(PONDERS, 0.25, 0.75, 128_000), "mercury-2.5": at(PONDERS, 0.2, 0.75, 260_000)},
    "nvidia": {"openai/gpt-oss-*": Facts(vision=False, reasoning=True)},
    "huggingface": {
        "deepseek-ai/DeepSeek-V4-Pro*": Facts(vision=False, reasoning=True),
        "meta-llama/Llama-3.1-8B-Instruct": Facts(vision=False),
    },
    "github-models": {"openai/gpt-4.1*": SEES},
}
"""By vendor. A key is one glob or several, with spaces between them."""

TABLE: tuple[tuple[str, str, Facts], ...] = tuple(
    (vendor, glob, facts)
    for vendor, models in MODELS.items()
    for globs, facts in models.items()
    for glob in globs.split()
)
"""(vendor, model glob, facts): the first that matches counts."""


@lru_cache(maxsize=4096)
def of(vendor: str, model: str) -> Facts:
    """What is known of a vendor's model."""
    return next((facts for name, glob, facts in TABLE if name == vendor and fnmatchcase(model, glob)), UNKNOWN)
