"""A circuit breaker: after many failures an upstream gets no calls for a while, then one call probes it.

https://learn.microsoft.com/en-us/azure/architecture/patterns/circuit-breaker
"""

import math
import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

# Seconds, and calls, that a breaker looks back over.
WINDOW, MAX_RECENT = 30.0, 200
# It opens when at least so many of them, and at least this share, have failed.
MIN_FAILURES, FAILURE_RATE = 5, 0.5
# Seconds that an open breaker waits before it lets one probe through; doubled each time the probe fails.
OPEN_SECONDS, MAX_OPEN_SECONDS = 15.0, 120.0

CLOSED, OPEN = "closed", "open"

UpstreamId = tuple[str, str, str]
"""Provider, base URL and model."""


class TargetStateChange(NamedTuple):
    """An upstream's breaker is `open` or `closed` now, or a target of it is `cooling`; for so many `seconds`."""

    upstream: UpstreamId
    state: str
    seconds: float


def ignore_state_change(_change: TargetStateChange) -> None:
    pass


class CircuitBreaker:
    """
    One for each upstream. Whoever calls a method that changes it holds `lock`. `enabled`: it may open.

    `tripped` from its opening to its closing; `probing` while its one probe is in flight. `openings` counts how often it
    opened: a probe that began before the last time says nothing of it.
    """

    def __init__(
        self,
        upstream: UpstreamId,
        clock: Callable[[], float],
        on_state_change: Callable[[TargetStateChange], None] = ignore_state_change,
        *,
        enabled: bool,
    ) -> None:
        self.lock = threading.Lock()
        self.tripped = self.probing = False
        self.openings = 0
        # When the last target of this upstream that cools down will have done so.
        self.cooldown_until = -math.inf
        self._upstream, self._clock, self._on_state_change = upstream, clock, on_state_change
        self._enabled = enabled
        self._recent: deque[tuple[float, bool]] = deque(maxlen=MAX_RECENT)
        self._open_until, self._failed_at, self._open_seconds = -math.inf, -math.inf, OPEN_SECONDS

    @property
    def open(self) -> bool:
        """Whether no call may begin now."""
        return self.tripped and (self.probing or self._clock() < self._open_until)

    @property
    def seconds(self) -> float:
        """Seconds until a probe may begin."""
        return max(0.0, self._open_until - self._clock())

    def record_success(self) -> None:
        if self.tripped:
            self.close()
        self._recent.append((self._clock(), False))

    def record_failure(self) -> None:
        now = self._failed_at = self._clock()
        self._recent.append((now, True))
        if not self._enabled:
            return
        if self.tripped:
            self._open_seconds = min(MAX_OPEN_SECONDS, 2 * self._open_seconds)
            self._open_until = now + self._open_seconds
            self._report(OPEN, self._open_seconds)
            return
        recent = [failed for at, failed in self._recent if at > now - WINDOW]
        if sum(recent) >= max(MIN_FAILURES, FAILURE_RATE * len(recent)):
            self.tripped, self._open_until = True, now + self._open_seconds
            self.openings += 1
            self._report(OPEN, self._open_seconds)

    def close_if_recovered(self, healthy_at: float) -> bool:
        """Close it, if the upstream was healthy after its last failure; whether it was open and has closed."""
        with self.lock:
            recovered = self.tripped and healthy_at > self._failed_at
            if recovered:
                self.close()
        return recovered

    def close(self) -> None:
        self.tripped = self.probing = False
        self._open_seconds = OPEN_SECONDS
        self._recent.clear()
        self._report(CLOSED, max(0.0, self.cooldown_until - self._clock()))

    def record_cooldown(self, state: str, seconds: float) -> None:
        """One of the upstream's targets gets no calls for so long."""
        self.cooldown_until = max(self.cooldown_until, self._clock() + seconds)
        self._report(state, self.cooldown_until - self._clock())

    def _report(self, state: str, seconds: float) -> None:
        self._on_state_change(TargetStateChange(self._upstream, state, seconds))
