"""GET /v1/models: the names that a request may ask for."""

from typing import Any

from flask import Blueprint, Response

from gateway.errors import ModelNotFound
from gateway.web.auth import require_api_key
from gateway.web.rate_limit import rate_limited
from gateway.web.respond import as_json
from gateway.web.services import current_services

blueprint = Blueprint("models", __name__)


@blueprint.get("/v1/models")
@require_api_key
@rate_limited
def list_models() -> Response:
    return as_json({"object": "list", "data": listed()})


@blueprint.get("/v1/models/<path:model>")
@require_api_key
@rate_limited
def retrieve_model(model: str) -> Response:
    """A model that is configured here, or else one that its provider says it has."""
    for name, owner in current_services().registry.list_models():
        if name == model:
            return as_json(entry(name, owner, 0))
    for found in listed():
        if found["id"] == model:
            return as_json(found)
    raise ModelNotFound(f"The model {model[:200]!r} does not exist here.")


def listed() -> list[dict[str, Any]]:
    """What is configured, and what the providers say they have."""
    found = current_services().provider_models.models()
    created = {f"{provider}/{one.id}": one.created for provider, models in found.items() for one in models}
    named = current_services().registry.list_models(
        {provider: [one.id for one in models] for provider, models in found.items()}
    )
    return [entry(name, owner, created.get(name, 0)) for name, owner in named]


def entry(name: str, owner: str, created: int) -> dict[str, Any]:
    """OpenAI's model object."""
    return {"id": name, "object": "model", "created": created, "owned_by": owner}
