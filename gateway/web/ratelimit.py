"""Flask-Limiter: how often a key may ask, or an address where the gateway is open."""

import math
import time

from flask import Flask, Response, g, request
from flask_limiter import Limiter
from flask_limiter.errors import RateLimitExceeded

from gateway.errors import RateLimited
from gateway.limits import counts
from gateway.settings import Settings
from gateway.web.rooms import rooms


def asker() -> str:
    """Whose limit it is."""
    key = g.get("key")
    return f"key:{key.id}" if key else f"address:{request.remote_addr}"


limiter = Limiter(key_func=asker, strategy="fixed-window")
limited = limiter.shared_limit(
    lambda: rooms().settings.rate_limit, scope="v1", exempt_when=lambda: not rooms().settings.rate_limit
)


def init_app(app: Flask, settings: Settings) -> None:
    app.config["RATELIMIT_STORAGE_URI"] = counts(settings.redis_url)
    limiter.init_app(app)


def exceeded(error: RateLimitExceeded) -> RateLimited:
    """The gateway's error for Flask-Limiter's."""
    wait = max((limit.reset_at - time.time() for limit in limiter.current_limits if limit.breached), default=1.0)
    return RateLimited(f"The rate limit of {error.limit.limit} is reached.", retry_after=max(1.0, wait))


def add_headers(response: Response) -> None:
    """x-ratelimit-*-requests, of the limit that is nearest to its end."""
    limits = limiter.current_limits
    if not limits:
        return
    tightest = min(limits, key=lambda limit: limit.remaining)
    response.headers["x-ratelimit-limit-requests"] = str(tightest.limit.amount)
    response.headers["x-ratelimit-remaining-requests"] = str(max(0, tightest.remaining))
    response.headers["x-ratelimit-reset-requests"] = duration(tightest.reset_at - time.time())


def duration(seconds: float) -> str:
    """As OpenAI writes it: `1s`, `6m0s`, `1h0m0s`."""
    whole = max(0, math.ceil(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s" if minutes else f"{rest}s"
