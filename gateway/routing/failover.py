"""Which target is asked next, after how long, and which error stands when none is left."""

import copy
import math
import random
import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime

from gateway.catalog.vendors import Target
from gateway.errors import (
    ClientDisconnected,
    GatewayError,
    NoHealthyUpstream,
    Overloaded,
    UpstreamFault,
    UpstreamLimited,
    UpstreamRejected,
    without_traceback,
)
from gateway.health.target_health import FULL, HealthRegistry, TargetHealth, TargetLease, Unavailable

Targets = tuple[Target, ...]
SECONDS = re.compile(r"\d{1,300}(\.\d{1,15})?")
MOST_TOLD = 86400.0
"""Seconds that are told on at most, whatever the upstream says."""
FIRST_DELAY, MOST_DELAY = 0.25, 4.0
"""Seconds: the backoff's start, and the longest wait (ours or a Retry-After's) before the same target is asked again."""
QUEUE, QUEUE_PATIENCE, QUEUE_STEP = 32, 5.0, 0.05
"""How many calls wait for a full target, for how many seconds, and how often they look."""
TOO_LARGE = re.compile(
    r"context.{0,10}(length|window|limit)|maximum context|prompt is too long|too many (input )?tokens|"
    r"(input|request|prompt).{0,30}(exceeds|longer|too long|too large).{0,60}tokens",
    re.IGNORECASE,
)
OFFENDED = re.compile(r"content.{0,3}(policy|filter|management)|safety (system|policy)|responsible ai", re.IGNORECASE)


