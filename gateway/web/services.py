"""What the views use, made once by the factory: `current_services()` while a request is served."""

from dataclasses import dataclass

from flask import current_app
from limits import RateLimitItem
from limits.strategies import RateLimiter

from gateway.accounts.client_keys import ClientKeys
from gateway.catalog.registry import ModelRegistry
from gateway.completions.concurrency_limit import ConcurrencyLimit
from gateway.config.settings import Settings
from gateway.health.probes import Probes
from gateway.observability.metrics import Metrics
from gateway.routing.provider_models import ProviderModels
from gateway.routing.router import Router

# The key of the services in `app.extensions`, where Flask keeps what belongs to one application.
EXTENSION = "pointsman"


@dataclass(frozen=True, slots=True)
class Services:
    """`auth_failures` counts wrong keys by address; `rate_limiter` counts requests against each of the `rate_limits`."""

    settings: Settings
    client_keys: ClientKeys
    auth_failures: RateLimiter
    rate_limits: tuple[RateLimitItem, ...]
    rate_limiter: RateLimiter
    concurrency_limit: ConcurrencyLimit
    registry: ModelRegistry
    provider_models: ProviderModels
    router: Router
    probes: Probes
    metrics: Metrics


def current_services() -> Services:
    """The services of the application that serves the current request."""
    services: Services = current_app.extensions[EXTENSION]
    return services
