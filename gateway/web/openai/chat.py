"""
POST /v1/chat/completions.

https://platform.openai.com/docs/api-reference/chat/create
"""

from flask import Blueprint, Response

from gateway.completions.completion import complete
from gateway.completions.event_stream import stream
from gateway.dialects.openai.client import CLIENT_DIALECT
from gateway.web.auth import require_api_key
from gateway.web.calls import request_json, start_call
from gateway.web.openai.request_schemas import load_chat
from gateway.web.rate_limit import rate_limited
from gateway.web.respond import STREAM_HEADERS, GatewayResponse, as_json, gateway_headers
from gateway.web.services import current_services

blueprint = Blueprint("chat", __name__)


@blueprint.post("/v1/chat/completions")
@require_api_key
@rate_limited
def create_completion() -> Response:
    """A chat completion, plain or streamed."""
    services = current_services()
    call = start_call(services, CLIENT_DIALECT, load_chat(request_json(services)))
    if not call.chat.get("stream"):
        return gateway_headers(as_json(complete(services.router, call)), call)
    response = GatewayResponse(stream(services.router, call), headers=STREAM_HEADERS)
    # A stream that starts before an upstream has sent content reports the trail in its last chunk instead.
    return gateway_headers(response, call) if call.served_by else response
