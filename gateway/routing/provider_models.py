"""The model lists of providers, fetched by GET /models, which costs nothing, and cached for minutes."""

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, NamedTuple

import requests
import structlog

from gateway.catalog.targets import Provider
from gateway.catalog.vendors import ECHO
from gateway.dialects import ADAPTERS
from gateway.json_codec import loads

# Seconds until a list is fetched again: after a success, after a failure.
CACHED, FAILURE_CACHED = 300.0, 30.0
TIMEOUT = 5.0
# What is kept of a list, and the bytes of one that are read: OpenRouter's, with hundreds of models, has half a megabyte.
MAX_MODELS, MAX_BYTES, MAX_ID = 10_000, 8 << 20, 512
# The year 9999, the last that datetime knows.
MAX_CREATED = 253_402_300_800


class ProviderModel(NamedTuple):
    """A model of a provider; `created` in unix seconds, 0 where the provider does not report it."""

    id: str
    created: int


class ProviderModels:
    """The model lists of all providers; one that cannot be fetched is left out, and logged."""

    def __init__(
        self, session: requests.Session, providers: Mapping[str, Provider], max_models: int = MAX_MODELS
    ) -> None:
        self._session, self._max_models = session, max_models
        self._providers = {name: provider for name, provider in providers.items() if name != ECHO.name}
        self._cache: dict[str, tuple[float, list[ProviderModel] | None]] = {}
        self._fetching = threading.Lock()

    def models(self) -> Mapping[str, list[ProviderModel]]:
        """By provider. Takes at most the timeout of one, since they are fetched at the same time."""
        with self._fetching:
            now = time.monotonic()
            expired = [
                provider for name, provider in self._providers.items() if self._cache.get(name, (0.0, None))[0] <= now
            ]
            if expired:
                with ThreadPoolExecutor(len(expired)) as pool:
                    fetched = list(pool.map(self._fetch, expired))
                for provider, models in zip(expired, fetched, strict=True):
                    self._cache[provider.name] = now + (CACHED if models else FAILURE_CACHED), models
            return {name: models for name, (_, models) in self._cache.items() if models}

    def is_reachable(self, provider: Provider) -> bool:
        """Whether a provider lists its models, fetched now: any other answer counts as unreachable."""
        return self._fetch(provider) is not None

    def _fetch(self, provider: Provider) -> list[ProviderModel] | None:
        adapter = ADAPTERS[provider.vendor.dialect]
        credentials = adapter.credentials(provider.key) if provider.key else {}
        headers = {"Accept": "application/json", **adapter.base_headers, **credentials}
        try:
            # A redirect would take the credentials to another host.
            response = self._session.get(
                provider.base_url + adapter.models_path, headers=headers, timeout=TIMEOUT, allow_redirects=False
            )
            response.raise_for_status()
            if len(response.content) > MAX_BYTES:
                raise ValueError("a list of models that is too long")  # noqa: TRY301 - handled as what it makes invalid
            return parse_model_list(loads(response.content), self._max_models)
        except (requests.RequestException, ValueError) as error:
            kind = getattr(error, "kind", type(error).__name__)  # of a TransportFailure, the word that trails have too
            structlog.get_logger().warning("model_list_failed", provider=provider.name, error=kind)
            return None


def parse_model_list(data: Any, max_models: int = MAX_MODELS) -> list[ProviderModel]:
    """The first models in a response to GET /models, OpenAI's or Anthropic's. Raises ValueError for any other."""
    # OpenAI: {"data": [{"id", "created"}]}; Anthropic: {"data": [{"id", "created_at"}]}; Together: the bare list.
    rows = data.get("data") if isinstance(data, dict) else data
    if not isinstance(rows, list):
        raise ValueError("no list of models")  # noqa: TRY004 - what a provider sends, not what a caller passes
    return [
        ProviderModel(row["id"], _created(row.get("created") or row.get("created_at")))
        for row in rows[:max_models]
        if isinstance(row, dict) and isinstance(row.get("id"), str) and len(row["id"]) <= MAX_ID
    ]


def _created(value: Any) -> int:
    """Unix seconds, of a number or of ISO 8601."""
    try:
        seconds = value if isinstance(value, int | float) else datetime.fromisoformat(value).timestamp()
    except (OverflowError, TypeError, ValueError):
        return 0
    return int(seconds) if 0 <= seconds < MAX_CREATED else 0
