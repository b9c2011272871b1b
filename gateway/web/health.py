"""GET /health: whether the process lives, and whether it could serve; and GET /metrics."""

import time

from flask import Blueprint, Response

from gateway import VERSION
from gateway.observability import metrics
from gateway.web.auth import require_api_key
from gateway.web.respond import GatewayResponse, as_json
from gateway.web.services import current_services

blueprint = Blueprint("health", __name__)


@blueprint.get("/health")
@blueprint.get("/health/live")
def live() -> Response:
    return as_json({"status": "ok", "version": VERSION, "timestamp": int(time.time() * 1000)})


@blueprint.get("/health/ready")
def ready() -> Response:
    """
    Whether there is any provider that a request could go to; which targets are left alone at the moment; how many calls
    of clients this process holds, and how many of upstreams are under way.
    """
    services = current_services()
    listed = (target.provider.name for targets in services.registry.models.values() for target in targets)
    names = list(dict.fromkeys([*services.registry.providers, *listed]))
    if not names:
        return as_json({"status": "unavailable"}, 503)
    health_registry = services.router.health_registry
    calls = {"held": services.calls.in_flight, "in_flight": sum(one.in_flight for _, one in health_registry.items())}
    return as_json({"status": "ok", "providers": names, "breakers": health_registry.unhealthy(), "calls": calls})


@blueprint.get("/metrics")
@require_api_key
def exposition() -> Response:
    """How targets stand, for Prometheus."""
    return GatewayResponse([metrics.render_metrics()], 200, [("Content-Type", metrics.CONTENT_TYPE_LATEST)])
