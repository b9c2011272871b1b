"""Providers and targets: what a configuration makes of vendors and their models."""

from dataclasses import dataclass, field

from gateway.catalog.model_info import UNKNOWN, ModelInfo
from gateway.catalog.vendors import Vendor


@dataclass(frozen=True, slots=True)
class Provider:
    """A vendor as it is configured here: `base_url` without a slash at its end."""

    vendor: Vendor
    base_url: str
    key: str | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        return self.vendor.name


Identity = tuple[str, str, str, str | None]


@dataclass(frozen=True, slots=True)
class Target:
    """
    One place where a request can be answered. `timeout` in seconds; `rpm`, `tpm`: requests and tokens a minute;
    `max_parallel`: calls at once; `weight`: its share among the targets of one model name; `connect`, `first_content`
    and `silence`: seconds, where they are others than usual.
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
    identity: Identity = field(init=False, repr=False, compare=False)
    """What is the same target by whatever name: provider, base URL, model and key."""

    def __post_init__(self) -> None:
        told = self.provider.name, self.provider.base_url, self.model, self.provider.key
        object.__setattr__(self, "identity", told)

    @property
    def name(self) -> str:
        """What a person reads of it."""
        return f"{self.provider.name}/{self.model}"


Targets = tuple[Target, ...]
