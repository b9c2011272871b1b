"""
Rate limits by client key, or by address where the gateway needs no key, with Flask-Limiter's storage and strategy.

Flask-Limiter's hooks look for several kinds of limits at every request; here a decorator counts, on the routes that have it.
"""

import math
import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import Flask, Response, g, request
from flask_limiter import Limiter
from limits import RateLimitItem
from limits.strategies import RateLimiter

from gateway.accounts.rate_limits import storage_uri
from gateway.config.settings import Settings
from gateway.errors import RateLimited
from gateway.web.services import Services, current_services

ViewParams = ParamSpec("ViewParams")
ViewResult = TypeVar("ViewResult")

SCOPE = "v1"


def limit_subject() -> str:
    """Whom the current request is counted for."""
    key = g.get("key")
    return f"key:{key.id}" if key else f"address:{request.remote_addr}"


def build_rate_limiter(app: Flask, settings: Settings) -> RateLimiter:
    """Flask-Limiter's strategy, over the storage that the settings name."""
    app.config["RATELIMIT_STORAGE_URI"] = storage_uri(settings.redis_url)
    limiter = Limiter(key_func=limit_subject, strategy="fixed-window")
    # Flask-Limiter 4.1 adds its before_request and after_request hooks unless it finds itself among the extensions.
    app.extensions["limiter"] = {limiter}
    limiter.init_app(app)
    return limiter.limiter


def rate_limited(view: Callable[ViewParams, ViewResult]) -> Callable[ViewParams, ViewResult]:
    """Count the request. Raises RateLimited when a limit is reached."""

    @wraps(view)
    def counted(*args: ViewParams.args, **options: ViewParams.kwargs) -> ViewResult:
        services = current_services()
        if services.rate_limits:
            subject = g.limit_subject = limit_subject()
            for limit in services.rate_limits:
                if not services.rate_limiter.hit(limit, SCOPE, subject):
                    wait = window(services, limit, subject)[0] - time.time()
                    raise RateLimited(f"The rate limit of {limit} is reached.", retry_after=max(1.0, wait))
        return view(*args, **options)

    return counted


def window(services: Services, limit: RateLimitItem, subject: str) -> tuple[float, int]:
    """When the subject's current window ends, in unix seconds, and how many requests remain in it."""
    key, storage = limit.key_for(SCOPE, subject), services.rate_limiter.storage
    return storage.get_expiry(key), limit.amount - storage.get(key)


def add_headers(response: Response) -> None:
    """
    x-ratelimit-*-requests, of the limit with the fewest requests remaining.

    https://platform.openai.com/docs/guides/rate-limits
    """
    subject = g.get("limit_subject")
    if subject is None:
        return
    services = current_services()
    windows = [(*window(services, limit, subject), limit) for limit in services.rate_limits]
    reset, remaining, limit = min(windows, key=lambda entry: entry[1])
    headers = response.headers
    headers.add("x-ratelimit-limit-requests", str(limit.amount))
    headers.add("x-ratelimit-remaining-requests", str(max(0, remaining)))
    headers.add("x-ratelimit-reset-requests", duration(min(reset - time.time(), limit.get_expiry())))


def duration(seconds: float) -> str:
    """In OpenAI's format: `1s`, `6m0s`, `1h0m0s`."""
    whole_seconds = max(0, math.ceil(seconds))
    minutes, seconds = divmod(whole_seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{seconds}s" if hours else f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
