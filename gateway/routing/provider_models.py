"""Which models the providers say they have: asked for free, kept for minutes."""

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, NamedTuple

import requests
import structlog

from gateway.catalog.vendors import ECHO, Provider
from gateway.dialects import ADAPTERS
from gateway.json_codec import loads

KEPT, FAILED_KEPT = 300.0, 30.0
"""Seconds until a provider is asked again: after an answer, after a failure."""
TIMEOUT = 5.0


class ProviderModel(NamedTuple):
    """A model of a provider; `created` in unix seconds, 0 where the provider does not say."""

    id: str
    created: int


class ProviderModels:
    """The models of each provider that could be asked; what fails is left out, and logged."""

    def __init__(self, session: requests.Session, providers: Mapping[str, Provider]) -> None:
        self._session = session
        self._providers = {name: one for name, one in providers.items() if name != ECHO.name}
        self._kept: dict[str, tuple[float, list[ProviderModel] | None]] = {}
        self._asking = threading.Lock()

    def models(self) -> Mapping[str, list[ProviderModel]]:
        """By provider. Waits for all of them together at most for the timeout of one."""
        with self._asking:
            now = time.monotonic()
            due = [one for name, one in self._providers.items() if self._kept.get(name, (0.0, None))[0] <= now]
            if due:
                with ThreadPoolExecutor(len(due)) as pool:
                    found = list(pool.map(self._ask, due))
                for provider, parse_model_list in zip(due, found, strict=True):
                    self._kept[provider.name] = now + (KEPT if parse_model_list else FAILED_KEPT), parse_model_list
            return {name: parse_model_list for name, (_, parse_model_list) in self._kept.items() if parse_model_list}

    def is_reachable(self, provider: Provider) -> bool:
        """Whether a provider answers, asked now."""
        return self._ask(provider) is not None

    def _ask(self, provider: Provider) -> list[ProviderModel] | None:
        adapter = ADAPTERS[provider.vendor.dialect]
        headers = {"Accept": "application/json", **(adapter.credentials(provider.key) if provider.key else {})}
        try:
            response = self._session.get(
                provider.base_url + adapter.models_path, headers=headers, timeout=TIMEOUT, allow_redirects=False
            )
            response.raise_for_status()
            return parse_model_list(loads(response.content))
        except (requests.RequestException, ValueError) as error:
            structlog.get_logger().warning("models", provider=provider.name, error=type(error).__name__)
            return None


def parse_model_list(data: Any) -> list[ProviderModel]:
    """The models in an answer to GET /models, OpenAI's or Anthropic's. Raises ValueError for any other."""
    rows = data.get("data") if isinstance(data, dict) else data
    if not isinstance(rows, list):
        raise ValueError("no list of models")  # noqa: TRY004 - what a provider says, not what a caller passes
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
