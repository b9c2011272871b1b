"""What the views use, made once by the factory."""

from dataclasses import dataclass

from flask import current_app
from limits import RateLimitItem

from gateway.accounts.client_keys import Keys
from gateway.catalog.registry import Directory
from gateway.completions.concurrency_limit import Slots
from gateway.config.settings import Settings
from gateway.health.probes import Probes
from gateway.routing.provider_models import Listings
from gateway.routing.router import Router
from gateway.web.body import Deadlines

NAME = "pointsman"
"""The key in `app.extensions`."""


@dataclass(frozen=True, slots=True)
class Services:
    settings: Settings
    keys: Keys
    registry: Directory
    listings: Listings
    router: Router
    limits: tuple[RateLimitItem, ...]
    deadlines: Deadlines
    calls: Slots
    probes: Probes


def current_services() -> Services:
    """The services of the application that serves the present request."""
    services: Services = current_app.extensions[NAME]
    return services
