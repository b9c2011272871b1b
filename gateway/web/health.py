"""GET /health, /health/live and /health/ready, for hosts and load balancers, and GET /metrics, for Prometheus."""

import time
from typing import Any

from flask import Blueprint, Response

from gateway import VERSION
from gateway.observability.metrics import CONTENT_TYPE_LATEST
from gateway.web.auth import request_secret, require_api_key
from gateway.web.respond import GatewayResponse, as_json
from gateway.web.services import Services, current_services

blueprint = Blueprint("health", __name__)


@blueprint.get("/health")
@blueprint.get("/health/live")
def live() -> Response:
    """Report that the process is alive."""
    return as_json({"status": "ok", "version": VERSION, "timestamp": int(time.time() * 1000)})


@blueprint.get("/health/ready")
def ready() -> Response:
    """
    Report whether any provider is configured; 503 without one.

    To a client with a key, and to every client where none is needed: the providers, the unhealthy targets, the calls in flight.
    """
    services = current_services()
    providers = configured_providers(services)
    if not providers:
        return as_json({"status": "unavailable"}, 503)
    if services.settings.auth and request_secret() is None:
        return as_json({"status": "ok"})
    return details(providers)


@require_api_key
def details(providers: list[str]) -> Response:
    services = current_services()
    breakers = services.router.health_registry.unhealthy()
    return as_json({"status": "ok", "providers": providers, "breakers": breakers, "calls": calls_in_flight(services)})


@blueprint.get("/metrics")
@require_api_key
def metrics() -> Response:
    """The state of the targets, in Prometheus' text format."""
    return GatewayResponse([current_services().metrics.render()], 200, [("Content-Type", CONTENT_TYPE_LATEST)])


def configured_providers(services: Services) -> list[str]:
    """The names of the providers, of those too that are configured for single targets."""
    registry = services.registry
    of_targets = (target.provider.name for targets in registry.models.values() for target in targets)
    return list(dict.fromkeys([*registry.providers, *of_targets]))


def calls_in_flight(services: Services) -> dict[str, Any]:
    """`held`: clients' calls in this process; `in_flight`: its requests to upstreams."""
    upstream = sum(health.in_flight for _, health in services.router.health_registry.items())
    return {"held": services.concurrency_limit.in_flight, "in_flight": upstream}
