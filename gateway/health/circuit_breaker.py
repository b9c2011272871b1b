"""A circuit breaker: after many failures an upstream is left alone for a while, then one call finds out how it is."""

import math
import threading
from collections import deque
from collections.abc import Callable

WINDOW, RECENT = 30.0, 200
"""Seconds, and calls, that a breaker looks back over."""
LEAST_FAILURES, FAILURE_RATE = 5, 0.5
OPEN_SECONDS, MAX_OPEN_SECONDS = 15.0, 120.0
"""Seconds that an open breaker waits before it lets one probe through; doubled each time the probe fails."""


CLOSED, OPEN = "closed", "open"


def silence(_state: str, _seconds: float) -> None:
    """Tell nobody."""


class CircuitBreaker:
    """
    One for each provider, base URL and model. `lock` is held by whoever calls what changes it; `on`: it may open;
    `told(state, seconds)` is called when it opens (for so many seconds) or closes.
    """

    def __init__(self, clock: Callable[[], float], told: Callable[[str, float], None] = silence, *, on: bool) -> None:
        self.lock, self.told = threading.Lock(), told
        self.tripped = self.probing = False
        self.openings = 0
        """How often it opened: a probe that began before the last time says nothing of it."""
        self.cooldown_until = -math.inf
        """When the last target of this upstream that cools down has done so."""
        self._clock, self._on = clock, on
        self._recent: deque[tuple[float, bool]] = deque(maxlen=RECENT)
        self._open_until, self._failed_at, self._rest = -math.inf, -math.inf, OPEN_SECONDS

    @property
    def open(self) -> bool:
        """Whether nobody may call now."""
        return self.tripped and (self.probing or self._clock() < self._open_until)

    @property
    def seconds(self) -> float:
        """Until somebody may."""
        return max(0.0, self._open_until - self._clock())

    def record_success(self) -> None:
        if self.tripped:
            self.close()
        self._recent.append((self._clock(), False))

    def record_failure(self) -> None:
        now = self._failed_at = self._clock()
        self._recent.append((now, True))
        if not self._on:
            return
        if self.tripped:
            self._rest = min(MAX_OPEN_SECONDS, 2 * self._rest)
            self._open_until = now + self._rest
            self.told(OPEN, self._rest)
            return
        recent = [record_failure for at, record_failure in self._recent if at > now - WINDOW]
        if sum(recent) >= max(LEAST_FAILURES, FAILURE_RATE * len(recent)):
            self.tripped, self._open_until = True, now + self._rest
            self.openings += 1
            self.told(OPEN, self._rest)

    def close_if_recovered(self, healthy_at: float) -> bool:
        """Close it, if it is open, and the upstream was found well after it had last failed; whether that is so."""
        with self.lock:
            news = self.tripped and healthy_at > self._failed_at
            if news:
                self.close()
        return news

    def close(self) -> None:
        self.tripped = self.probing = False
        self._rest = OPEN_SECONDS
        self._recent.clear()
        self.told(CLOSED, max(0.0, self.cooldown_until - self._clock()))

    def record_cooldown(self, state: str, seconds: float) -> None:
        """One of its targets is left alone for so long."""
        self.cooldown_until = max(self.cooldown_until, self._clock() + seconds)
        self.told(state, self.cooldown_until - self._clock())
