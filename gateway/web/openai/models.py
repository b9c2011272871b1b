"""
GET /v1/models: the model names that requests may use.

https://platform.openai.com/docs/api-reference/models
"""

from typing import Any

from flask import Blueprint, Response

from gateway.errors import ModelNotFound
from gateway.web.auth import require_api_key
from gateway.web.rate_limit import rate_limited
from gateway.web.respond import as_json
from gateway.web.services import Services, current_services

blueprint = Blueprint("models", __name__)


@blueprint.get("/v1/models")
@require_api_key
@rate_limited
def list_models() -> Response:
    """Every model that is configured, and every model that a provider lists."""
    return as_json({"object": "list", "data": model_objects(current_services())})


# `path`: a model's name may have slashes, also when the client escapes them, since gunicorn decodes %2F in PATH_INFO.
@blueprint.get("/v1/models/<path:model>")
@require_api_key
@rate_limited
def retrieve_model(model: str) -> Response:
    """One model. Raises ModelNotFound."""
    return as_json(find_model(current_services(), model))


def find_model(services: Services, model: str) -> dict[str, Any]:
    """The model that is configured under this name or else listed by its provider. Raises ModelNotFound."""
    for name, owner in services.registry.list_models():
        if name == model:
            return model_object(name, owner, 0)
    for entry in model_objects(services):
        if entry["id"] == model:
            return entry
    raise ModelNotFound(f"The model {model[:200]!r} does not exist here.")


def model_objects(services: Services) -> list[dict[str, Any]]:
    """The models that are configured and those that providers list."""
    models_by_provider = services.provider_models.models()
    created = {
        f"{provider}/{model.id}": model.created for provider, models in models_by_provider.items() for model in models
    }
    ids = {provider: [model.id for model in models] for provider, models in models_by_provider.items()}
    return [model_object(name, owner, created.get(name, 0)) for name, owner in services.registry.list_models(ids)]


def model_object(name: str, owner: str, created: int) -> dict[str, Any]:
    """OpenAI's model object; `created` in unix seconds, 0 where it is unknown."""
    return {"id": name, "object": "model", "created": created, "owned_by": owner}
