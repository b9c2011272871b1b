"""Authentication: API keys, sent as `Authorization: Bearer` (as OpenAI's clients do) or `x-api-key` (as Anthropic's do)."""

import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import g, request
from limits import RateLimitItemPerMinute

from gateway.errors import RateLimited, Unauthenticated
from gateway.web.services import Services, current_services

ViewParams = ParamSpec("ViewParams")
ViewResult = TypeVar("ViewResult")

# Wrong keys that an address may send. Valid keys are neither counted nor refused: other clients may share the address.
MAX_FAILURES = RateLimitItemPerMinute(20)
SCOPE = "wrong key"


def require_api_key(view: Callable[ViewParams, ViewResult]) -> Callable[ViewParams, ViewResult]:
    """Set `g.key` to the client's key. Raises Unauthenticated or RateLimited, unless the gateway needs no key."""

    @wraps(view)
    def authenticated(*args: ViewParams.args, **options: ViewParams.kwargs) -> ViewResult:
        services = current_services()
        if services.settings.auth:
            secret = request_secret()
            g.key = services.client_keys.find(secret or "")
            if g.key is None:
                raise auth_error(services, secret)
        return view(*args, **options)

    return authenticated


def request_secret() -> str | None:
    """The secret in the headers of the current request."""
    environ = request.environ
    # RFC 9110 section 11.1: the name of an authentication scheme is case-insensitive.
    scheme, _, secret = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "bearer" and secret.strip():
        return str(secret.strip())
    return environ.get("HTTP_X_API_KEY")


def auth_error(services: Services, secret: str | None) -> Unauthenticated | RateLimited:
    """The error for a missing or wrong key. After too many wrong keys it no longer says whether this key was wrong."""
    if secret is None:
        return Unauthenticated("An API key is needed: send it as `Authorization: Bearer KEY`.")
    failures, address = services.auth_failures, request.remote_addr or "unknown"
    if failures.hit(MAX_FAILURES, SCOPE, address):
        return Unauthenticated("That API key is not valid.")
    wait = failures.get_window_stats(MAX_FAILURES, SCOPE, address).reset_time - time.time()
    return RateLimited("Too many wrong API keys from your address.", retry_after=max(1.0, wait))
