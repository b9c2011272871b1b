"""What a target allows: requests and tokens a minute, from the configuration."""

import time

from limits import RateLimitItemPerMinute
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter

from gateway.errors import UpstreamLimited
from gateway.providers import Target


class TargetLimits:
    """Counts by target, in Redis where there is one, else in this process."""

    def __init__(self, redis_url: str | None) -> None:
        self._windows = FixedWindowRateLimiter(storage_from_string(redis_url or "memory://"))

    def admit(self, target: Target) -> None:
        """Count a request. Raises UpstreamLimited when the minute's requests or tokens are used up."""
        if target.tpm and not self._windows.test(RateLimitItemPerMinute(target.tpm), *_name(target, "tokens")):
            raise self._full(target, target.tpm, "tokens")
        if target.rpm and not self._windows.hit(RateLimitItemPerMinute(target.rpm), *_name(target, "requests")):
            raise self._full(target, target.rpm, "requests")

    def spent(self, target: Target, tokens: int) -> None:
        """Count the tokens of an answer."""
        if target.tpm and tokens:
            self._windows.hit(RateLimitItemPerMinute(target.tpm), *_name(target, "tokens"), cost=tokens)

    def _full(self, target: Target, amount: int, unit: str) -> UpstreamLimited:
        reset = self._windows.get_window_stats(RateLimitItemPerMinute(amount), *_name(target, unit)).reset_time
        return UpstreamLimited(
            f"The {amount} {unit} a minute that {target.provider.name} is given are used up.",
            type=unit,
            retry_after=max(1.0, reset - time.time()),
            upstream_status="limited",
        )


def _name(target: Target, unit: str) -> tuple[str, ...]:
    return "target", target.provider.name, target.provider.base_url, target.model, unit
