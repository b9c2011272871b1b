"""POST /v1/chat/completions and /v1/embeddings."""

import time
from typing import Any

from flask import Blueprint, Response, g, request

from gateway import completions
from gateway.call import Call
from gateway.errors import Overloaded
from gateway.transport import Watch
from gateway.web import schemas
from gateway.web.auth import require_api_key
from gateway.web.body import json_body
from gateway.web.ratelimit import limited
from gateway.web.respond import as_json, gateway_headers
from gateway.web.rooms import rooms

blueprint = Blueprint("chat", __name__)

STREAM_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
}
SWITCHED_ON = ("1", "true", "yes", "on")


@blueprint.post("/v1/chat/completions")
@require_api_key
@limited
def create_completion() -> Response:
    """OpenAI's chat completion, plain or streamed."""
    call = called(schemas.chat(asked()))
    if not call.chat.get("stream"):
        return gateway_headers(as_json(completions.complete(rooms().router, call)), call)
    response = Response(completions.stream(rooms().router, call), headers=STREAM_HEADERS)
    return gateway_headers(response, call) if call.answered else response  # else its last chunk will say it


@blueprint.post("/v1/embeddings")
@require_api_key
@limited
def create_embeddings() -> Response:
    """OpenAI's embeddings."""
    call = called(schemas.embeddings(asked()))
    return gateway_headers(as_json(completions.embed(rooms().router, call)), call)


def asked() -> Any:
    """The JSON of the request."""
    settings = rooms().settings
    return json_body(request, settings.max_body, rooms().deadlines, settings.body_timeout)


def called(chat: dict[str, Any]) -> Call:
    """The call that a validated request makes, as `g.call` for the log."""
    strict = request.headers.get("x-gateway-strict", "").lower() in SWITCHED_ON
    call = g.call = Call(
        id=g.request_id,
        chat=chat,
        targets=rooms().directory.targets(chat["model"]),
        created=int(time.time()),
        watch=Watch(request.environ.get("gunicorn.socket")),
        strict=strict or rooms().settings.strict,
    )
    if not rooms().calls.acquire(blocking=False):
        raise Overloaded("The gateway is at its limit of calls under way. Try again in a moment.")
    call.cleanup.callback(rooms().calls.release)
    return call
