"""How often a key may ask, or an address where the gateway is open: by Flask-Limiter's storage and strategy.

Its hooks look for limits of every kind at every request; here there is one kind, on the routes that say so.
"""

import math
import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import Flask, Response, g, request
from flask_limiter import Limiter
from limits import RateLimitItem

from gateway.accounts.rate_limits import storage_uri
from gateway.config.settings import Settings
from gateway.errors import RateLimited
from gateway.web.services import current_services

ViewParams = ParamSpec("ViewParams")
ViewResult = TypeVar("ViewResult")

SCOPE = "v1"


def limit_subject() -> str:
    """Whose limit it is."""
    key = g.get("key")
    return f"key:{key.id}" if key else f"address:{request.remote_addr}"


limiter = Limiter(key_func=limit_subject, strategy="fixed-window")


def init_app(app: Flask, settings: Settings) -> None:
    app.config["RATELIMIT_STORAGE_URI"] = storage_uri(settings.redis_url)
    app.extensions["limiter"] = {limiter}  # its hooks are not wanted
    limiter.init_app(app)


def rate_limited(view: Callable[ViewParams, ViewResult]) -> Callable[ViewParams, ViewResult]:
    """Count a request of this asker. Raises RateLimited when a limit is reached."""

    @wraps(view)
    def counted(*args: ViewParams.args, **options: ViewParams.kwargs) -> ViewResult:
        limits = current_services().limits
        if limits:
            whose = g.limit_subject = limit_subject()
            for limit in limits:
                if not limiter.limiter.hit(limit, SCOPE, whose):
                    wait = window(limit, whose)[0] - time.time()
                    raise RateLimited(f"The rate limit of {limit} is reached.", retry_after=max(1.0, wait))
        return view(*args, **options)

    return counted


def window(limit: RateLimitItem, whose: str) -> tuple[float, int]:
    """When an asker's window ends (unix seconds), and how many requests are left in it."""
    key, counted = limit.key_for(SCOPE, whose), limiter.limiter.storage
    return counted.get_expiry(key), limit.amount - counted.get(key)


def add_headers(response: Response) -> None:
    """x-ratelimit-*-requests, of the limit that is nearest to its end."""
    whose = g.get("limit_subject")
    if whose is None:
        return
    found = [(*window(limit, whose), limit) for limit in current_services().limits]
    reset, remaining, limit = min(found, key=lambda one: one[1])
    headers = response.headers
    headers.add("x-ratelimit-limit-requests", str(limit.amount))
    headers.add("x-ratelimit-remaining-requests", str(max(0, remaining)))
    headers.add("x-ratelimit-reset-requests", duration(min(reset - time.time(), limit.get_expiry())))


def duration(seconds: float) -> str:
    """As OpenAI writes it: `1s`, `6m0s`, `1h0m0s`."""
    whole = max(0, math.ceil(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s" if minutes else f"{rest}s"
