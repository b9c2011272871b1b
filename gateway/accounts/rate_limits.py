"""The counters of rate limits, in this process or in Redis, and the limits of targets: requests and tokens per minute."""

import hashlib
import math
import threading
import time
from collections.abc import Callable
from functools import cached_property, lru_cache
from itertools import islice
from typing import Any, TypeVar, cast

import redis
import structlog
from limits import RateLimitItemPerMinute
from limits.storage import Storage, storage_from_string
from limits.strategies import FixedWindowRateLimiter
from redis.exceptions import RedisClusterException

from gateway.catalog.targets import Target
from gateway.errors import OUR_LIMIT, UpstreamLimited

Count = TypeVar("Count", int, float)
NO_WINDOW = (0, -math.inf)
# Windows in memory, beyond which those that have ended are removed, and beyond which the oldest are removed.
SWEEP_WINDOWS, MAX_WINDOWS = 10_000, 100_000
# Characters of a window's key, beyond which its digest is stored: an address from X-Forwarded-For has any length.
MAX_KEY_LENGTH = 200
# Seconds that Redis may take for a response.
REDIS_TIMEOUT = 1.0
# Seconds after a failure of Redis in which it is not called again.
REDIS_COOLDOWN = 5.0
# What redis-py and `limits` raise where Redis fails, or sends what they do not expect: a value that is no number, or a reply that
# nests without end.
WRONG_TYPES = (ValueError, TypeError, AttributeError)
REDIS_FAILURES = (redis.RedisError, RedisClusterException, OSError, RecursionError, *WRONG_TYPES)
# Redis tells its errors apart by their text: https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors
WRONG_TYPE_ERRORS = ("WRONGTYPE", "value is not an integer")


