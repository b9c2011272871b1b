"""The vendors, one row each; a provider is a vendor that is turned on, a target a model of a provider."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """
    What is known of a vendor's API.

    Its environment variables are `<NAME>_BASE_URL` and `keys`, NAME in capitals with underscores. `also` are other
    names for it in a model's address (LiteLLM's). The rest is read by the OpenAI adapter alone:
    `refuses`: documented OpenAI fields that the API answers with an error; they are dropped and reported.
    `renames`: (model glob, OpenAI's field, the vendor's field).
    `developer`: it knows the role `developer`; else that is sent as `system`.
    `thoughts`: the field in which an assistant message takes its reasoning back; None: it refuses such a field.
    `stream_usage`: it takes `stream_options`.
    """

    name: str
    base_url: str
    keys: tuple[str, ...] = ()
    dialect: str = "openai"
    also: tuple[str, ...] = ()
    refuses: frozenset[str] = frozenset()
    renames: tuple[tuple[str, str, str], ...] = ()
    developer: bool = False
    thoughts: str | None = "reasoning_content"
    stream_usage: bool = True

    @property
    def prefix(self) -> str:
        """How the names of its environment variables begin."""
        return self.name.upper().replace("-", "_")


@dataclass(frozen=True, slots=True)
class Provider:
    """A vendor as it is configured here: `base_url` without a slash at its end."""

    vendor: Vendor
    base_url: str
    key: str | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        return self.vendor.name


@dataclass(frozen=True, slots=True)
class Target:
    """
    One place where a request can be answered. `timeout` in seconds; `rpm`, `tpm`: requests and tokens a minute;
    `weight`: its share among the targets of one model name.
    """

    provider: Provider
    model: str
    timeout: float | None = None
    rpm: int | None = None
    tpm: int | None = None
    weight: float | None = None


COMPLETION_TOKENS = ("*", "max_completion_tokens", "max_tokens")

VENDORS: Mapping[str, Vendor] = {
    vendor.name: vendor
    for vendor in (
        Vendor(
            name="openai",
            base_url="https://api.openai.com/v1",
            keys=("OPENAI_API_KEY",),
            developer=True,
            thoughts=None,
            renames=(
                ("o[0-9]*", "max_tokens", "max_completion_tokens"),
                ("gpt-5*", "max_tokens", "max_completion_tokens"),
            ),
        ),
        Vendor(
            name="anthropic", base_url="https://api.anthropic.com", keys=("ANTHROPIC_API_KEY",), dialect="anthropic"
        ),
        Vendor(name="groq", base_url="https://api.groq.com/openai/v1", keys=("GROQ_API_KEY",), thoughts="reasoning"),
        Vendor(
            name="mistral",
            base_url="https://api.mistral.ai/v1",
            keys=("MISTRAL_API_KEY",),
            renames=(COMPLETION_TOKENS, ("*", "seed", "random_seed")),
            thoughts=None,
            stream_usage=False,
        ),
        Vendor(name="deepseek", base_url="https://api.deepseek.com/v1", keys=("DEEPSEEK_API_KEY",)),
        Vendor(name="xai", base_url="https://api.x.ai/v1", keys=("XAI_API_KEY",)),
        Vendor(
            name="openrouter",
            base_url="https://openrouter.ai/api/v1",
            keys=("OPENROUTER_API_KEY",),
            developer=True,
            thoughts="reasoning",
        ),
        Vendor(name="echo", base_url="echo://", developer=True),
    )
}
