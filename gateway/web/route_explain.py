"""POST /v1/route/explain: the targets of a chat request, in order, and why others are left out. No upstream is called."""

from typing import Any

from flask import Blueprint, Response

from gateway.catalog.routing_policy import FALLBACK_KINDS
from gateway.catalog.targets import Target
from gateway.dialects.openai.client import CLIENT_DIALECT
from gateway.errors import Untranslatable
from gateway.routing.call import Call
from gateway.routing.capabilities import requirements, why_incapable
from gateway.routing.strategies import default_strategy
from gateway.web.auth import require_api_key
from gateway.web.calls import build_call, request_json
from gateway.web.openai.request_schemas import load_chat
from gateway.web.rate_limit import rate_limited
from gateway.web.respond import as_json
from gateway.web.services import Services, current_services

blueprint = Blueprint("route_explain", __name__)


@blueprint.post("/v1/route/explain")
@require_api_key
@rate_limited
def explain_route() -> Response:
    """The targets that a chat request would be sent to, in order, and why the others would not be used."""
    services = current_services()
    call = build_call(services, CLIENT_DIALECT, load_chat(request_json(services)))
    return as_json(explanation(services, call))


def explanation(services: Services, call: Call) -> dict[str, Any]:
    """The route of a call in the present state of the targets."""
    router, required = services.router, requirements(call.chat)
    try:
        ordered = router.preview(call)
    except Untranslatable:
        ordered = ()  # no target is capable: each has its reason below
    unavailable = {
        target: router.health_registry.of(target).unavailable(target.max_parallel_requests) for target in ordered
    }
    fallbacks = {
        target: kind
        for kind in FALLBACK_KINDS
        for route in call.fallback_routes(kind).values()
        for target in route.targets
    }
    incapable = {
        target: why_incapable(target, required) for target in (*call.targets, *fallbacks) if target not in ordered
    }
    return {
        "object": "route",
        "model": call.chat["model"],
        "strategy": call.policy.strategy or default_strategy(ordered or call.targets),
        "targets": [target_state(services, target) for target in ordered if unavailable[target] is None],
        "unavailable": [
            *(
                {**target_state(services, target), "reason": reason}
                for target, reason in incapable.items()
                if reason is not None
            ),
            *(
                {**target_state(services, target), "reason": why.reason, "seconds": round(why.seconds, 3)}
                for target, why in unavailable.items()
                if why is not None
            ),
        ],
        **{kind: [target.name for target in router.preview_fallbacks(call, kind)] for kind in FALLBACK_KINDS},
    }


def target_state(services: Services, target: Target) -> dict[str, Any]:
    """A target with its health; `first_content_seconds` is an average, null where nothing recent is measured."""
    health = services.router.health_registry.of(target)
    latency = round(health.first_content.average, 3) or None
    return {
        "target": target.name,
        "state": health.state,
        "in_flight": health.in_flight,
        "first_content_seconds": latency,
        "weight": target.weight,
    }
