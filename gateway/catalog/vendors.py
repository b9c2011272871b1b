"""The vendors, one row each; docs/providers.md names the page for each rule. A provider is a vendor that is configured."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """A vendor's API. Only adapters read the fields from `unsupported` on."""

    name: str
    base_url: str
    # The environment variables that an API key may be in; the first that is set counts.
    key_variables: tuple[str, ...] = ()
    dialect: str = "openai"
    # Other names in `vendor/model`: LiteLLM's, https://docs.litellm.ai/docs/providers.
    aliases: tuple[str, ...] = ()
    # Needs no API key: its base URL alone enables it.
    keyless: bool = False

    # Paths of OpenAI's fields that the API refuses or, by its documentation, ignores. They are dropped and reported.
    # `messages[].name` is that field of every message.
    unsupported: frozenset[str] = frozenset()
    # (glob of models, OpenAI's field, the vendor's field).
    renames: tuple[tuple[str, str, str], ...] = ()
    # Whether the API knows the role `developer`; otherwise it is sent as `system`.
    developer_role: bool = False
    # The field of an assistant's message in which the API accepts its reasoning; None: it refuses such a field.
    reasoning_field: str | None = "reasoning_content"
    # Whether the API accepts `stream_options`.
    stream_usage: bool = True
    # Globs of the models that continue an assistant's message at the end of the request.
    prefill_models: tuple[str, ...] = ()
    # The end of the base URLs under which the API continues such a message if it has `prefix: true`; None: nowhere.
    prefix_base_url: str | None = None

    @property
    def base_url_variable(self) -> str:
        """The environment variable that overrides `base_url`."""
        return f"{self.name.upper().replace('-', '_')}_BASE_URL"


TO_MAX_TOKENS = ("*", "max_completion_tokens", "max_tokens")

# What https://docs.mistral.ai/api/ does not list: Mistral answers 422 to any unknown field.
MISTRAL_UNSUPPORTED = frozenset(
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
            # Chat completions have no field for it, and unknown ones are refused.
            reasoning_field=None,
            # max_tokens is "not compatible with o-series models": https://platform.openai.com/docs/api-reference/chat/create.
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
            # Newer models refuse it: https://platform.claude.com/docs/en/build-with-claude/prefill-claudes-response.
            prefill_models=("claude-3*", "claude-*-4-0*", "claude-*-4-1*", "claude-*-4-2*", "claude-*-4-5*"),
        ),
        Vendor(
            name="groq",
            base_url="https://api.groq.com/openai/v1",
            key_variables=("GROQ_API_KEY",),
            # https://console.groq.com/docs/openai: "will result in a 400 error".
            unsupported=frozenset({"logprobs", "top_logprobs", "logit_bias", "messages[].name"}),
            reasoning_field="reasoning",
        ),
        Vendor(
            name="mistral",
            base_url="https://api.mistral.ai/v1",
            key_variables=("MISTRAL_API_KEY",),
            prefix_base_url="",
            unsupported=MISTRAL_UNSUPPORTED,
            renames=(TO_MAX_TOKENS, ("*", "seed", "random_seed")),
            reasoning_field=None,
            stream_usage=False,  # the usage is in the last chunk in any case
        ),
        Vendor(
            name="deepseek",
            base_url="https://api.deepseek.com/v1",
            key_variables=("DEEPSEEK_API_KEY",),
            # https://api-docs.deepseek.com/guides/chat_prefix_completion: the base URL must be the one of the beta features.
            prefix_base_url="/beta",
            renames=(TO_MAX_TOKENS,),
            # Thinking mode requires it in messages with tool calls: https://api-docs.deepseek.com/guides/thinking_mode.
            reasoning_field="reasoning_content",
        ),
        Vendor(name="xai", base_url="https://api.x.ai/v1", key_variables=("XAI_API_KEY",)),
        Vendor(
            name="openrouter",
            base_url="https://openrouter.ai/api/v1",
            key_variables=("OPENROUTER_API_KEY",),
            developer_role=True,
            reasoning_field="reasoning",  # https://openrouter.ai/docs/use-cases/reasoning-tokens
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
            renames=(TO_MAX_TOKENS,),
            reasoning_field=None,
        ),
        Vendor(
            name="cerebras",
            base_url="https://api.cerebras.ai/v1",
            key_variables=("CEREBRAS_API_KEY",),
            # It "does not expose developer directly": https://inference-docs.cerebras.ai/resources/openai. The page once
            # listed `parallel_tool_calls` as well, but the API accepts it.
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
            # Ignored: https://docs.sambanova.ai/docs/en/features/openai-compatibility.
            unsupported=frozenset({"presence_penalty", "frequency_penalty", "logit_bias"}),
        ),
        Vendor(
            name="huggingface",
            base_url="https://router.huggingface.co/v1",
            key_variables=("HF_TOKEN", "HUGGINGFACE_API_KEY"),
            # It routes to other companies' servers, some of which refuse unknown fields.
            reasoning_field=None,
        ),
        Vendor(
            name="github-models",
            base_url="https://models.github.ai/inference",
            # Not GITHUB_TOKEN: many environments have one for other purposes.
            key_variables=("GITHUB_MODELS_API_KEY", "GITHUB_API_KEY"),
            aliases=("github", "github_models"),
            reasoning_field=None,
        ),
        Vendor(
            name="dashscope",
            # Keys belong to a region; docs/providers.md has the base URLs of the others.
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
            base_url="http://localhost:8000/v1",  # vLLM's default port, and the gateway's
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

# By name and by alias.
VENDORS_BY_NAME: Mapping[str, Vendor] = {
    name: vendor for vendor in VENDORS.values() for name in (vendor.name, *vendor.aliases)
}

# Any other server that speaks OpenAI's format.
GENERIC = VENDORS["openai-compatible"]
# The built-in provider: it answers without a model or network.
ECHO = VENDORS["echo"]

# By dialect: the paths that an adapter appends to a base URL, and that base URLs are often copied with.
ENDPOINTS: Mapping[str, tuple[str, ...]] = {
    "openai": ("/chat/completions",),
    "anthropic": ("/v1/messages", "/v1"),
}


def strip_endpoint(vendor: Vendor, url: str) -> str:
    """`url` as a base URL, without the path that the adapter of `vendor` appends."""
    endpoint = next((path for path in ENDPOINTS.get(vendor.dialect, ()) if url.endswith(path)), "")
    return url.removesuffix(endpoint)
