"""Which target is asked next, after how long, and which error stands when none is left."""

import math
import random
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from gateway.errors import ClientGone, GatewayError, UpstreamFault, UpstreamLimited, UpstreamRejected, forgotten
from gateway.providers import Target

SECONDS = re.compile(r"\d{1,15}(\.\d{1,15})?")
MOST_TOLD = 86400.0
"""Seconds that are told on at most, whatever the upstream says."""
FIRST_DELAY, MOST_DELAY = 0.25, 4.0
"""Seconds: the backoff's start, and the longest wait (ours or a Retry-After's) before the same target is asked again."""


class Plan:
    """The attempts of one call."""

    def __init__(self, targets: tuple[Target, ...], attempts: int) -> None:
        """`attempts` is for each target."""
        self._targets, self._attempts = targets, attempts
        self._at = self._tried = 0
        self._errors: list[GatewayError] = []

    @property
    def target(self) -> Target:
        """The target whose turn it is."""
        return self._targets[self._at]

    def failed(self, error: GatewayError) -> float:
        """Seconds to wait before `target`, which may be another now. Raises the error to answer with when it is over."""
        if isinstance(error, ClientGone):
            raise error
        self._errors.append(forgotten(error))
        self._tried += 1
        delay = max(backoff(self._tried), error.retry_after or 0)
        if error.retryable and self._tried < self._attempts and delay <= MOST_DELAY:
            return delay
        here, self._at, self._tried = self.target, self._at + 1, 0
        if self._at == len(self._targets) or not cured(error, here, self.target):
            raise self._verdict()
        return 0.0

    def _verdict(self) -> GatewayError:
        """The upstreams' last failure; if all they said is that they are busy, the one with the least Retry-After."""
        failures = [error for error in self._errors if isinstance(error, UpstreamFault)]
        telling = [error for error in failures if not isinstance(error, UpstreamLimited)]
        if telling or not failures:
            return (telling or self._errors)[-1]
        return min(failures, key=lambda error: error.retry_after or math.inf)


def cured(error: GatewayError, here: Target, other: Target) -> bool:
    """Whether another target could do better: after a refusal, only another model could."""
    return error.moves_on or (isinstance(error, UpstreamRejected) and here.model != other.model)


def backoff(tried: int) -> float:
    """Exponential, with full jitter."""
    return random.uniform(0, min(MOST_DELAY, FIRST_DELAY * 2 ** (tried - 1)))  # noqa: S311 - no secret


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from an upstream's `retry-after-ms` or `Retry-After` (seconds or a date)."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = headers.get(name, "")
        if SECONDS.fullmatch(value):
            return min(float(value) / unit, MOST_TOLD)
    try:
        until = parsedate_to_datetime(headers.get("retry-after", "")).timestamp()
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, until - time.time()), MOST_TOLD)


def ordered(targets: tuple[Target, ...]) -> tuple[Target, ...]:
    """Targets in the order of their priority; by chance, in proportion, where weights are given."""
    if len(targets) < 2 or all(target.weight is None for target in targets):
        return targets
    draws = {id(target): _draw(target) for target in targets}
    return tuple(sorted(targets, key=lambda target: -draws[id(target)]))


def _draw(target: Target) -> float:
    """Of all draws the largest is a target's with a chance in proportion to its weight (1 where none is given)."""
    weight = 1.0 if target.weight is None else target.weight
    return random.random() ** (1 / weight) if weight > 0 else 0.0  # noqa: S311 - no secret
