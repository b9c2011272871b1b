"""GET /v1/models: the names that a request may ask for."""

from typing import Any

from flask import Blueprint, Response

from gateway.errors import ModelNotFound
from gateway.web.auth import require_api_key
from gateway.web.ratelimit import limited
from gateway.web.respond import as_json
from gateway.web.rooms import rooms

blueprint = Blueprint("models", __name__)


@blueprint.get("/v1/models")
@require_api_key
@limited
def list_models() -> Response:
    return as_json({"object": "list", "data": listed()})


@blueprint.get("/v1/models/<path:model>")
@require_api_key
@limited
def retrieve_model(model: str) -> Response:
    found = next((entry for entry in listed() if entry["id"] == model), None)
    if found is None:
        raise ModelNotFound(f"The model {model!r} does not exist here.")
    return as_json(found)


def listed() -> list[dict[str, Any]]:
    """What is configured, and what the providers say they have."""
    found = rooms().listings.models()
    created = {f"{provider}/{one.id}": one.created for provider, models in found.items() for one in models}
    named = rooms().directory.entries({provider: [one.id for one in models] for provider, models in found.items()})
    return [
        {"id": name, "object": "model", "created": created.get(name, 0), "owned_by": owner} for name, owner in named
    ]