class Failover:
    """
    The attempts of one call: `next` begins one, `failed` says how it ended.

    `attempts` is for each target. `fallback_targets(kind)` are the targets of the policy's `fallbacks`, `context_window_fallbacks`
    or `content_policy_fallbacks`. `deadline` is for all of it, by `time.monotonic()`. `refusal`: why no other target of
    the model can take the call.
    """

    def __init__(
        self,
        targets: Targets,
        health_registry: HealthRegistry,
        attempts: int,
        *,
        fallback_targets: Callable[[str], Targets] = lambda _: (),
        deadline: float = math.inf,
        refusal: GatewayError | None = None,
    ) -> None:
        self._ahead, self._health_registry, self._attempts = deque(targets), health_registry, attempts
        self._fallback_targets, self._deadline = fallback_targets, deadline
        self._own = self._known = targets
        """All that are ahead, or were."""
        self.attempt: TargetLease
        self.hedged = False
        self._again: TargetHealth | None = None
        """Whose retry is next, from its budget."""
        self._tried: dict[Target, int] = {}
        self._errors: list[GatewayError] = [refusal] if refusal else []
        self._broke: GatewayError | None = None
        """What the client has to hear of, since it has part of the answer, if nobody goes on with it."""
        self._outs: list[Unavailable] = []
        self._full: list[Target] = []
        self._queue: TargetHealth | None = None
        """For whom this call waits in the queue, until `_queue_until`."""
        self._queue_until = math.inf
        self._spent: set[str] = set()

    @property
    def target(self) -> Target:
        """The target whose turn it is."""
        return self._ahead[0]

    def next(self) -> float | None:
        """Begin the `attempt` of `target`; or seconds to wait, for one that is full. Raises the error to answer with."""
        while True:
            while self._ahead:
                target, health = self.target, self._health_registry.of(self.target)
                again, queued = health is self._again, self._queue is not None
                entered = health.acquire(target.max_parallel_requests, again=again, queued=queued)
                if isinstance(entered, TargetLease):
                    if again:
                        self._again = None
                    self.leave()
                    self.attempt = entered
                    return None
                if entered.reason == FULL:
                    self._full.append(target)
                if entered.reason != FULL or not queued:
                    self._outs.append(entered)
                self._ahead.popleft()
            if self._extend("fallbacks"):
                continue
            if not self._full:
                raise self._final_error()
            return self._queued()

    def hedge(self) -> tuple[Target, TargetLease] | None:
        """Begin an attempt of another of the model's own targets beside the one whose turn it is; None where there is none."""
        self.hedged = True
        for other in [one for one in list(self._ahead)[1:] if one in self._own and self.target in self._own]:
            entered = self._health_registry.of(other).acquire(other.max_parallel_requests)
            if isinstance(entered, TargetLease):
                self._ahead.remove(other)
                return other, entered
        return None

    def promote(self, target: Target, attempt: TargetLease, cancelled: Targets = ()) -> None:
        """It is this target's turn now; those that were `cancelled` for it may have theirs later."""
        self._ahead[0], self.attempt = target, attempt
        self._ahead.extend(cancelled)

    def record_hedge_failure(self, target: Target, error: GatewayError) -> None:
        """An attempt failed beside one that is still under way; the target may have another turn."""
        self._errors.append(without_traceback(error))
        self._tried[target] = self._tried.get(target, 0) + 1
        if error.retryable and self._tried[target] < self._attempts:
            self._ahead.append(target)

    def failed(self, error: GatewayError, *, elsewhere: bool = False) -> float:
        """
        Seconds to wait before `next`. Raises the error to answer with when it is over. `elsewhere`: the answer broke off,
        and another target is to go on with it rather than this one again.
        """
        if isinstance(error, ClientDisconnected):
            raise error
        if elsewhere and self._broke is None:
            self._broke = error
        self._errors.append(without_traceback(error))
        here = self.target
        self._tried[here] = self._tried.get(here, 0) + 1
        if elsewhere and len(self._ahead) == 1:
            self._extend("fallbacks")
        elsewhere = elsewhere and len(self._ahead) > 1
        delay = None if elsewhere else self._delay(error)
        if delay is not None:
            return delay
        self._ahead.popleft()
        kind = fallback_kind(error)
        if kind is None or not self._extend(kind, at_once=True):
            if not any(may_help(error, here, other) for other in self._ahead):
                self._extend("fallbacks")
            while self._ahead and not may_help(error, here, self.target):
                self._ahead.popleft()
        if elsewhere and error.retryable and self._tried[here] < self._attempts:
            self._ahead.append(here)  # where the others fail too
        if not self._ahead or time.monotonic() >= self._deadline:
            raise self._final_error()
        return 0.0

    def leave(self) -> None:
        """Wait for nothing any more: in no queue, and for no retry."""
        if self._queue is not None:
            self._queue.add_queued(-1)
            self._queue, self._queue_until = None, math.inf
        if self._again is not None:
            self._again.return_retry()
            self._again = None
        self._full.clear()

    def _delay(self, error: GatewayError) -> float | None:
        """Seconds after which the same target is asked again; None where it is not."""
        tried = self._tried[self.target]
        told = error.wait if isinstance(error, UpstreamFault) else error.retry_after
        delay = max(backoff(tried), told or 0)
        in_time = time.monotonic() + delay < self._deadline
        health = self._health_registry.of(self.target)
        if error.retryable and tried < self._attempts and delay <= MOST_DELAY and in_time and health.take_retry():
            self._again = health
            return delay
        return None

    def _extend(self, kind: str, *, at_once: bool = False) -> bool:
        """Put the policy's fallbacks of this kind behind, or in front of, what is ahead, once, and no target twice."""
        if kind in self._spent:
            return False
        self._spent.add(kind)
        known = {target.identity for target in self._known}
        found = tuple({one.identity: one for one in self._fallback_targets(kind) if one.identity not in known}.values())
        self._known += found
        if at_once:
            self._ahead.extendleft(reversed(found))
        else:
            self._ahead.extend(found)
        return bool(found)

    def _queued(self) -> float:
        """Wait for the full targets, in a short queue. Raises Overloaded when that is full too, or takes too long."""
        target, now = self._full[0], time.monotonic()
        if self._queue is None:
            health = self._health_registry.of(target)
            if health.queued_calls >= QUEUE:
                raise self._broke or self._busy(target)
            health.add_queued(1)
            self._queue, self._queue_until = health, min(now + QUEUE_PATIENCE, self._deadline)
        if now >= self._queue_until:
            self.leave()
            raise self._broke or self._busy(target)
        self._ahead.extend(self._full)
        self._full.clear()
        return QUEUE_STEP

    @staticmethod
    def _busy(target: Target) -> Overloaded:
        return Overloaded(f"{target.provider.name} has as many calls under way as it is given. Try again in a moment.")

    def _final_error(self) -> GatewayError:
        """The upstreams' last failure; if all they said is that they are busy, the one with the least Retry-After."""
        if self._broke is not None:
            return self._broke
        failures = [error for error in self._errors if isinstance(error, UpstreamFault)]
        telling = [error for error in failures if not isinstance(error, UpstreamLimited)]
        if telling or (self._errors and not failures):
            return (telling or self._errors)[-1]
        if failures:
            return min(failures, key=lambda error: math.inf if error.retry_after is None else error.retry_after)
        soonest = min(self._outs, key=lambda out: out.seconds)
        if all(out.error for out in self._outs) and soonest.error is not None:
            error = copy.copy(soonest.error)  # what the upstream said last, still true
            error.retry_after = max(1.0, soonest.seconds)
            return error
        reasons = ", ".join(dict.fromkeys(out.reason for out in self._outs))
        wait = max(1.0, soonest.seconds)
        return NoHealthyUpstream(f"No target of this model can be asked now: {reasons}.", retry_after=wait)


def fallback_kind(error: GatewayError) -> str | None:
    """The kind of fallbacks that are for this error alone."""
    if not isinstance(error, UpstreamRejected):
        return None
    said = f"{error.code or ''} {error.message}"
    if error.code == "context_length_exceeded" or TOO_LARGE.search(said):
        return "context_window_fallbacks"
    return "content_policy_fallbacks" if OFFENDED.search(said) else None


def may_help(error: GatewayError, here: Target, other: Target) -> bool:
    """Whether another target could do better: after a refusal, only another model could."""
    return error.try_next_target or (isinstance(error, UpstreamRejected) and here.model != other.model)


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
