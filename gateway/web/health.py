"""GET /health: whether the process lives, and whether it could serve."""

import time

from flask import Blueprint, Response

from gateway import VERSION
from gateway.standing import CLOSED
from gateway.web.respond import as_json
from gateway.web.rooms import rooms

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
    own = rooms()
    names = list(own.settings.providers)
    if not names:
        return as_json({"status": "unavailable"}, 503)
    known = own.router.standings.items()
    apart = {f"{provider}/{model}": one.state for (provider, _, model), one in known if one.state != CLOSED}
    calls = {"held": own.calls.taken, "under_way": sum(one.under_way for _, one in known)}
    return as_json({"status": "ok", "providers": names, "breakers": apart, "calls": calls})
