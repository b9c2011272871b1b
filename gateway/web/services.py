"""What the views use, made once by the factory."""

from dataclasses import dataclass

from flask import current_app
from limits import RateLimitItem

from gateway.accounts.client_keys import ClientKeys
from gateway.catalog.registry import ModelRegistry
from gateway.completions.concurrency_limit import ConcurrencyLimit
from gateway.config.settings import Settings
from gateway.health.probes import Probes
from gateway.routing.provider_models import ProviderModels
from gateway.routing.router import Router
from gateway.web.body import BodyDeadlines

NAME = "pointsman"
"""The key in `app.extensions`."""


@dataclass(frozen=True, slots=True)
class Services:
    settings: Settings
    keys: ClientKeys
    registry: ModelRegistry
    provider_models: ProviderModels
    router: Router
    limits: tuple[RateLimitItem, ...]
    deadlines: BodyDeadlines
    calls: ConcurrencyLimit
    probes: Probes


def current_services() -> Services:
    """The services of the application that serves the present request."""
    services: Services = current_app.extensions[NAME]
    return services
