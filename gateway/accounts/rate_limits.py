"""Where limits are counted, and what a target allows: requests and tokens a minute, from the configuration."""

import hashlib
import math
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar, cast

import redis
import structlog
from limits import RateLimitItemPerMinute
from limits.storage import Storage, storage_from_string
from limits.strategies import FixedWindowRateLimiter

from gateway.catalog.targets import Target
from gateway.errors import OUR_LIMIT, UpstreamLimited

Count = TypeVar("Count", int, float)
NO_WINDOW = (0, -math.inf)
MOST_KEPT = 10000
"""Windows beyond which those that are over are looked for."""
TIMEOUT = 1.0
"""Seconds that Redis may take for an answer."""
OUTAGE = 5.0
"""Seconds after a failure in which it is not asked again."""


class MemoryCounters(Storage):
    """
    Counts of fixed windows in this process, by the URI `counts://`.

    limits' own has a lock for each key, and starts a timer thread every 10 ms to forget what is over.
    """

    STORAGE_SCHEME: list[str] = ["counts"]  # noqa: RUF012 - as the base class has it

    def __init__(self, uri: str | None = None, wrap_exceptions: bool = False, **_: Any) -> None:
        super().__init__(uri, wrap_exceptions)
        self._windows: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()
        self._sweep_at = MOST_KEPT

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        now = time.time()
        with self._lock:
            count, ends = self._windows.get(key, NO_WINDOW)
            if ends <= now:
                count, ends = 0, now + expiry
                if len(self._windows) >= self._sweep_at:
                    self._windows = {name: window for name, window in self._windows.items() if window[1] > now}
                    self._sweep_at = max(MOST_KEPT, 2 * len(self._windows))
            self._windows[key] = count + amount, ends
        return count + amount

    def get(self, key: str) -> int:
        count, ends = self._windows.get(key, NO_WINDOW)
        return count if ends > time.time() else 0

    def get_expiry(self, key: str) -> float:
        now, ends = time.time(), self._windows.get(key, NO_WINDOW)[1]
        return max(now, ends)

    def check(self) -> bool:
        return True

    def reset(self) -> int:
        with self._lock:
            known, self._windows = len(self._windows), {}
        return known

    def clear(self, key: str) -> None:
        with self._lock:
            self._windows.pop(key, None)


class SharedCounters(MemoryCounters):
    """Counts in a Redis, for every process; while that fails, in this process, so that requests are served and limited.

    Its URI is `shared+` and the Redis's.
    """

    STORAGE_SCHEME: list[str] = [  # noqa: RUF012 - as the base class has it
        "shared+redis",
        "shared+rediss",
        "shared+redis+unix",
        "shared+redis+cluster",
        "shared+redis+sentinel",
    ]

    def __init__(self, uri: str, wrap_exceptions: bool = False, **options: Any) -> None:
        super().__init__(uri, wrap_exceptions, **options)
        bounds: dict[str, Any] = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT}
        self._redis = cast("Storage", storage_from_string(uri.removeprefix("shared+"), **bounds))
        self._out_until = 0.0

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        return self._counted(
            lambda: self._redis.incr(key, int(expiry), amount),
            lambda: super(SharedCounters, self).incr(key, expiry, amount),
        )

    def get(self, key: str) -> int:
        return self._counted(lambda: self._redis.get(key), lambda: super(SharedCounters, self).get(key))

    def get_expiry(self, key: str) -> float:
        return self._counted(lambda: self._redis.get_expiry(key), lambda: super(SharedCounters, self).get_expiry(key))

    def _counted(self, shared: Callable[[], Count], alone: Callable[[], Count]) -> Count:
        if time.monotonic() < self._out_until:
            return alone()
        try:
            return shared()
        except redis.RedisError as error:
            self._out_until = time.monotonic() + OUTAGE
            structlog.get_logger().error(
                "limits", message="Redis fails: each process counts alone", error=type(error).__name__
            )
            return alone()


def storage_uri(redis_url: str | None) -> str:
    """The storage's URI, as `limits` and Flask-Limiter take it."""
    return f"shared+{redis_url}" if redis_url else "counts://"


class TargetLimits:
    """Counts by target, in Redis where there is one, else in this process."""

    def __init__(self, redis_url: str | None) -> None:
        self._windows = FixedWindowRateLimiter(storage_from_string(storage_uri(redis_url)))

    def admit(self, target: Target) -> None:
        """Count a request. Raises UpstreamLimited when the minute's requests or tokens are used up."""
        if target.tpm and not self._windows.test(RateLimitItemPerMinute(target.tpm), *_name(target, "tokens")):
            raise self._full(target, target.tpm, "tokens")
        if target.rpm and not self._windows.hit(RateLimitItemPerMinute(target.rpm), *_name(target, "requests")):
            raise self._full(target, target.rpm, "requests")

    def record_tokens(self, target: Target, tokens: int) -> None:
        """Count the tokens of an answer."""
        if target.tpm and tokens:
            self._windows.hit(RateLimitItemPerMinute(target.tpm), *_name(target, "tokens"), cost=tokens)

    def _full(self, target: Target, amount: int, unit: str) -> UpstreamLimited:
        reset = self._windows.get_window_stats(RateLimitItemPerMinute(amount), *_name(target, unit)).reset_time
        return UpstreamLimited(
            f"The {amount} {unit} a minute that {target.provider.name} is given are used up.",
            type=unit,
            retry_after=max(1.0, reset - time.time()),
            upstream_status=OUR_LIMIT,
        )


def _name(target: Target, unit: str) -> tuple[str, ...]:
    provider, base_url, model, key = target.identity
    return "target", provider, base_url, model, _masked(key), unit


@lru_cache(1024)
def _masked(key: str | None) -> str:
    """What tells a key from others, and not what it is: the counts may be another server's."""
    return hashlib.blake2b((key or "").encode(), digest_size=8).hexdigest()
