"""The targets of one call that are still to be tried: their order, its fallbacks, and the wait for a full one."""

import math
import random
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import NamedTuple

from gateway.catalog.targets import Target, Targets
from gateway.errors import GatewayError, Overloaded, without_traceback
from gateway.health.target_health import FULL, LIMITED, HealthRegistry, TargetHealth, TargetLease, Unavailable
from gateway.routing.failover import (
    Fail,
    FailureState,
    NextTarget,
    Retry,
    backoff,
    final_error,
    may_help,
    next_action,
)

# How many calls may wait for one target that is full or briefly rate limited, for how many seconds, and how often they look.
MAX_WAITING, MAX_WAIT, POLL_INTERVAL = 32, 5.0, 0.05
# Seconds of a rate limit that are waited for where no other target is left; a longer one is reported at once.
MAX_LIMIT_WAIT = 4.0


class Acquired(NamedTuple):
    """A target that may be called now."""

    target: Target
    lease: TargetLease


class FallbackCursor:
    """The policy's fallbacks, each kind handed out once, and no target twice. `targets_of(kind)` looks them up."""

    def __init__(self, targets: Targets, targets_of: Callable[[str], Targets]) -> None:
        self._seen = {target.identity for target in targets}
        self._used: set[str] = set()
        self._targets_of = targets_of

    def take(self, kind: str) -> Targets:
        """The fallbacks of a kind that are new; none the second time."""
        if kind in self._used:
            return ()
        self._used.add(kind)
        fallbacks = {target.identity: target for target in self._targets_of(kind) if target.identity not in self._seen}
        self._seen |= fallbacks.keys()
        return tuple(fallbacks.values())


class WaitingPlace:
    """A call's place among those that wait for a full target."""

    def __init__(self) -> None:
        self._health: TargetHealth | None = None
        self._until = math.inf

    @property
    def is_waiting(self) -> bool:
        return self._health is not None

    def take(self, health: TargetHealth, until: float) -> bool:
        """Wait for a target until `until`, by `time.monotonic()`; False where too many wait for it already."""
        if health.queued_calls >= MAX_WAITING:
            return False
        health.add_queued(1)
        self._health, self._until = health, until
        return True

    def expired(self, now: float) -> bool:
        return now >= self._until

    def leave(self) -> None:
        if self._health is not None:
            self._health.add_queued(-1)
            self._health, self._until = None, math.inf


