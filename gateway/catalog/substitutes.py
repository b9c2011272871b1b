"""
The vendor of a bare model name, and the substitute for a model whose vendor is not configured.

The model ids are those of the vendors' own pages and model lists in 2026; docs/providers.md has more. MODEL_MAP and the
YAML file override both tables.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase

# (glob, vendor): a bare name belongs to the vendor of the first glob that it matches; None: to no vendor, since many
# providers serve that open model.
BARE_NAMES = (
    ("claude-*", "anthropic"),
    ("gpt-oss*", None),
    ("gpt-*", "openai"),
    ("chatgpt-*", "openai"),
    ("o[0-9]*", "openai"),
    ("text-embedding-*", "openai"),
    ("gemini-*", "gemini"),
    ("mistral-*", "mistral"),
    ("open-mistral*", "mistral"),
    ("open-mixtral*", "mistral"),
    ("codestral-*", "mistral"),
    ("ministral-*", "mistral"),
    ("magistral-*", "mistral"),
    ("devstral-*", "mistral"),
    ("pixtral-*", "mistral"),
    ("voxtral-*", "mistral"),
    ("deepseek-*", "deepseek"),
    ("grok-*", "xai"),
    ("sonar*", "perplexity"),
    ("kimi-*", "moonshot"),
    ("moonshot-*", "moonshot"),
    ("qwen*", "dashscope"),
    ("qwq*", "dashscope"),
    ("mercury*", "inception"),
    ("echo", "echo"),
)

EMBEDDINGS = ("text-embedding-*", "*-embed", "*-embed-*", "*-embedding*")
# Names of small models: a substitute should cost about as much as the model that was requested.
SMALL = (
    "*-mini*",
    "*-nano*",
    "*-luna*",
    "gpt-3.5*",
    "*haiku*",
    "*-flash*",
    "*-lite*",
    "*-small*",
    "*-tiny*",
    "*-fast*",
    "ministral-*",
    "sonar",
    "qwen-turbo*",
)

Rules = tuple[tuple[str, str | None], ...]


def rules(large: str, small: str, *, same_model: Rules = ()) -> Rules:
    """
    (glob, substitute): the first glob that a name matches counts; a `*` in the substitute is the requested name.

    `same_model`: names under which the provider serves the requested model itself.
    """
    # Vectors of another embedding model cannot be compared with those that a client has stored.
    no_substitute = tuple((glob, None) for glob in EMBEDDINGS)
    return (*same_model, *no_substitute, *((glob, small) for glob in SMALL), ("*", large))


OPENAI_NAMES: Rules = tuple((glob, "openai/*") for glob, vendor in BARE_NAMES if vendor == "openai")

# By provider. Servers such as vllm have no row: only their owner knows which models they have loaded.
SUBSTITUTES: Mapping[str, Rules] = {
    "openai": rules("gpt-5.4", "gpt-5.4-mini"),
    # Newer Claude models refuse `temperature` and `top_p`, which clients of OpenAI's models often send:
    # https://platform.claude.com/docs/en/about-claude/models/migration-guide.
    "anthropic": rules("claude-sonnet-4-6", "claude-haiku-4-5"),
    "groq": rules("openai/gpt-oss-120b", "openai/gpt-oss-20b"),
    "mistral": rules("mistral-large-latest", "mistral-small-latest"),
    "deepseek": rules("deepseek-v4-pro", "deepseek-v4-flash"),
    "xai": rules("grok-4.3", "grok-4.20-non-reasoning"),
    "openrouter": rules(
        "anthropic/claude-sonnet-4.6",
        "anthropic/claude-haiku-4.5",
        same_model=(*OPENAI_NAMES, ("gemini-*", "google/*"), ("deepseek-*", "deepseek/*")),
    ),
    "together": rules("openai/gpt-oss-120b", "openai/gpt-oss-20b"),
    "fireworks": rules("accounts/fireworks/models/gpt-oss-120b", "accounts/fireworks/models/gpt-oss-20b"),
    "perplexity": rules("sonar-pro", "sonar"),
    "cerebras": rules("gpt-oss-120b", "gemma-4-31b"),
    "nvidia": rules("openai/gpt-oss-120b", "openai/gpt-oss-20b"),
    "deepinfra": rules("openai/gpt-oss-120b", "openai/gpt-oss-20b"),
    "moonshot": rules("kimi-k2.6", "moonshot-v1-auto"),
    "sambanova": rules("Meta-Llama-3.3-70B-Instruct", "Meta-Llama-3.3-70B-Instruct"),
    "huggingface": rules("deepseek-ai/DeepSeek-V4-Pro", "meta-llama/Llama-3.1-8B-Instruct"),
    "github-models": rules("openai/gpt-4.1", "openai/gpt-4.1-mini", same_model=OPENAI_NAMES),
    "dashscope": rules("qwen3.7-plus", "qwen3.7-flash"),
    "inception": rules("mercury-2", "mercury-2"),
    "echo": (("*", "echo"),),
}


def vendor_of(model: str) -> str | None:
    """The vendor that a bare model name belongs to."""
    return _first_match(BARE_NAMES, model)


def substitute_for(provider: str, model: str) -> str | None:
    """The model with which `provider` serves a request for another vendor's `model`."""
    substitute = _first_match(SUBSTITUTES.get(provider, ()), model)
    return substitute and substitute.replace("*", model)


def models(provider: str) -> tuple[str, ...]:
    """Every model of `provider` that is a substitute for others."""
    substitutes = (
        substitute for _, substitute in SUBSTITUTES.get(provider, ()) if substitute and "*" not in substitute
    )
    return tuple(dict.fromkeys(substitutes))


def _first_match(table: Rules, model: str) -> str | None:
    return next((value for glob, value in table if fnmatchcase(model, glob)), None)
