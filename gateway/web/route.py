"""From a validated request to its call: which targets, by which policy; and POST /v1/route/explain, which says so."""

import math
import time
from dataclasses import replace
from functools import partial
from typing import Any

from flask import Blueprint, Response, g, request

from gateway.call import Call
from gateway.errors import InvalidRequest, ModelNotFound, Untranslatable
from gateway.fitness import needs, unfit
from gateway.policy import KINDS
from gateway.providers import Target
from gateway.strategies import usual
from gateway.transport import Watch
from gateway.web import schemas
from gateway.web.auth import require_api_key
from gateway.web.body import json_body
from gateway.web.ratelimit import limited
from gateway.web.respond import as_json
from gateway.web.rooms import Rooms, rooms

blueprint = Blueprint("route", __name__)

MOST_SECONDS = 1_000_000
SWITCHED_ON = ("1", "true", "yes", "on")


def asked(own: Rooms) -> Any:
    """The JSON of the request."""
    return json_body(request.environ, own.settings.max_body, own.deadlines, own.settings.body_timeout)


def routed(own: Rooms, said: dict[str, Any]) -> Call:
    """The call of a validated request, with its targets. Raises ModelNotFound, InvalidRequest."""
    environ = request.environ
    others = said.get("models") or ()
    chat = {name: value for name, value in said.items() if name != "models"} if "models" in said else said
    route = own.directory.route(chat["model"])
    policy = replace(route.policy, fallbacks=(*others, *route.policy.fallbacks)) if others else route.policy
    for index, name in enumerate(others):
        try:
            own.directory.targets(name)
        except ModelNotFound as error:
            error.param = f"models[{index}]"
            raise
    strict = environ.get("HTTP_X_GATEWAY_STRICT", "").lower() in SWITCHED_ON
    return Call(
        id=g.request_id,
        chat=chat,
        targets=route.targets,
        created=int(time.time()),
        policy=policy,
        session=environ.get("HTTP_X_GATEWAY_SESSION") or chat.get("user") or "",
        more=partial(own.directory.others, policy),
        watch=Watch(environ.get("gunicorn.socket")),
        strict=strict or own.settings.strict,
        deadline=deadline(environ.get("HTTP_X_GATEWAY_TIMEOUT")),
    )


def deadline(written: str | None) -> float:
    """By `time.monotonic()`, from `x-gateway-timeout` in seconds. Raises InvalidRequest."""
    if written is None:
        return math.inf
    try:
        seconds = float(written) if "_" not in written else math.nan
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= MOST_SECONDS:
        raise InvalidRequest(f"The header x-gateway-timeout must be a number of seconds above 0, up to {MOST_SECONDS}.")
    return time.monotonic() + seconds


@blueprint.post("/v1/route/explain")
@require_api_key
@limited
def explain_route() -> Response:
    """Which targets a chat request would be sent to, in which order, and why the others would not; nobody is called."""
    own = rooms()
    return as_json(explained(own, routed(own, schemas.chat(asked(own)))))


def explained(own: Rooms, call: Call) -> dict[str, Any]:
    """The route of a call, as it stands now."""
    wanted = needs(call.chat)
    try:
        ahead = own.router.foretold(call)
    except Untranslatable:
        ahead = ()  # none can take it, for the reasons below
    shut = {target: own.router.standings.of(target).out(target.max_parallel) for target in ahead}
    others = {target: kind for kind in KINDS for route in call.more(kind).values() for target in route.targets}
    unable = {target: unfit(target, wanted) for target in (*call.targets, *others) if target not in ahead}
    return {
        "object": "route",
        "model": call.chat["model"],
        "strategy": call.policy.strategy or usual(call.targets),
        "targets": [shown(own, target) for target in ahead if shut[target] is None],
        "out": [
            *({**shown(own, target), "reason": reason} for target, reason in unable.items() if reason is not None),
            *(
                {**shown(own, target), "reason": why.reason, "seconds": round(why.seconds, 3)}
                for target, why in shut.items()
                if why is not None
            ),
        ],
        **{kind: [target.name for target in own.router.others_foretold(call, kind)] for kind in KINDS},
    }


def shown(own: Rooms, target: Target) -> dict[str, Any]:
    standing = own.router.standings.of(target)
    latency = round(standing.first_content.average, 3) or None
    return {
        "target": target.name,
        "state": standing.state,
        "under_way": standing.under_way,
        "first_content_seconds": latency,
        "weight": target.weight,
    }
