"""
How each target stands: its circuit breaker, its cool-down, what it has under way, how fast it was.

One `Standing` for each target (provider, base URL, model and key) of this process, whatever names lead to it. Those that
differ in their key alone share a breaker: it is the same upstream.
"""

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Self
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from gateway.catalog.vendors import Identity, Target
from gateway.errors import (
    CALL_TIMEOUT,
    OUR_LIMIT,
    UpstreamCredentials,
    UpstreamFault,
    UpstreamLimited,
    UpstreamRejected,
)
from gateway.health.circuit_breaker import CLOSED, CircuitBreaker
from gateway.health.circuit_breaker import OPEN as BROKEN

REFUSED_COOLDOWN = 60.0
"""Seconds that a target rests which refused our credential, or says that it is not paid for."""
MAX_COOLDOWN = 600.0
RESERVE, EARNED = 10.0, 0.2
"""Retries that a target has in store, and what each call adds: an outage gets at most a fifth more calls by them."""
SMOOTHING = 0.3
RECENT, LEAST_MEASURED = 200, 20
"""Calls that a p95 is of, and the least that it wants."""
STALE = 300.0
"""Seconds after which a measured latency says nothing any more."""


COOLING, HALF_OPEN = "cooling", "half-open"
STATES = (CLOSED, COOLING, HALF_OPEN, BROKEN)
"""The states of a target, the worse the later."""
OPEN, FULL, LIMITED, REFUSED = "breaker open", "full", "rate limited", "credential refused"
MOST_KNOWN = 4096
"""Targets, beyond which some are forgotten that have nothing under way: clients may ask for any model of a provider."""


Upstream = tuple[str, str, str]
"""Provider, base URL and model."""


class Unavailable(NamedTuple):
    """Why a target is not asked now, in how many seconds it may be, and the error of its own that says so."""

    reason: str
    seconds: float
    error: UpstreamFault | None = None


