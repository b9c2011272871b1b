"""
POST /v1/embeddings.

https://platform.openai.com/docs/api-reference/embeddings/create
"""

from flask import Blueprint, Response

from gateway.completions.completion import embed
from gateway.dialects.openai.client import CLIENT_DIALECT
from gateway.web.auth import require_api_key
from gateway.web.calls import request_json, start_call
from gateway.web.openai.request_schemas import load_embeddings
from gateway.web.rate_limit import rate_limited
from gateway.web.respond import as_json, gateway_headers
from gateway.web.services import current_services

blueprint = Blueprint("embeddings", __name__)


@blueprint.post("/v1/embeddings")
@require_api_key
@rate_limited
def create_embeddings() -> Response:
    """Embeddings, as the upstream returns them."""
    services = current_services()
    call = start_call(services, CLIENT_DIALECT, load_embeddings(request_json(services)))
    return gateway_headers(as_json(embed(services.router, call)), call)
