"""The call that a request makes: from its body and headers, counted among those that this process holds."""

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from flask import g, request

from gateway.config.parsers import TRUE_WORDS
from gateway.dialects.contract import ClientDialect
from gateway.errors import InvalidRequest, ModelNotFound, Overloaded
from gateway.json_codec import dumps
from gateway.openai_types import Chat
from gateway.routing.call import Call
from gateway.server.response_writer import CALL
from gateway.server.shutdown import NO_SHUTDOWN, SHUTDOWN
from gateway.transport.client_watch import ClientWatch
from gateway.web.body import json_body
from gateway.web.rate_limit import limit_subject
from gateway.web.services import Services

# The largest x-gateway-timeout, in seconds.
MAX_TIMEOUT = 1_000_000


def request_json(services: Services) -> Any:
    """The JSON of the current request. Raises InvalidRequest and ClientDisconnected."""
    settings = services.settings
    return json_body(request.environ, settings.max_body, settings.body_timeout)


def start_call(services: Services, client: ClientDialect, chat: Chat) -> Call:
    """
    The call of a validated request, set as `g.call` for the log and in the environ for the response writer.

    Raises ModelNotFound, InvalidRequest, and Overloaded if this process already holds as many calls as it may.
    """
    call = g.call = request.environ[CALL] = build_call(services, client, chat)
    if not services.concurrency_limit.acquire():
        raise Overloaded("The gateway is at its limit of calls in flight. Try again in a moment.")
    call.closers.append(services.concurrency_limit.release)
    return call


def build_call(services: Services, client: ClientDialect, chat: Chat) -> Call:
    """The call of a validated request, with its targets; it is not counted. Raises ModelNotFound, InvalidRequest."""
    environ, registry = request.environ, services.registry
    # OpenRouter's field: models to fall back to. https://openrouter.ai/docs/features/model-routing
    fallbacks = chat.get("models") or ()
    chat = {name: value for name, value in chat.items() if name != "models"} if "models" in chat else chat
    _check_sizes(services, chat, fallbacks)
    route = registry.resolve(chat["model"])
    policy = replace(route.policy, fallbacks=(*fallbacks, *route.policy.fallbacks)) if fallbacks else route.policy
    for index, name in enumerate(fallbacks):
        try:
            registry.resolve(name)
        except ModelNotFound as error:
            raise ModelNotFound(error.message, param=f"models[{index}]") from error
    strict = environ.get("HTTP_X_GATEWAY_STRICT", "").lower() in TRUE_WORDS
    return Call(
        id=g.request_id,
        client=client,
        chat=chat,
        targets=route.targets,
        created=int(time.time()),
        policy=policy,
        caller_id=limit_subject(),
        session=environ.get("HTTP_X_GATEWAY_SESSION") or chat.get("user") or "",
        fallback_routes=partial(registry.fallback_routes, policy),
        watch=ClientWatch(environ.get("gunicorn.socket"), environ.get(SHUTDOWN, NO_SHUTDOWN)),
        strict=strict or services.settings.strict,
        deadline=deadline(environ.get("HTTP_X_GATEWAY_TIMEOUT")),
    )


def _check_sizes(services: Services, chat: Chat, fallbacks: Sequence[str]) -> None:
    """Raise InvalidRequest for names that are too long: what is kept by name, or sent in a header, is bounded by them."""
    max_name = services.settings.max_model_name
    for index, name in enumerate((chat["model"], *fallbacks)):
        if len(name) > max_name:
            param = f"models[{index - 1}]" if index else "model"
            raise InvalidRequest(f"{param} must have at most {max_name} characters.", param=param)
    betas, max_betas = chat.get("betas"), services.settings.max_betas
    if betas and len(dumps(betas)) > max_betas:
        raise InvalidRequest(f"betas must have at most {max_betas} bytes.", param="betas")


def deadline(timeout: str | None) -> float:
    """The deadline by `time.monotonic()` that `x-gateway-timeout`, in seconds, sets. Raises InvalidRequest."""
    if timeout is None:
        return math.inf
    try:
        seconds = float(timeout) if "_" not in timeout else math.nan  # Python reads "1_0" as 10
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= MAX_TIMEOUT:
        raise InvalidRequest(f"The header x-gateway-timeout must be a number of seconds above 0, up to {MAX_TIMEOUT}.")
    return time.monotonic() + seconds
