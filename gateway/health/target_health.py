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
from gateway.health.circuit_breaker import CLOSED, Breaker
from gateway.health.circuit_breaker import OPEN as BROKEN

REFUSED_REST = 60.0
"""Seconds that a target rests which refused our credential, or says that it is not paid for."""
MOST_COOL = 600.0
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


class Out(NamedTuple):
    """Why a target is not asked now, in how many seconds it may be, and the error of its own that says so."""

    reason: str
    seconds: float
    error: UpstreamFault | None = None


class Pace:
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

    def took(self, seconds: float) -> None:
        known = self.average
        self._average = seconds if not known else known + SMOOTHING * (seconds - known)
        self._measured = self._clock()
        self._recent.append(seconds)


class Standing:
    """One target's. `cools`: whether it is left alone for as long as it says itself."""

    def __init__(self, breaker: Breaker, *, cools: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self.breaker, self._cools, self._clock = breaker, cools, clock
        self.under_way = self.waiting = 0
        self.first_content, self.whole = Pace(clock), Pace(clock)
        """Of streams, and of plain answers, which come all at once."""
        self._credit = RESERVE
        self._cool_until, self._cool_reason = -math.inf, ""
        self._cool_error: UpstreamFault | None = None

    @property
    def state(self) -> str:
        """`closed`, `open` or `half-open`, as breakers are; `cooling` where the upstream said so itself."""
        if self.breaker.broken:
            return BROKEN if self.breaker.open and not self.breaker.probing else HALF_OPEN
        return COOLING if self._clock() < self._cool_until else CLOSED

    def pace(self, *, streams: bool) -> Pace:
        return self.first_content if streams else self.whole

    def out(self, most: int | None = None, *, queued: bool = True, again: bool = False) -> Out | None:
        """
        Why the target is not asked; None if it may be. `most`: calls at once that it is given, None for any number.
        `queued`: by one who need not let others go first. `again`: by one who has waited for as long as it said.
        """
        if self.breaker.broken and self.breaker.open:
            return Out(OPEN, self.breaker.seconds)
        full = most is not None and (self.under_way >= most or (self.waiting and not queued))
        if (left := self._cool_until - self._clock()) > 0 and not again:
            return Out(self._cool_reason, left, self._cool_error)
        return Out(FULL, 0.0) if full else None

    def enter(self, most: int | None = None, *, again: bool = False, queued: bool = False) -> "Attempt | Out":
        """Begin a call; or why not. `again`: a retry, after the wait that this target asked for itself."""
        breaker = self.breaker
        with breaker.lock:
            out = self.out(most, queued=queued or again, again=again)
            if out is not None:
                return out
            breaker.probing = breaker.broken
            self.under_way += 1
            if not again:
                self._credit = min(RESERVE, self._credit + EARNED)
            return Attempt(self, probe=breaker.openings if breaker.broken else None, clock=self._clock)

    def may_retry(self) -> bool:
        """Whether there is a retry left in the budget, which is taken."""
        with self.breaker.lock:
            left = self._credit >= 1
            self._credit -= left
        return left

    def not_retried(self) -> None:
        """Give back what was taken for a retry that never began."""
        with self.breaker.lock:
            self._credit = min(RESERVE, self._credit + 1)

    def queue(self, places: int) -> None:
        """So many more, or fewer, wait for it."""
        with self.breaker.lock:
            self.waiting += places

    def leave(self, error: BaseException | None, *, probe: int | None = None, hurried: bool = False) -> None:
        """
        A call is over: None for well. What says nothing about the target, such as a client that left, changes nothing.
        `probe`: which opening of the breaker it was to find out about.
        """
        with self.breaker.lock:
            self.under_way -= 1
            if self.breaker.broken:
                if probe != self.breaker.openings:
                    return  # begun before the breaker opened: no news
                self.breaker.probing = False
            if hurried and isinstance(error, UpstreamFault) and error.upstream_status == CALL_TIMEOUT:
                return
            if isinstance(error, UpstreamLimited):
                unpaid = error.type == "insufficient_quota"
                self._cool(error, error.retry_after or (REFUSED_REST if unpaid else 0.0), LIMITED)
            elif isinstance(error, UpstreamCredentials):
                self._cool(error, REFUSED_REST, REFUSED)
            elif error is None or isinstance(error, UpstreamRejected):
                self.breaker.worked()
            elif isinstance(error, UpstreamFault):
                self.breaker.failed()

    def _cool(self, error: UpstreamFault, seconds: float, reason: str) -> None:
        if error.upstream_status != OUR_LIMIT:  # else nobody was asked
            self.breaker.worked()
        until = self._clock() + min(seconds, MOST_COOL)
        if self._cools and seconds > 0 and until > self._cool_until:
            self._cool_until, self._cool_reason, self._cool_error = until, reason, error
            self.breaker.cools(COOLING, until - self._clock())


class Attempt:
    """
    A call of a target under way; it is over, and judged, when its context is left, by an error or without.

    `hurried`: it has less time than a target may expect, so that being late says nothing about it.
    """

    def __init__(self, standing: Standing, *, probe: int | None, clock: Callable[[], float]) -> None:
        self._standing, self._probe, self._clock, self.began = standing, probe, clock, clock()
        self.hurried = False

    def answered(self, *, streams: bool) -> None:
        """The first content is there, or, where it does not stream, the whole answer."""
        self._standing.pace(streams=streams).took(self._clock() - self.began)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._standing.leave(error, probe=self._probe, hurried=self.hurried)


class Standings:
    """All targets' standings. `told(upstream, state, seconds)` is called when one opens, closes or cools down."""

    def __init__(
        self,
        *,
        breakers: bool = True,
        clock: Callable[[], float] = time.monotonic,
        told: Callable[[Upstream, str, float], None] = lambda *_: None,
    ) -> None:
        self._on, self._clock, self._told = breakers, clock, told
        self._known: dict[Identity, Standing] = {}
        self._breakers = WeakValueDictionary[Upstream, Breaker]()
        self._lock = threading.Lock()

    def of(self, target: Target) -> Standing:
        """A target's standing, from its first call on."""
        found = self._known.get(target.identity)
        return self._new(target.identity) if found is None else found

    def items(self) -> list[tuple[Identity, Standing]]:
        with self._lock:
            return list(self._known.items())

    def apart(self) -> dict[str, str]:
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

    def _new(self, identity: Identity) -> Standing:
        with self._lock:
            if len(self._known) >= MOST_KNOWN:
                self._forget()
            upstream = identity[:3]
            breaker = self._breakers.get(upstream) or Breaker(self._clock, partial(self._told, upstream), on=self._on)
            self._breakers[upstream] = breaker
            return self._known.setdefault(identity, Standing(breaker, cools=self._on, clock=self._clock))

    def _forget(self) -> None:
        """Of those without calls the ones of which nothing is known, and, if they are too few, the oldest."""
        idle = [known for known, one in self._known.items() if not one.under_way and not one.waiting]
        healthy = [known for known in idle if self._known[known].state == CLOSED]
        for known in healthy if len(healthy) > MOST_KNOWN // 2 else idle[: MOST_KNOWN // 2]:
            del self._known[known]
