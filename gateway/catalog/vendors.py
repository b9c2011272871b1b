"""The vendors, one row each; a provider is a vendor that is turned on, a target a model of a provider."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """
    What is known of a vendor's API; docs/providers.md says from which page.

    Its environment variables are `<NAME>_BASE_URL` and `keys`, NAME in capitals with underscores. `also` are other
    names for it in a model's address (LiteLLM's). `keyless`: it answers without a key, so that its base URL alone
    turns it on. The rest is read by the OpenAI adapter alone:
    `refuses`: documented OpenAI fields that the API answers with an error, or by its own page ignores; they are
    dropped and reported. `messages[].name` stands for that field of every message.
    `renames`: (model glob, OpenAI's field, the vendor's field).
    `developer`: it knows the role `developer`; else that is sent as `system`.
    `thoughts`: the field in which an assistant message takes its reasoning back; None: it refuses such a field.
    `stream_usage`: it takes `stream_options`.
    Of a request that ends with the beginning of an answer: models that match one of `prefills` carry it on, and others
    where it is marked by `prefix`, if the base URL ends with `marked_at`; None: none does.
    """

    name: str
    base_url: str
    key_variables: tuple[str, ...] = ()
    dialect: str = "openai"
    aliases: tuple[str, ...] = ()
    keyless: bool = False
    unsupported: frozenset[str] = frozenset()
    renames: tuple[tuple[str, str, str], ...] = ()
    developer_role: bool = False
    reasoning_field: str | None = "reasoning_content"
    stream_usage: bool = True
    prefill_models: tuple[str, ...] = ()
    prefix_base_url: str | None = None

    @property
    def base_url_variable(self) -> str:
        """The environment variable that overrides `base_url`."""
        return f"{self.name.upper().replace('-', '_')}_BASE_URL"


COMPLETION_TOKENS = ("*", "max_completion_tokens", "max_tokens")

MISTRAL_REFUSES = frozenset(
    {
        "audio",
        "function_call",
        "functions",
        "logit_bias",
        "messages[].name",
        "modalities",
        "moderation",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "user",
        "verbosity",
        "web_search_options",
    }
)

VENDORS: Mapping[str, Vendor] = {
    vendor.name: vendor
    for vendor in (
        Vendor(
            name="openai",
            base_url="https://api.openai.com/v1",
            key_variables=("OPENAI_API_KEY",),
            developer_role=True,
            reasoning_field=None,
            renames=(
                ("o[0-9]*", "max_tokens", "max_completion_tokens"),
                ("gpt-5*", "max_tokens", "max_completion_tokens"),
            ),
        ),
        Vendor(
            name="anthropic",
            base_url="https://api.anthropic.com",
            key_variables=("ANTHROPIC_API_KEY",),
            dialect="anthropic",
            # Newer ones refuse it: https://platform.claude.com/docs/en/build-with-claude/prefill-claudes-response.
            prefill_models=("claude-3*", "claude-*-4-0*", "claude-*-4-1*", "claude-*-4-2*", "claude-*-4-5*"),
        ),
        Vendor(
            name="groq",
            base_url="https://api.groq.com/openai/v1",
            key_variables=("GROQ_API_KEY",),
            unsupported=frozenset({"logprobs", "top_logprobs", "logit_bias", "messages[].name"}),
            reasoning_field="reasoning",
        ),
        Vendor(
            name="mistral",
            base_url="https://api.mistral.ai/v1",
            key_variables=("MISTRAL_API_KEY",),
            prefix_base_url="",
            unsupported=MISTRAL_REFUSES,
            renames=(COMPLETION_TOKENS, ("*", "seed", "random_seed")),
            reasoning_field=None,
            stream_usage=False,
        ),
        Vendor(
            name="deepseek",
            base_url="https://api.deepseek.com/v1",
            key_variables=("DEEPSEEK_API_KEY",),
            prefix_base_url="/beta",
            renames=(COMPLETION_TOKENS,),
        ),
        Vendor(name="xai", base_url="https://api.x.ai/v1", key_variables=("XAI_API_KEY",)),
        Vendor(
            name="openrouter",
            base_url="https://openrouter.ai/api/v1",
            key_variables=("OPENROUTER_API_KEY",),
            developer_role=True,
            reasoning_field="reasoning",
        ),
        Vendor(
            name="together",
            base_url="https://api.together.ai/v1",
            key_variables=("TOGETHER_API_KEY", "TOGETHERAI_API_KEY", "TOGETHER_AI_API_KEY"),
            aliases=("together_ai", "togetherai"),
            reasoning_field="reasoning",
        ),
        Vendor(
            name="fireworks",
            base_url="https://api.fireworks.ai/inference/v1",
            key_variables=("FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY"),
            aliases=("fireworks_ai",),
        ),
        Vendor(
            name="perplexity",
            base_url="https://api.perplexity.ai",
            key_variables=("PERPLEXITY_API_KEY", "PERPLEXITYAI_API_KEY"),
            renames=(COMPLETION_TOKENS,),
            reasoning_field=None,
        ),
        Vendor(
            name="cerebras",
            base_url="https://api.cerebras.ai/v1",
            key_variables=("CEREBRAS_API_KEY",),
            unsupported=frozenset({"frequency_penalty", "presence_penalty", "logit_bias", "service_tier"}),
            reasoning_field="reasoning",
        ),
        Vendor(
            name="nvidia",
            base_url="https://integrate.api.nvidia.com/v1",
            key_variables=("NVIDIA_API_KEY", "NVIDIA_NIM_API_KEY"),
            aliases=("nvidia_nim",),
        ),
        Vendor(name="deepinfra", base_url="https://api.deepinfra.com/v1/openai", key_variables=("DEEPINFRA_API_KEY",)),
        Vendor(name="moonshot", base_url="https://api.moonshot.ai/v1", key_variables=("MOONSHOT_API_KEY",)),
        Vendor(
            name="sambanova",
            base_url="https://api.sambanova.ai/v1",
            key_variables=("SAMBANOVA_API_KEY",),
            unsupported=frozenset({"presence_penalty", "frequency_penalty", "logit_bias"}),
        ),
        Vendor(
            name="huggingface",
            base_url="https://router.huggingface.co/v1",
            key_variables=("HF_TOKEN", "HUGGINGFACE_API_KEY"),
            reasoning_field=None,
        ),
        Vendor(
            name="github-models",
            base_url="https://models.github.ai/inference",
            key_variables=("GITHUB_MODELS_API_KEY", "GITHUB_API_KEY"),
            aliases=("github", "github_models"),
            reasoning_field=None,
        ),
        Vendor(
            name="dashscope",
            base_url="https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
            key_variables=("DASHSCOPE_API_KEY",),
            aliases=("qwencloud", "alibaba"),
        ),
        Vendor(
            name="inception",
            base_url="https://api.inceptionlabs.ai/v1",
            key_variables=("INCEPTION_API_KEY", "INCEPTION_LABS_API_KEY"),
            reasoning_field=None,
        ),
        Vendor(
            name="lmstudio",
            base_url="http://localhost:1234/v1",
            key_variables=("LMSTUDIO_API_KEY", "LM_STUDIO_API_KEY"),
            aliases=("lm_studio",),
            keyless=True,
        ),
        Vendor(
            name="llamacpp",
            base_url="http://localhost:8080/v1",
            key_variables=("LLAMACPP_API_KEY",),
            aliases=("llama_cpp", "llamafile"),
            keyless=True,
        ),
        Vendor(
            name="vllm",
            base_url="http://localhost:8000/v1",
            key_variables=("VLLM_API_KEY", "HOSTED_VLLM_API_KEY"),
            aliases=("hosted_vllm",),
            keyless=True,
        ),
        Vendor(
            name="openai-compatible",
            base_url="",
            key_variables=("OPENAI_COMPATIBLE_API_KEY",),
            aliases=("openai_compatible", "openai_like", "custom_openai"),
            keyless=True,
        ),
        Vendor(name="echo", base_url="echo://", developer_role=True, keyless=True),
    )
}

VENDORS_BY_NAME: Mapping[str, Vendor] = {
    name: vendor for vendor in VENDORS.values() for name in (vendor.name, *vendor.aliases)
}
"""A vendor by any of the names that it has in a model's address."""

GENERIC = VENDORS["openai-compatible"]
"""Whoever speaks OpenAI's format and is nobody known."""
ECHO = VENDORS["echo"]
"""The built-in stand-in: no vendor, no network."""

ENDINGS: Mapping[str, tuple[str, ...]] = {
    "openai": ("/chat/completions",),
    "anthropic": ("/v1/messages", "/v1"),
}
"""What people write after a base URL, by dialect, though the adapter adds it."""


def strip_endpoint(vendor: Vendor, url: str) -> str:
    """`url` without what the adapter of `vendor` adds to a base URL."""
    ending = next((ending for ending in ENDINGS.get(vendor.dialect, ()) if url.endswith(ending)), "")
    return url.removesuffix(ending)