class LatencyTracker:
    """How long answers took."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._average, self._measured = 0.0, -math.inf
        self._recent: deque[float] = deque(maxlen=RECENT)

    @property
    def average(self) -> float:
        """Seconds, weighted to the recent ones; 0 where nothing recent is known."""
        return self._average if self._clock() - self._measured < STALE else 0.0

    def p95(self) -> float | None:
        """Seconds in which 95 % of the recent ones came; None where too few are known."""
        known = sorted(self._recent)
        return known[int(0.95 * len(known))] if len(known) >= LEAST_MEASURED else None

    def record(self, seconds: float) -> None:
        known = self.average
        self._average = seconds if not known else known + SMOOTHING * (seconds - known)
        self._measured = self._clock()
        self._recent.append(seconds)


class TargetHealth:
    """One target's. `cools`: whether it is left alone for as long as it says itself."""

    def __init__(
        self, breaker: CircuitBreaker, *, cooldowns: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.breaker, self._cooldowns, self._clock = breaker, cooldowns, clock
        self.in_flight = self.queued_calls = 0
        self.first_content, self.whole = LatencyTracker(clock), LatencyTracker(clock)
        """Of streams, and of plain answers, which come all at once."""
        self._credit = RESERVE
        self._cool_until, self._cool_reason = -math.inf, ""
        self._cool_error: UpstreamFault | None = None

    @property
    def state(self) -> str:
        """`closed`, `open` or `half-open`, as breakers are; `cooling` where the upstream said so itself."""
        if self.breaker.tripped:
            return BROKEN if self.breaker.open and not self.breaker.probing else HALF_OPEN
        return COOLING if self._clock() < self._cool_until else CLOSED

    def latency(self, *, streams: bool) -> LatencyTracker:
        return self.first_content if streams else self.whole

    def unavailable(self, most: int | None = None, *, queued: bool = True, again: bool = False) -> Unavailable | None:
        """
        Why the target is not asked; None if it may be. `most`: calls at once that it is given, None for any number.
        `queued`: by one who need not let others go first. `again`: by one who has waited for as long as it said.
        """
        if self.breaker.tripped and self.breaker.open:
            return Unavailable(OPEN, self.breaker.seconds)
        full = most is not None and (self.in_flight >= most or (self.queued_calls and not queued))
        if (left := self._cool_until - self._clock()) > 0 and not again:
            return Unavailable(self._cool_reason, left, self._cool_error)
        return Unavailable(FULL, 0.0) if full else None

    def acquire(
        self, most: int | None = None, *, again: bool = False, queued: bool = False
    ) -> "TargetLease | Unavailable":
        """Begin a call; or why not. `again`: a retry, after the wait that this target asked for itself."""
        breaker = self.breaker
        with breaker.lock:
            unavailable = self.unavailable(most, queued=queued or again, again=again)
            if unavailable is not None:
                return unavailable
            breaker.probing = breaker.tripped
            self.in_flight += 1
            if not again:
                self._credit = min(RESERVE, self._credit + EARNED)
            return TargetLease(self, probe=breaker.openings if breaker.tripped else None, clock=self._clock)

    def take_retry(self) -> bool:
        """Whether there is a retry left in the budget, which is taken."""
        with self.breaker.lock:
            left = self._credit >= 1
            self._credit -= left
        return left

    def return_retry(self) -> None:
        """Give back what was taken for a retry that never began."""
        with self.breaker.lock:
            self._credit = min(RESERVE, self._credit + 1)

    def add_queued(self, places: int) -> None:
        """So many more, or fewer, wait for it."""
        with self.breaker.lock:
            self.queued_calls += places

    def release(self, error: BaseException | None, *, probe: int | None = None, short_deadline: bool = False) -> None:
        """
        A call is over: None for well. What says nothing about the target, such as a client that left, changes nothing.
        `probe`: which opening of the breaker it was to find out about.
        """
        with self.breaker.lock:
            self.in_flight -= 1
            if self.breaker.tripped:
                if probe != self.breaker.openings:
                    return  # begun before the breaker opened: no news
                self.breaker.probing = False
            if short_deadline and isinstance(error, UpstreamFault) and error.upstream_status == CALL_TIMEOUT:
                return
            if isinstance(error, UpstreamLimited):
                unpaid = error.type == "insufficient_quota"
                self._cool(error, error.retry_after or (REFUSED_COOLDOWN if unpaid else 0.0), LIMITED)
            elif isinstance(error, UpstreamCredentials):
                self._cool(error, REFUSED_COOLDOWN, REFUSED)
            elif error is None or isinstance(error, UpstreamRejected):
                self.breaker.record_success()
            elif isinstance(error, UpstreamFault):
                self.breaker.record_failure()

    def _cool(self, error: UpstreamFault, seconds: float, reason: str) -> None:
        if error.upstream_status != OUR_LIMIT:  # else nobody was asked
            self.breaker.record_success()
        until = self._clock() + min(seconds, MAX_COOLDOWN)
        if self._cooldowns and seconds > 0 and until > self._cool_until:
            self._cool_until, self._cool_reason, self._cool_error = until, reason, error
            self.breaker.record_cooldown(COOLING, until - self._clock())


class TargetLease:
    """
    A call of a target under way; it is over, and judged, when its context is left, by an error or without.

    `hurried`: it has less time than a target may expect, so that being late says nothing about it.
    """

    def __init__(self, health: TargetHealth, *, probe: int | None, clock: Callable[[], float]) -> None:
        self._health, self._probe, self._clock, self.began = health, probe, clock, clock()
        self.short_deadline = False

    def record_latency(self, *, streams: bool) -> None:
        """The first content is there, or, where it does not stream, the whole answer."""
        self._health.latency(streams=streams).record(self._clock() - self.began)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._health.release(error, probe=self._probe, short_deadline=self.short_deadline)


class HealthRegistry:
    """All targets' standings. `told(upstream, state, seconds)` is called when one opens, closes or cools down."""

    def __init__(
        self,
        *,
        breakers: bool = True,
        clock: Callable[[], float] = time.monotonic,
        told: Callable[[Upstream, str, float], None] = lambda *_: None,
    ) -> None:
        self._on, self._clock, self._told = breakers, clock, told
        self._known: dict[Identity, TargetHealth] = {}
        self._breakers = WeakValueDictionary[Upstream, CircuitBreaker]()
        self._lock = threading.Lock()

    def of(self, target: Target) -> TargetHealth:
        """A target's standing, from its first call on."""
        found = self._known.get(target.identity)
        return self._new(target.identity) if found is None else found

    def items(self) -> list[tuple[Identity, TargetHealth]]:
        with self._lock:
            return list(self._known.items())

    def unhealthy(self) -> dict[str, str]:
        """The targets that are not `closed`, by name: the worst state of all of their keys."""
        found: dict[Upstream, str] = {}
        for (provider, base_url, model, _), one in self.items():
            upstream = provider, base_url, model
            found[upstream] = max(found.get(upstream, CLOSED), one.state, key=STATES.index)
        named = Counter((provider, model) for provider, _, model in found)
        return {
            f"{provider}/{model}" + (f" at {urlsplit(base_url).netloc}" if named[provider, model] > 1 else ""): state
            for (provider, base_url, model), state in found.items()
            if state != CLOSED
        }

    def _new(self, identity: Identity) -> TargetHealth:
        with self._lock:
            if len(self._known) >= MOST_KNOWN:
                self._forget()
            upstream = identity[:3]
            breaker = self._breakers.get(upstream) or CircuitBreaker(
                self._clock, partial(self._told, upstream), on=self._on
            )
            self._breakers[upstream] = breaker
            return self._known.setdefault(identity, TargetHealth(breaker, cooldowns=self._on, clock=self._clock))

    def _forget(self) -> None:
        """Of those without calls the ones of which nothing is known, and, if they are too few, the oldest."""
        idle = [known for known, one in self._known.items() if not one.in_flight and not one.queued_calls]
        healthy = [known for known in idle if self._known[known].state == CLOSED]
        for known in healthy if len(healthy) > MOST_KNOWN // 2 else idle[: MOST_KNOWN // 2]:
            del self._known[known]
