"""POST /v1/route/explain: where a chat request would be sent, and why not elsewhere. No upstream is called."""

from typing import Any

from flask import Blueprint, Response

from gateway.catalog.routing_policy import KINDS
from gateway.catalog.vendors import Target
from gateway.dialects.openai.client import CLIENT_DIALECT
from gateway.errors import Untranslatable
from gateway.routing.call import Call
from gateway.routing.capabilities import needs, unfit
from gateway.routing.strategies import usual
from gateway.web.auth import require_api_key
from gateway.web.calls import build_call, request_json
from gateway.web.openai import request_schemas
from gateway.web.rate_limit import limited
from gateway.web.respond import as_json
from gateway.web.services import Services, current_services

blueprint = Blueprint("route_explain", __name__)


@blueprint.post("/v1/route/explain")
@require_api_key
@limited
def explain_route() -> Response:
    """Which targets a chat request would be sent to, in which order, and why the others would not."""
    services = current_services()
    chat = request_schemas.chat(request_json(services))
    return as_json(explanation(services, build_call(services, CLIENT_DIALECT, chat)))


def explanation(services: Services, call: Call) -> dict[str, Any]:
    """The route of a call, as things are now."""
    router, required = services.router, needs(call.chat)
    try:
        ordered = router.foretold(call)
    except Untranslatable:
        ordered = ()  # no target is capable, for the reasons below
    unavailable = {target: router.standings.of(target).out(target.max_parallel) for target in ordered}
    fallbacks = {target: kind for kind in KINDS for route in call.more(kind).values() for target in route.targets}
    unable = {target: unfit(target, required) for target in (*call.targets, *fallbacks) if target not in ordered}
    return {
        "object": "route",
        "model": call.chat["model"],
        "strategy": call.policy.strategy or usual(call.targets),
        "targets": [described(services, target) for target in ordered if unavailable[target] is None],
        "out": [
            *(
                {**described(services, target), "reason": reason}
                for target, reason in unable.items()
                if reason is not None
            ),
            *(
                {**described(services, target), "reason": why.reason, "seconds": round(why.seconds, 3)}
                for target, why in unavailable.items()
                if why is not None
            ),
        ],
        **{kind: [target.name for target in router.others_foretold(call, kind)] for kind in KINDS},
    }


def described(services: Services, target: Target) -> dict[str, Any]:
    health = services.router.standings.of(target)
    latency = round(health.first_content.average, 3) or None
    return {
        "target": target.name,
        "state": health.state,
        "under_way": health.under_way,
        "first_content_seconds": latency,
        "weight": target.weight,
    }
