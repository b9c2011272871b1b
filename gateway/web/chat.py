"""POST /v1/chat/completions and /v1/embeddings."""

from typing import Any

from flask import Blueprint, Response, g, request

from gateway import completions
from gateway.call import CALL, Call
from gateway.errors import Overloaded
from gateway.web import schemas
from gateway.web.auth import require_api_key
from gateway.web.ratelimit import limited
from gateway.web.respond import Answer, as_json, gateway_headers
from gateway.web.rooms import Rooms, rooms
from gateway.web.route import asked, routed

blueprint = Blueprint("chat", __name__)

STREAM_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
}


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


def called(own: Rooms, chat: dict[str, Any]) -> Call:
    """The call that a validated request makes, as `g.call` for the log, and in the environ for who sends the answer."""
    call = g.call = request.environ[CALL] = routed(own, chat)
    own.probes.begin()
    if not own.calls.take():
        raise Overloaded("The gateway is at its limit of calls under way. Try again in a moment.")
    call.closers.append(own.calls.give)
    return call
