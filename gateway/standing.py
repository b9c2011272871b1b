"""
How each target stands: its circuit breaker, its cool-down, what it has under way, how fast it was.

One `Standing` for each target (provider, base URL and model) of this process, whatever names lead to it.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Self

from gateway.errors import UpstreamCredentials, UpstreamFault, UpstreamLimited, UpstreamRejected
from gateway.providers import Target

WINDOW, RECENT = 30.0, 200
"""Seconds, and calls, that a breaker looks back over."""
LEAST_FAILURES, FAILURE_RATE = 5, 0.5
REST, MOST_REST = 15.0, 120.0
"""Seconds that an open breaker waits before it lets one probe through; doubled each time the probe fails."""
REFUSED_REST = 60.0
"""Seconds that a target rests which refused our credential."""
MOST_COOL = 600.0
RESERVE, EARNED = 10.0, 0.2
"""Retries that a target has in store, and what each call adds: an outage gets at most a fifth more calls by them."""
SMOOTHING = 0.3
LEAST_MEASURED = 20
"""Calls that a p95 wants."""
STALE = 300.0
"""Seconds after which a measured latency says nothing any more."""


CLOSED = "closed"
OPEN, FULL, LIMITED, REFUSED = "breaker open", "full", "rate limited", "credential refused"
MOST_KNOWN = 4096
"""Targets, beyond which those that nothing is known of are forgotten: clients may ask for any model of a provider."""


class Out(NamedTuple):
    """Why a target is not asked now, in how many seconds it may be, and the error of its own that says so."""

    reason: str
    seconds: float
    error: UpstreamFault | None = None


class Standing:
    """One target's. `most`: calls at once that it takes, None for any number; `breaks`: whether it has a breaker."""

    def __init__(self, most: int | None, *, breaks: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self.most, self.breaks, self._clock = most, breaks, clock
        self.under_way = self.waiting = 0
        self._lock = threading.Lock()
        self._latency, self._measured = 0.0, -math.inf
        self._latencies: deque[float] = deque(maxlen=RECENT)
        self._credit = RESERVE
        self._recent: deque[tuple[float, bool]] = deque(maxlen=RECENT)
        self._open_until, self._failed_at, self._rest = -math.inf, -math.inf, REST
        self._broken = self._probing = False
        self._cool_until, self._cool_reason = -math.inf, ""
        self._cool_error: UpstreamFault | None = None

    @property
    def state(self) -> str:
        """`closed`, `open` or `half-open`, as breakers are; `cooling` where the upstream said so itself."""
        now = self._clock()
        if self._broken:
            return "half-open" if self._probing or now >= self._open_until else "open"
        return "cooling" if now < self._cool_until else CLOSED

    @property
    def latency(self) -> float:
        """Seconds to the first content, weighted to the recent ones; 0 where nothing recent is known."""
        return self._latency if self._clock() - self._measured < STALE else 0.0

    def p95(self) -> float | None:
        """Seconds in which 95 % of the recent calls had their first content; None where too few are known."""
        known = sorted(self._latencies)
        return known[int(0.95 * len(known))] if len(known) >= LEAST_MEASURED else None

    def out(self, *, queued: bool = True) -> Out | None:
        """Why the target is not asked; None if it may be. `queued`: by one who need not let others go first."""
        now = self._clock()
        if self._broken and (self._probing or now < self._open_until):
            return Out(OPEN, max(0.0, self._open_until - now))
        if now < self._cool_until:
            return Out(self._cool_reason, self._cool_until - now, self._cool_error)
        if self.most is not None and (self.under_way >= self.most or (self.waiting and not queued)):
            return Out(FULL, 0.0)
        return None

    def enter(self, *, again: bool = False, queued: bool = False) -> "Attempt | Out":
        """Begin a call; or why not. `again`: a retry, after the wait that this target asked for itself."""
        with self._lock:
            out = self.out(queued=queued or again)
            if out is not None and not (again and out.reason not in (OPEN, FULL)):
                return out
            self._probing = self._broken
            self.under_way += 1
            if not again:
                self._credit = min(RESERVE, self._credit + EARNED)
            return Attempt(self, probe=self._broken, clock=self._clock)

    def may_retry(self) -> bool:
        """Whether there is a retry left in the budget, which is taken."""
        with self._lock:
            left = self._credit >= 1
            self._credit -= left
        return left

    def answered(self, seconds: float) -> None:
        """The first content came after so many seconds."""
        known = self.latency
        self._latency = seconds if not known else known + SMOOTHING * (seconds - known)
        self._measured = self._clock()
        self._latencies.append(seconds)

    def leave(self, error: BaseException | None, *, probe: bool) -> None:
        """A call is over: None for well. What says nothing about the target, such as a client that left, changes nothing."""
        with self._lock:
            self.under_way -= 1
            if probe:
                self._probing = False
            if self._broken and not probe:
                return  # begun before the breaker opened: no news
            if isinstance(error, UpstreamLimited):
                self._cool(error, error.retry_after or 0.0, LIMITED)
            elif isinstance(error, UpstreamCredentials):
                self._cool(error, REFUSED_REST, REFUSED)
            elif error is None or isinstance(error, UpstreamRejected):
                self._worked()
            elif isinstance(error, UpstreamFault):
                self._failed()

    def recovered(self, well_at: float) -> bool:
        """Close the breaker, if it is open, and the target was found well after it had last failed."""
        with self._lock:
            news = self._broken and well_at > self._failed_at
            if news:
                self._close()
        return news

    def _close(self) -> None:
        self._broken = self._probing = False
        self._rest = REST
        self._recent.clear()

    def _cool(self, error: UpstreamFault, seconds: float, reason: str) -> None:
        if self.breaks and seconds > 0:
            self._cool_until, self._cool_reason = self._clock() + min(seconds, MOST_COOL), reason
            self._cool_error = error
        self._worked()

    def _worked(self) -> None:
        if self._broken:
            self._close()
        self._recent.append((self._clock(), False))

    def _failed(self) -> None:
        now = self._failed_at = self._clock()
        self._recent.append((now, True))
        if not self.breaks:
            return
        if self._broken:
            self._rest = min(MOST_REST, 2 * self._rest)
            self._open_until = now + self._rest
            return
        recent = [failed for at, failed in self._recent if at > now - WINDOW]
        if sum(recent) >= max(LEAST_FAILURES, FAILURE_RATE * len(recent)):
            self._broken, self._open_until = True, now + self._rest


class Attempt:
    """A call of a target under way; it is over, and judged, when its context is left, by an error or without."""

    def __init__(self, standing: Standing, *, probe: bool, clock: Callable[[], float]) -> None:
        self._standing, self._probe, self._clock, self.began = standing, probe, clock, clock()

    def answered(self) -> None:
        """The first content is there."""
        self._standing.answered(self._clock() - self.began)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._standing.leave(error, probe=self._probe)


class Standings:
    """All targets' standings."""

    def __init__(self, *, breakers: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self._breakers, self._clock = breakers, clock
        self._known: dict[tuple[str, str, str], Standing] = {}

    def of(self, target: Target) -> Standing:
        """A target's standing, from its first call on."""
        key = target.provider.name, target.provider.base_url, target.model
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= MOST_KNOWN:
                self._known = {name: one for name, one in self._known.items() if one.under_way or one.state != CLOSED}
            found = self._known.setdefault(key, Standing(target.max_parallel, breaks=self._breakers, clock=self._clock))
        return found

    def items(self) -> list[tuple[tuple[str, str, str], Standing]]:
        """By provider, base URL and model."""
        return list(self._known.items())