class TargetQueue:
    """
    `acquire` hands out the next target; `after_failure` decides what follows an attempt that failed.

    `max_tries` is for each target. `fallback_targets(kind)` are the targets of the policy's `fallbacks`,
    `context_window_fallbacks` or `content_policy_fallbacks`. `deadline` is the call's, by `time.monotonic()`.
    `refusal`: why no target of the model itself is capable of the call.
    """

    def __init__(
        self,
        targets: Targets,
        health_registry: HealthRegistry,
        max_tries: int,
        *,
        fallback_targets: Callable[[str], Targets] = lambda _: (),
        deadline: float = math.inf,
        refusal: GatewayError | None = None,
    ) -> None:
        self._targets, self._health_registry, self._max_tries = targets, health_registry, max_tries
        self._deadline = deadline
        self._fallbacks = FallbackCursor(targets, fallback_targets)
        self._pending = deque(targets)
        self._tries: Counter[Target] = Counter()
        self._errors: list[GatewayError] = [refusal] if refusal else []
        self._truncated_by: GatewayError | None = None
        # Targets that were passed over; and those that may be available soon: they are full, or briefly rate limited.
        self._unavailable: list[Unavailable] = []
        self._soon: list[tuple[Target, Unavailable]] = []
        self._place = WaitingPlace()
        self._reserved_retry: TargetHealth | None = None

    def acquire(self) -> Acquired | float:
        """The next target that is available; or, where all are full or briefly rate limited, seconds after which to ask again. Raises GatewayError."""
        while True:
            while self._pending:
                target = self._pending[0]
                health, queued = self._health_registry.of(target), self._place.is_waiting
                retry = health is self._reserved_retry
                lease = health.acquire(target.max_parallel_requests, again=retry, queued=queued)
                self._pending.popleft()
                if isinstance(lease, TargetLease):
                    if retry:
                        self._reserved_retry = None
                    self.close()
                    return Acquired(target, lease)
                if lease.reason == FULL or (lease.reason == LIMITED and lease.seconds <= MAX_LIMIT_WAIT):
                    self._soon.append((target, lease))
                else:
                    self._unavailable.append(lease)
            if self._add_fallbacks("fallbacks"):
                continue
            if not self._soon:
                raise self._final_error()
            return self._wait_for_soonest()

    def acquire_beside(self, target: Target) -> Acquired | None:
        """Another available target of the model's own, to be tried at the same time as `target`; None: there is none."""
        if target not in self._targets:
            return None
        for other in [pending for pending in self._pending if pending in self._targets]:
            lease = self._health_registry.of(other).acquire(other.max_parallel_requests)
            if isinstance(lease, TargetLease):
                self._pending.remove(other)
                return Acquired(other, lease)
        return None

    def put_back(self, target: Target) -> None:
        """A target whose attempt was cancelled may be tried after the others."""
        self._pending.append(target)

    def after_hedge_failure(self, target: Target, error: GatewayError) -> None:
        """An attempt failed while another is in flight: the target may be tried after the others."""
        self._errors.append(without_traceback(error))
        self._tries[target] += 1
        if error.retryable and self._tries[target] < self._max_tries:
            self._pending.append(target)

    def after_failure(self, target: Target, error: GatewayError, *, content_sent: bool = False) -> float:
        """
        Seconds to wait before the next `acquire`. Raises the error to respond with when nothing is left to try.

        `content_sent`: the answer broke off, and another target is to resume it rather than this one.
        """
        self._errors.append(without_traceback(error))
        self._tries[target] += 1
        if content_sent and self._truncated_by is None:
            self._truncated_by = error
        if content_sent and not self._pending:
            self._add_fallbacks("fallbacks")
        state = FailureState(
            tries=self._tries[target],
            max_tries=self._max_tries,
            backoff=backoff(self._tries[target], random.random()),  # noqa: S311 - no secret
            time_remaining=self._deadline - time.monotonic(),
            errors=self._errors,
            truncated_by=self._truncated_by,
            unavailable=self._unavailable,
            resume_elsewhere=content_sent and bool(self._pending),
        )
        health = self._health_registry.of(target)
        action = next_action(error, state)
        if isinstance(action, Retry) and not health.take_retry():
            action = next_action(error, state._replace(retry_allowed=False))
        match action:
            case Retry(seconds):
                self._reserved_retry = health
                self._pending.appendleft(target)
                return seconds
            case NextTarget():
                self._move_on(target, error, action)
                return 0.0
            case Fail(final):
                raise final

    def close(self) -> None:
        """Wait for nothing any more: neither in a queue nor for a retry."""
        self._place.leave()
        if self._reserved_retry is not None:
            self._reserved_retry.return_retry()
            self._reserved_retry = None
        self._soon.clear()

    def _move_on(self, target: Target, error: GatewayError, action: NextTarget) -> None:
        """Drop the targets that cannot help after `error`. Raises the error to respond with when none is left."""
        if action.fallback_kind is None or not self._add_fallbacks(action.fallback_kind, first=True):
            if not any(may_help(error, target, other) for other in self._pending):
                self._add_fallbacks("fallbacks")
            while self._pending and not may_help(error, target, self._pending[0]):
                self._pending.popleft()
        if action.retry_later:
            self._pending.append(target)
        if not self._pending:
            raise self._final_error()

    def _add_fallbacks(self, kind: str, *, first: bool = False) -> bool:
        """Put the fallbacks of a kind behind, or in front of, what is pending; whether there were any."""
        fallbacks = self._fallbacks.take(kind)
        if first:
            self._pending.extendleft(reversed(fallbacks))
        else:
            self._pending.extend(fallbacks)
        return bool(fallbacks)

    def _wait_for_soonest(self) -> float:
        """
        Seconds after which to look again.

        Raises UpstreamLimited or Overloaded when too many calls wait already, or this one has waited for too long.
        """
        target, soonest = min(self._soon, key=lambda entry: entry[1].seconds)
        now = time.monotonic()
        if not self._place.is_waiting:
            until = min(now + soonest.seconds + MAX_WAIT, self._deadline)
            if not self._place.take(self._health_registry.of(target), until):
                raise self._truncated_by or _not_served(target, soonest)
        if self._place.expired(now):
            self.close()
            raise self._truncated_by or _not_served(target, soonest)
        self._pending.extend(target for target, _ in self._soon)
        self._soon.clear()
        return max(POLL_INTERVAL, min(soonest.seconds, self._deadline - now))

    def _final_error(self) -> GatewayError:
        return final_error(self._errors, self._truncated_by, self._unavailable)


def _not_served(target: Target, reason: Unavailable) -> GatewayError:
    """The error for a call that waited in vain, or found no place to wait."""
    if reason.reason == LIMITED:
        return final_error((), None, [reason])
    return Overloaded(f"{target.provider.name} has as many calls in flight as it may have. Try again in a moment.")
