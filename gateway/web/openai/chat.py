"""POST /v1/chat/completions. https://platform.openai.com/docs/api-reference/chat/create"""

from flask import Blueprint, Response

from gateway.completions.completion import complete
from gateway.completions.event_stream import stream
from gateway.dialects.openai.client import CLIENT_DIALECT
from gateway.web.auth import require_api_key
from gateway.web.calls import request_json, start_call
from gateway.web.openai import request_schemas
from gateway.web.rate_limit import rate_limited
from gateway.web.respond import STREAM_HEADERS, GatewayResponse, as_json, gateway_headers
from gateway.web.services import current_services

blueprint = Blueprint("chat", __name__)


@blueprint.post("/v1/chat/completions")
@require_api_key
@rate_limited
def create_completion() -> Response:
    """OpenAI's chat completion, plain or streamed."""
    services = current_services()
    call = start_call(services, CLIENT_DIALECT, request_schemas.chat(request_json(services)))
    if not call.chat.get("stream"):
        return gateway_headers(as_json(complete(services.router, call)), call)
    response = GatewayResponse(stream(services.router, call), headers=STREAM_HEADERS)
    return gateway_headers(response, call) if call.served_by else response  # else the last chunk has it
