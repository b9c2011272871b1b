"""Who may ask: API keys by `Authorization: Bearer` or `x-api-key`."""

import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import g, request
from limits import RateLimitItemPerMinute
from limits.strategies import FixedWindowRateLimiter

from gateway.accounts.rate_limits import MemoryCounters
from gateway.errors import RateLimited, Unauthenticated
from gateway.web.services import current_services

ViewParams = ParamSpec("ViewParams")
ViewResult = TypeVar("ViewResult")

FAILURES = RateLimitItemPerMinute(20)
"""Wrong keys that an address may try; a valid key is never counted and never refused for the others' sake."""
failures = FixedWindowRateLimiter(MemoryCounters())


def require_api_key(view: Callable[ViewParams, ViewResult]) -> Callable[ViewParams, ViewResult]:
    """Let only holders of a valid key in, as `g.key`; everybody, where the gateway is open."""

    @wraps(view)
    def guarded(*args: ViewParams.args, **options: ViewParams.kwargs) -> ViewResult:
        services = current_services()
        if services.settings.auth:
            g.key = services.keys.find(presented_key() or "")
            if g.key is None:
                raise auth_error()
        return view(*args, **options)

    return guarded


def presented_key() -> str | None:
    """The secret that the client shows."""
    environ = request.environ
    scheme, _, secret = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "bearer" and secret.strip():
        return str(secret.strip())
    return environ.get("HTTP_X_API_KEY")


def auth_error() -> Unauthenticated | RateLimited:
    """The error for a wrong key; after too many of them, one that does not say whether this one was wrong."""
    address = request.remote_addr or "nowhere"
    if presented_key() is None:
        return Unauthenticated("An API key is needed: send it as `Authorization: Bearer KEY`.")
    if failures.hit(FAILURES, "wrong key", address):
        return Unauthenticated("That API key is not valid.")
    wait = failures.get_window_stats(FAILURES, "wrong key", address).reset_time
    return RateLimited("Too many wrong API keys from your address.", retry_after=max(1.0, wait - time.time()))
