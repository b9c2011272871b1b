"""Which target is asked next, after how long, and which error stands when none is left."""

import copy
import math
import random
import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime

from gateway.errors import (
    ClientGone,
    GatewayError,
    NoHealthyUpstream,
    Overloaded,
    UpstreamFault,
    UpstreamLimited,
    UpstreamRejected,
    forgotten,
)
from gateway.providers import Target
from gateway.standing import FULL, Attempt, Out, Standings

Targets = tuple[Target, ...]
SECONDS = re.compile(r"\d{1,15}(\.\d{1,15})?")
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


class Plan:
    """
    The attempts of one call: `next` begins one, `failed` says how it ended.

    `attempts` is for each target. `more(kind)` are the targets of the policy's `fallbacks`, `context_window_fallbacks`
    or `content_policy_fallbacks`. `deadline` is for all of it, by `time.monotonic()`.
    """

    def __init__(
        self,
        targets: Targets,
        standings: Standings,
        attempts: int,
        more: Callable[[str], Targets] = lambda _: (),
        deadline: float = math.inf,
    ) -> None:
        self._ahead, self._standings, self._attempts = deque(targets), standings, attempts
        self._more, self._deadline = more, deadline
        self.attempt: Attempt
        self.hedged = self._again = False
        self._tried = 0
        self._errors: list[GatewayError] = []
        self._outs: list[Out] = []
        self._full: list[Target] = []
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
                queued = self._queue_until != math.inf
                entered = self._standings.of(self.target).enter(again=self._again, queued=queued)
                if isinstance(entered, Attempt):
                    self.leave()
                    self.attempt = entered
                    return None
                self._outs.append(entered)
                if entered.reason == FULL and not queued:
                    self._full.append(self.target)
                self._skip()
            if self._full:
                return self._queued()
            if not self._extend("fallbacks"):
                raise self._verdict()

    def hedge(self) -> tuple[Target, Attempt] | None:
        """Begin an attempt of another target beside the one whose turn it is; None where there is none."""
        self.hedged = True
        for other in list(self._ahead)[1:]:
            entered = self._standings.of(other).enter()
            if isinstance(entered, Attempt):
                self._ahead.remove(other)
                return other, entered
        return None

    def won(self, target: Target, attempt: Attempt) -> None:
        """It is this target's turn now."""
        self._ahead[0], self.attempt = target, attempt

    def failed(self, error: GatewayError) -> float:
        """Seconds to wait before `next`. Raises the error to answer with when it is over."""
        if isinstance(error, ClientGone):
            raise error
        self._errors.append(forgotten(error))
        self._tried += 1
        delay = max(backoff(self._tried), error.retry_after or 0)
        here, in_time = self.target, time.monotonic() + delay < self._deadline
        worth_it = error.retryable and self._tried < self._attempts and delay <= MOST_DELAY and in_time
        if worth_it and self._standings.of(here).may_retry():
            self._again = True
            return delay
        self._skip()
        kind = special(error)
        if kind is None or not self._extend(kind, at_once=True):
            if not any(cured(error, here, other) for other in self._ahead):
                self._extend("fallbacks")
            while self._ahead and not cured(error, here, self.target):
                self._skip()
        if not self._ahead or time.monotonic() >= self._deadline:
            raise self._verdict()
        return 0.0

    def leave(self) -> None:
        """Wait in no queue any more."""
        if self._queue_until != math.inf:
            self._standings.of(self._full[0]).waiting -= 1
            self._queue_until = math.inf
        self._full.clear()

    def _skip(self) -> None:
        self._ahead.popleft()
        self._again, self._tried = False, 0

    def _extend(self, kind: str, *, at_once: bool = False) -> bool:
        """Put the policy's fallbacks of this kind behind, or in front of, what is ahead, once."""
        if kind in self._spent:
            return False
        self._spent.add(kind)
        found = self._more(kind)
        if at_once:
            self._ahead.extendleft(reversed(found))
        else:
            self._ahead.extend(found)
        return bool(found)

    def _queued(self) -> float:
        """Wait for the first full target, in a short queue. Raises Overloaded when that is full too, or takes too long."""
        target, now = self._full[0], time.monotonic()
        standing = self._standings.of(target)
        if self._queue_until == math.inf:
            if standing.waiting >= QUEUE:
                raise self._busy(target)
            standing.waiting += 1
            self._queue_until = min(now + QUEUE_PATIENCE, self._deadline)
        if now >= self._queue_until:
            self.leave()
            raise self._busy(target)
        self._ahead.append(target)
        return QUEUE_STEP

    @staticmethod
    def _busy(target: Target) -> Overloaded:
        return Overloaded(f"{target.provider.name} has as many calls under way as it is given. Try again in a moment.")

    def _verdict(self) -> GatewayError:
        """The upstreams' last failure; if all they said is that they are busy, the one with the least Retry-After."""
        failures = [error for error in self._errors if isinstance(error, UpstreamFault)]
        telling = [error for error in failures if not isinstance(error, UpstreamLimited)]
        if telling or (self._errors and not failures):
            return (telling or self._errors)[-1]
        if failures:
            return min(failures, key=lambda error: error.retry_after or math.inf)
        soonest = min(self._outs, key=lambda out: out.seconds)
        if all(out.error for out in self._outs) and soonest.error is not None:
            error = copy.copy(soonest.error)  # what the upstream said last, still true
            error.retry_after = max(1.0, soonest.seconds)
            return error
        reasons = ", ".join(dict.fromkeys(out.reason for out in self._outs))
        wait = max(1.0, soonest.seconds)
        return NoHealthyUpstream(f"No target of this model can be asked now: {reasons}.", retry_after=wait)


def special(error: GatewayError) -> str | None:
    """The kind of fallbacks that are for this error alone."""
    if not isinstance(error, UpstreamRejected):
        return None
    said = f"{error.code or ''} {error.message}"
    if error.code == "context_length_exceeded" or TOO_LARGE.search(said):
        return "context_window_fallbacks"
    return "content_policy_fallbacks" if OFFENDED.search(said) else None


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
