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


class ProviderModel(NamedTuple):
    """A model of a provider; `created` in unix seconds, 0 where the provider does not report it."""

    id: str
    created: int


class ProviderModels:
    """The model lists of all providers; one that cannot be fetched is left out, and logged."""

    def __init__(self, session: requests.Session, providers: Mapping[str, Provider]) -> None:
        self._session = session
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
        """Whether a provider answers, fetched now."""
        return self._fetch(provider) is not None

    def _fetch(self, provider: Provider) -> list[ProviderModel] | None:
        adapter = ADAPTERS[provider.vendor.dialect]
        headers = {"Accept": "application/json", **(adapter.credentials(provider.key) if provider.key else {})}
        try:
            # A redirect would take the credentials to another host.
            response = self._session.get(
                provider.base_url + adapter.models_path, headers=headers, timeout=TIMEOUT, allow_redirects=False
            )
            response.raise_for_status()
            return parse_model_list(loads(response.content))
        except (requests.RequestException, ValueError) as error:
            kind = getattr(error, "kind", type(error).__name__)  # of a TransportFailure, the word that trails have too
            structlog.get_logger().warning("model_list_failed", provider=provider.name, error=kind)
            return None


def parse_model_list(data: Any) -> list[ProviderModel]:
    """The models in a response to GET /models, OpenAI's or Anthropic's. Raises ValueError for any other."""
    # OpenAI: {"data": [{"id", "created"}]}; Anthropic: {"data": [{"id", "created_at"}]}; Together: the bare list.
    rows = data.get("data") if isinstance(data, dict) else data
    if not isinstance(rows, list):
        raise ValueError("no list of models")  # noqa: TRY004 - what a provider sends, not what a caller passes
    return [
        ProviderModel(row["id"], _created(row.get("created") or row.get("created_at")))
        for row in rows
        if isinstance(row, dict) and isinstance(row.get("id"), str)
    ]


def _created(value: Any) -> int:
    """Unix seconds, of a number or of ISO 8601."""
    if isinstance(value, int | float):
        return int(value)
    try:
        return int(datetime.fromisoformat(value).timestamp())
    except (TypeError, ValueError):
        return 0
