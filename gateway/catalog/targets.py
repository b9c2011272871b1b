"""Providers and targets: what a configuration makes of vendors and their models."""

from dataclasses import dataclass, field

from gateway.catalog.model_info import UNKNOWN, ModelInfo
from gateway.catalog.vendors import Vendor

Identity = tuple[str, str, str, str | None]


@dataclass(frozen=True, slots=True)
class Provider:
    """A vendor that the configuration enables; `base_url` has no slash at its end."""

    vendor: Vendor
    base_url: str
    key: str | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        return self.vendor.name


@dataclass(frozen=True, slots=True)
class Target:
    """
    A model of a provider that can serve a request.

    Timeouts are in seconds; None means the one of Settings. `rpm` and `tpm`: requests and tokens per minute. `weight`: the
    share among the targets of one model name. `max_parallel_requests`: per process.
    """

    provider: Provider
    model: str
    timeout: float | None = None
    rpm: int | None = None
    tpm: int | None = None
    weight: float | None = None
    max_parallel_requests: int | None = None
    connect_timeout: float | None = None
    first_content_timeout: float | None = None
    idle_timeout: float | None = None
    model_info: ModelInfo = UNKNOWN
    # Provider, base URL, model and key. Targets of several model names that are equal in these share health and limits.
    identity: Identity = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        identity = self.provider.name, self.provider.base_url, self.model, self.provider.key
        object.__setattr__(self, "identity", identity)  # the documented way for a frozen dataclass

    @property
    def name(self) -> str:
        """As logs show it."""
        return f"{self.provider.name}/{self.model}"


Targets = tuple[Target, ...]
