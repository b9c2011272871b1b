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
from gateway.web.respond import Answer, as_json, gateway_headers
from gateway.web.rooms import Rooms, rooms

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
    own = rooms()
    call = called(own, schemas.chat(asked(own)))
    if not call.chat.get("stream"):
        return gateway_headers(as_json(completions.complete(own.router, call)), call)
    response = Answer(completions.stream(own.router, call), headers=STREAM_HEADERS)
    return gateway_headers(response, call) if call.answered else response  # else its last chunk will say it


@blueprint.post("/v1/embeddings")
@require_api_key
@limited
def create_embeddings() -> Response:
    """OpenAI's embeddings."""
    own = rooms()
    call = called(own, schemas.embeddings(asked(own)))
    return gateway_headers(as_json(completions.embed(own.router, call)), call)


def asked(own: Rooms) -> Any:
    """The JSON of the request."""
    return json_body(request.environ, own.settings.max_body, own.deadlines, own.settings.body_timeout)


def called(own: Rooms, chat: dict[str, Any]) -> Call:
    """The call that a validated request makes, as `g.call` for the log."""
    environ = request.environ
    strict = environ.get("HTTP_X_GATEWAY_STRICT", "").lower() in SWITCHED_ON
    call = g.call = Call(
        id=g.request_id,
        chat=chat,
        targets=own.directory.targets(chat["model"]),
        created=int(time.time()),
        watch=Watch(environ.get("gunicorn.socket")),
        strict=strict or own.settings.strict,
    )
    if not own.calls.take():
        raise Overloaded("The gateway is at its limit of calls under way. Try again in a moment.")
    call.closers.append(own.calls.give)
    return call