class MemoryCounters(Storage):
    """
    Counters of fixed windows in this process; the storage of `limits` for URIs `counts://`.

    The MemoryStorage of `limits` has a lock for each key, and starts a timer thread every 10 ms to remove ended windows.
    """

    STORAGE_SCHEME: list[str] = ["counts"]  # noqa: RUF012 - `limits` registers the class under it

    def __init__(
        self,
        uri: str | None = None,
        wrap_exceptions: bool = False,
        *,
        clock: Callable[[], float] = time.monotonic,
        **_: Any,
    ) -> None:
        super().__init__(uri, wrap_exceptions)
        # The count of each window, and when it ends by `clock`, which no change of the system's time affects.
        self._windows: dict[str, tuple[int, float]] = {}
        self._clock = clock
        self._lock = threading.Lock()
        self._sweep_at = SWEEP_WINDOWS

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        now, key = self._clock(), short_key(key)
        with self._lock:
            count, ends = self._windows.get(key, NO_WINDOW)
            if ends <= now:
                count, ends = 0, now + expiry
                if len(self._windows) >= self._sweep_at:
                    self._sweep(now)
            self._windows[key] = count + amount, ends
        return count + amount

    def get(self, key: str) -> int:
        count, ends = self._windows.get(short_key(key), NO_WINDOW)
        return count if ends > self._clock() else 0

    def get_expiry(self, key: str) -> float:
        """When the window ends, in unix seconds, as `limits` has it."""
        _, ends = self._windows.get(short_key(key), NO_WINDOW)
        return time.time() + max(0.0, ends - self._clock())

    def _sweep(self, now: float) -> None:
        """Remove the windows that have ended, and the oldest half of too many others."""
        windows = {key: window for key, window in self._windows.items() if window[1] > now}
        if len(windows) >= MAX_WINDOWS:
            windows = dict(islice(windows.items(), MAX_WINDOWS // 2, None))
        self._windows = windows
        self._sweep_at = min(MAX_WINDOWS, max(SWEEP_WINDOWS, 2 * len(windows)))

    def check(self) -> bool:
        return True

    def reset(self) -> int:
        with self._lock:
            removed, self._windows = len(self._windows), {}
        return removed

    def clear(self, key: str) -> None:
        with self._lock:
            self._windows.pop(short_key(key), None)


def short_key(key: str) -> str:
    return key if len(key) <= MAX_KEY_LENGTH else hashlib.blake2b(key.encode("utf-8", "replace")).hexdigest()


class SharedCounters(MemoryCounters):
    """
    Counters in Redis, shared by every process. While Redis fails, each process counts alone: requests are still served and limited.

    Its URI is that of Redis with `shared+` before it.
    """

    STORAGE_SCHEME: list[str] = [  # noqa: RUF012
        "shared+redis",
        "shared+rediss",
        "shared+redis+unix",
        "shared+redis+cluster",
        "shared+redis+sentinel",
    ]

    def __init__(self, uri: str, wrap_exceptions: bool = False, **options: Any) -> None:
        super().__init__(uri, wrap_exceptions, **options)
        self._redis_uri = uri.removeprefix("shared+")
        self._redis_disabled_until = -math.inf

    @cached_property
    def _redis(self) -> Storage:
        # Not in the constructor: `limits` connects to a cluster in its own, and the gateway starts without Redis too.
        timeouts: dict[str, Any] = {"socket_timeout": REDIS_TIMEOUT, "socket_connect_timeout": REDIS_TIMEOUT}
        return cast("Storage", storage_from_string(self._redis_uri, **timeouts))

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        return self._with_fallback(
            lambda: self._redis.incr(short_key(key), int(expiry), amount),
            lambda: super(SharedCounters, self).incr(key, expiry, amount),
        )

    def get(self, key: str) -> int:
        return self._with_fallback(
            lambda: self._redis.get(short_key(key)), lambda: super(SharedCounters, self).get(key)
        )

    def get_expiry(self, key: str) -> float:
        return self._with_fallback(
            lambda: self._redis.get_expiry(short_key(key)), lambda: super(SharedCounters, self).get_expiry(key)
        )

    def _with_fallback(self, shared: Callable[[], Count], local: Callable[[], Count]) -> Count:
        if self._clock() < self._redis_disabled_until:
            return local()
        try:
            return shared()
        except REDIS_FAILURES as error:
            self._redis_disabled_until = self._clock() + REDIS_COOLDOWN
            wrong_type = isinstance(error, WRONG_TYPES) or str(error).startswith(WRONG_TYPE_ERRORS)
            problem = "Redis has a value of another type where a limit is counted" if wrong_type else "Redis fails"
            structlog.get_logger().error(
                "limits", message=f"{problem}: each process counts alone", error=type(error).__name__
            )
            return local()


def storage_uri(redis_url: str | None) -> str:
    """The storage's URI, for `limits` and Flask-Limiter."""
    return f"shared+{redis_url}" if redis_url else "counts://"


class TargetLimits:
    """The requests and tokens of each target, counted in Redis if there is one, else in this process."""

    def __init__(self, redis_url: str | None) -> None:
        self._windows = FixedWindowRateLimiter(storage_from_string(storage_uri(redis_url)))

    def admit(self, target: Target) -> None:
        """Count a request. Raises UpstreamLimited if the requests or tokens of this minute are used up."""
        if target.tpm and not self._windows.test(RateLimitItemPerMinute(target.tpm), *_limit_key(target, "tokens")):
            raise self._limited(target, target.tpm, "tokens")
        if target.rpm and not self._windows.hit(RateLimitItemPerMinute(target.rpm), *_limit_key(target, "requests")):
            raise self._limited(target, target.rpm, "requests")

    def record_tokens(self, target: Target, tokens: int) -> None:
        """Count the tokens of a response: they are only known after it, so the last one may exceed the limit."""
        if target.tpm and tokens:
            self._windows.hit(RateLimitItemPerMinute(target.tpm), *_limit_key(target, "tokens"), cost=tokens)

    def _limited(self, target: Target, amount: int, unit: str) -> UpstreamLimited:
        reset = self._windows.get_window_stats(RateLimitItemPerMinute(amount), *_limit_key(target, unit)).reset_time
        return UpstreamLimited(
            f"The limit of {amount} {unit} per minute for {target.provider.name} is reached.",
            type=unit,
            retry_after=max(1.0, reset - time.time()),
            upstream_status=OUR_LIMIT,
        )


def _limit_key(target: Target, unit: str) -> tuple[str, ...]:
    provider, base_url, model, key = target.identity
    return "target", provider, base_url, model, _digest(key), unit


@lru_cache(1024)
def _digest(key: str | None) -> str:
    """Identifies a provider's key without revealing it: the counters may be on another server."""
    return hashlib.blake2b((key or "").encode(), digest_size=8).hexdigest()
