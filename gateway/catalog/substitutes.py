"""
Whose a bare model name is, and what stands in for it where its vendor is not configured.

Two tables, and nothing that decides. Ids are those that the vendors' own pages and model lists showed in 2026;
docs/providers.md says more. MODEL_MAP and the configuration file override all of it.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase

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
"""(glob, vendor): a bare name belongs to the vendor of the first glob that it matches; None: to nobody."""

EMBEDDINGS = ("text-embedding-*", "*-embed", "*-embed-*", "*-embedding*")
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

Rows = tuple[tuple[str, str | None], ...]


def rows(large: str, small: str, *, same: Rows = ()) -> Rows:
    """
    (glob, model): what a provider answers a foreign name with; a * in the model is the name that was asked.

    Nothing stands in for an embedding model: vectors of another model are of no use beside the ones already stored.
    """
    nothing = tuple((glob, None) for glob in EMBEDDINGS)
    return (*same, *nothing, *((glob, small) for glob in SMALL), ("*", large))


OPENAI_NAMES: Rows = tuple((glob, "openai/*") for glob, vendor in BARE_NAMES if vendor == "openai")

SUBSTITUTES: Mapping[str, Rows] = {
    "openai": rows("gpt-5.4", "gpt-5.4-mini"),
    # Newer than these, Claude refuses `temperature` and `top_p`, which a client of gpt-4 sends all the time.
    "anthropic": rows("claude-sonnet-4-6", "claude-haiku-4-5"),
    "groq": rows("openai/gpt-oss-120b", "openai/gpt-oss-20b"),
    "mistral": rows("mistral-large-latest", "mistral-small-latest"),
    "deepseek": rows("deepseek-v4-pro", "deepseek-v4-flash"),
    "xai": rows("grok-4.3", "grok-4.20-non-reasoning"),
    "openrouter": rows(
        "anthropic/claude-sonnet-4.6",
        "anthropic/claude-haiku-4.5",
        same=(*OPENAI_NAMES, ("gemini-*", "google/*"), ("deepseek-*", "deepseek/*")),
    ),
    "together": rows("openai/gpt-oss-120b", "openai/gpt-oss-20b"),
    "fireworks": rows("accounts/fireworks/models/gpt-oss-120b", "accounts/fireworks/models/gpt-oss-20b"),
    "perplexity": rows("sonar-pro", "sonar"),
    "cerebras": rows("gpt-oss-120b", "gemma-4-31b"),
    "nvidia": rows("openai/gpt-oss-120b", "openai/gpt-oss-20b"),
    "deepinfra": rows("openai/gpt-oss-120b", "openai/gpt-oss-20b"),
    "moonshot": rows("kimi-k2.6", "moonshot-v1-auto"),
    "sambanova": rows("Meta-Llama-3.3-70B-Instruct", "Meta-Llama-3.3-70B-Instruct"),
    "huggingface": rows("deepseek-ai/DeepSeek-V4-Pro", "meta-llama/Llama-3.1-8B-Instruct"),
    "github-models": rows("openai/gpt-4.1", "openai/gpt-4.1-mini", same=OPENAI_NAMES),
    "dashscope": rows("qwen3.7-plus", "qwen3.7-flash"),
    "inception": rows("mercury-2", "mercury-2"),
    "echo": (("*", "echo"),),
}
"""What each provider answers with where the vendor of a bare name is not configured. A server of one's own has no row:
what it has loaded, only its owner knows, and says in MODEL_MAP."""


def vendor_of(model: str) -> str | None:
    """The vendor that a bare model name belongs to."""
    return next((vendor for glob, vendor in BARE_NAMES if fnmatchcase(model, glob)), None)


def substitute_for(provider: str, model: str) -> str | None:
    """The model with which `provider` answers for another vendor's `model`."""
    found = next((stands for glob, stands in SUBSTITUTES.get(provider, ()) if fnmatchcase(model, glob)), None)
    return found and found.replace("*", model)


def models(provider: str) -> tuple[str, ...]:
    """The models of `provider` that the table names."""
    named = (stands for _, stands in SUBSTITUTES.get(provider, ()) if stands and "*" not in stands)
    return tuple(dict.fromkeys(named))
