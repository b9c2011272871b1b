"""
The health of each target: its circuit breaker, its cool-down, its calls in flight, its latency.

One `TargetHealth` for each target (provider, base URL, model and key) of this process, whatever model names lead to it.
Targets that differ in their key alone share a breaker: it is the same upstream.
"""

import math
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple, Self
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from gateway.catalog.targets import Identity, Target
from gateway.errors import (
    CALL_TIMEOUT,
    OUR_LIMIT,
    UpstreamCredentials,
    UpstreamFault,
    UpstreamLimited,
    UpstreamRefused,
    UpstreamRejected,
)
from gateway.health.circuit_breaker import (
    CLOSED,
    OPEN,
    CircuitBreaker,
    TargetStateChange,
    UpstreamId,
    ignore_state_change,
)
from gateway.health.latency import LatencyTracker
from gateway.health.refusals import Caller, Refusals

# Seconds without calls for a target that refused our credential, or says that its quota is used up.
REFUSED_COOLDOWN = 60.0
# Seconds: an upstream's own Retry-After is believed up to here.
MAX_COOLDOWN = 600.0
# Calls that may wait for their first content at once after a rate limit has passed; doubled with each that succeeds, and
# unbounded beyond the maximum.
RECOVERY_CALLS, MAX_RECOVERY_CALLS = 2, 32
# Retries that a target has in reserve, and what each call adds: an outage causes at most a fifth more calls.
RETRY_RESERVE, RETRIES_PER_CALL = 10.0, 0.2
# Targets that are remembered; beyond that, some without calls are forgotten: clients may name any model of a provider.
MAX_TARGETS = 4096

COOLING, HALF_OPEN = "cooling", "half-open"
# The states of a target, from best to worst.
STATES = (CLOSED, COOLING, HALF_OPEN, OPEN)
# The reasons why a target is unavailable.
BREAKER_OPEN, FULL, LIMITED, REFUSED = "breaker open", "full", "rate limited", "credential refused"


class Unavailable(NamedTuple):
    """Why a target gets no call now, and after how many seconds it may."""

    reason: str
    seconds: float


class TargetHealth:
    """One target's. `cooldowns`: whether it gets no calls for as long as it says itself."""

    def __init__(
        self, breaker: CircuitBreaker, *, cooldowns: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.breaker, self._cooldowns, self._clock = breaker, cooldowns, clock
        self.in_flight = self.queued_calls = 0
        # Of streams until their first content; of plain responses, which come all at once, until their end.
        self.first_content, self.plain = LatencyTracker(clock), LatencyTracker(clock)
        self._retry_tokens = RETRY_RESERVE
        self._cooldown_until, self._cooldown_reason = -math.inf, ""
        self._refusals = Refusals(clock)
        # After a rate limit: how many calls may wait for their first content at once, and how many do; None: any number.
        self._recovery_calls: int | None = None
        self._recovering = 0

    @property
    def state(self) -> str:
        """`closed`, `open` or `half-open`, as breakers are; `cooling` where the upstream asked for it itself."""
        if self.breaker.tripped:
            return OPEN if self.breaker.open and not self.breaker.probing else HALF_OPEN
        return COOLING if self._clock() < self._cooldown_until else CLOSED

    def latency(self, *, streams: bool) -> LatencyTracker:
        return self.first_content if streams else self.plain

    def unavailable(
        self, max_in_flight: int | None = None, *, queued: bool = True, again: bool = False
    ) -> Unavailable | None:
        """
        Why the target gets no call now; None if it may. `max_in_flight`: None for any number.

        `queued`: the caller already holds a queue place. `again`: a retry that has waited out Retry-After.
        """
        if self.breaker.tripped and self.breaker.open:
            return Unavailable(BREAKER_OPEN, self.breaker.seconds)
        full = max_in_flight is not None and self.in_flight >= max_in_flight
        full = full or (self._recovery_calls is not None and self._recovering >= self._recovery_calls)
        bounded = max_in_flight is not None or self._recovery_calls is not None
        if (seconds := self._cooldown_until - self._clock()) > 0 and not again:
            return Unavailable(self._cooldown_reason, seconds)
        return Unavailable(FULL, 0.0) if full or (bounded and self.queued_calls and not queued) else None

    def acquire(
        self, max_in_flight: int | None = None, *, again: bool = False, queued: bool = False
    ) -> "TargetLease | Unavailable":
        """Begin a call, or say why not; the parameters are those of `unavailable`."""
        breaker = self.breaker
        with breaker.lock:
            unavailable = self.unavailable(max_in_flight, queued=queued or again, again=again)
            if unavailable is not None:
                return unavailable
            breaker.probing = breaker.tripped
            self.in_flight += 1
            if not again:
                self._retry_tokens = min(RETRY_RESERVE, self._retry_tokens + RETRIES_PER_CALL)
            recovering = self._recovery_calls is not None
            self._recovering += recovering
            probe = breaker.openings if breaker.tripped else None
            return TargetLease(self, probe=probe, recovering=recovering, clock=self._clock)

    def answered(self) -> None:
        """One of the calls after a rate limit got its answer: more may follow at once."""
        with self.breaker.lock:
            self._recovering -= 1
            if self._recovery_calls is not None:
                more = 2 * self._recovery_calls
                self._recovery_calls = more if more <= MAX_RECOVERY_CALLS else None

    def take_retry(self) -> bool:
        """Take a retry from the budget; False if there is none left."""
        with self.breaker.lock:
            available = self._retry_tokens >= 1
            self._retry_tokens -= available
        return available

    def return_retry(self) -> None:
        """Give back what was taken for a retry that never began."""
        with self.breaker.lock:
            self._retry_tokens = min(RETRY_RESERVE, self._retry_tokens + 1)

    def add_queued(self, calls: int) -> None:
        """So many more calls, or fewer, wait for the target."""
        with self.breaker.lock:
            self.queued_calls += calls

    def release(
        self,
        error: BaseException | None,
        *,
        probe: int | None = None,
        recovering: bool = False,
        short_deadline: bool = False,
        caller: Callable[[], Caller] | None = None,
    ) -> None:
        """
        A call has ended, with `error` or well. What says nothing about the target, such as a disconnected client, changes
        nothing. `probe`: the opening of the breaker that the call was to probe. `recovering`: it was one of those that
        follow a rate limit, and got no answer. `caller` is looked up only where it matters.
        """
        refused = caller() if caller is not None and isinstance(error, UpstreamRefused) else None
        with self.breaker.lock:
            self.in_flight -= 1
            self._recovering -= recovering
            if self.breaker.tripped:
                if probe != self.breaker.openings:
                    return  # it began before the breaker opened, so it tells nothing about now
                self.breaker.probing = False
            if short_deadline and isinstance(error, UpstreamFault) and error.upstream_status == CALL_TIMEOUT:
                return
            if isinstance(error, UpstreamLimited):
                quota_used_up = error.type == "insufficient_quota"
                self._cool_down(error, error.retry_after or (REFUSED_COOLDOWN if quota_used_up else 0.0), LIMITED)
            elif isinstance(error, UpstreamCredentials) or (
                isinstance(error, UpstreamRefused) and self._refusals.point_at_target(refused)
            ):
                self._cool_down(error, REFUSED_COOLDOWN, REFUSED)
            elif isinstance(error, UpstreamRefused) or error is None or isinstance(error, UpstreamRejected):
                self.breaker.record_success()
            elif isinstance(error, UpstreamFault):
                self.breaker.record_failure()

    def _cool_down(self, error: UpstreamFault, seconds: float, reason: str) -> None:
        # An upstream that answers 429 or 401 is up; where our own limit is reached, none was called.
        if error.upstream_status != OUR_LIMIT:
            self.breaker.record_success()
        until = self._clock() + min(seconds, MAX_COOLDOWN)
        if self._cooldowns and seconds > 0 and until > self._cooldown_until:
            self._cooldown_until, self._cooldown_reason = until, reason
            if reason == LIMITED and error.upstream_status != OUR_LIMIT:
                self._recovery_calls = RECOVERY_CALLS
            self.breaker.record_cooldown(COOLING, until - self._clock())


class TargetLease:
    """
    The right to one call of a target. When its context is left, by an error or without, the call has ended, and the
    target's health knows how.

    `short_deadline`: the call has less time than a target may expect, so that a timeout says nothing about the target.
    `caller` says who makes it.
    """

    def __init__(
        self, health: TargetHealth, *, probe: int | None, recovering: bool, clock: Callable[[], float]
    ) -> None:
        self._health, self._probe, self._clock, self._started = health, probe, clock, clock()
        self._recovering = recovering
        self.short_deadline = False
        self.caller: Callable[[], Caller] | None = None

    def record_latency(self, *, streams: bool) -> None:
        """The first content of a stream is there, or the whole plain response."""
        self._health.latency(streams=streams).record(self._clock() - self._started)
        if self._recovering:
            self._recovering = False
            self._health.answered()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._health.release(
            error,
            probe=self._probe,
            recovering=self._recovering,
            short_deadline=self.short_deadline,
            caller=self.caller,
        )


class HealthRegistry:
    """The health of all targets. `on_state_change` is called when one opens, closes or cools down."""

    def __init__(
        self,
        *,
        breakers: bool = True,
        clock: Callable[[], float] = time.monotonic,
        on_state_change: Callable[[TargetStateChange], None] = ignore_state_change,
    ) -> None:
        self._enabled, self._clock, self._on_state_change = breakers, clock, on_state_change
        self._targets: dict[Identity, TargetHealth] = {}
        self._breakers = WeakValueDictionary[UpstreamId, CircuitBreaker]()
        self._lock = threading.Lock()

    def of(self, target: Target) -> TargetHealth:
        """A target's health, kept from its first use on."""
        health = self._targets.get(target.identity)
        return self._add(target.identity) if health is None else health

    def items(self) -> list[tuple[Identity, TargetHealth]]:
        with self._lock:
            return list(self._targets.items())

    def unhealthy(self) -> dict[str, str]:
        """The targets that are not `closed`, by name: the worst state of all of their keys."""
        states: dict[UpstreamId, str] = {}
        for (provider, base_url, model, _), health in self.items():
            upstream = provider, base_url, model
            states[upstream] = max(states.get(upstream, CLOSED), health.state, key=STATES.index)
        hosts = Counter((provider, model) for provider, _, model in states)
        return {
            f"{provider}/{model}" + (f" at {urlsplit(base_url).netloc}" if hosts[provider, model] > 1 else ""): state
            for (provider, base_url, model), state in states.items()
            if state != CLOSED
        }

    def _add(self, identity: Identity) -> TargetHealth:
        with self._lock:
            if len(self._targets) >= MAX_TARGETS:
                self._forget_idle()
            upstream = identity[:3]
            breaker = self._breakers.get(upstream) or CircuitBreaker(
                upstream, self._clock, self._on_state_change, enabled=self._enabled
            )
            self._breakers[upstream] = breaker
            return self._targets.setdefault(identity, TargetHealth(breaker, cooldowns=self._enabled, clock=self._clock))

    def _forget_idle(self) -> None:
        """Forget the targets without calls that are healthy, or, if those are too few, the oldest without calls."""
        idle = [key for key, health in self._targets.items() if not health.in_flight and not health.queued_calls]
        healthy = [key for key in idle if self._targets[key].state == CLOSED]
        for key in healthy if len(healthy) > MAX_TARGETS // 2 else idle[: MAX_TARGETS // 2]:
            del self._targets[key]
