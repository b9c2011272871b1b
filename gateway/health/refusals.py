"""Refusals that may be the request's own fault or the target's: who meets them tells which."""

from collections import Counter, deque
from collections.abc import Callable
from typing import NamedTuple

# A refusal that may be the request's own fault (402, 403) rests the target when so many callers, or so many different
# bodies of one caller, meet it within so many seconds.
MIN_REFUSED_CALLERS, MIN_REFUSED_BODIES, REFUSAL_WINDOW, MAX_REFUSALS = 2, 3, 60.0, 32


class Caller(NamedTuple):
    """Who made a call, and a digest of its body: what tells one caller's bad request from an upstream's bad state."""

    id: str
    body: bytes


class Refusals:
    """The last refusals of a target."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._recent: deque[tuple[float, Caller]] = deque(maxlen=MAX_REFUSALS)

    def point_at_target(self, caller: Caller | None) -> bool:
        """Record a refusal, and return whether so many were met that the requests cannot be at fault."""
        now = self._clock()
        if caller is not None:
            self._recent.append((now, caller))
        callers = {caller for at, caller in self._recent if at > now - REFUSAL_WINDOW}
        bodies = Counter(caller.id for caller in callers)
        return len(bodies) >= MIN_REFUSED_CALLERS or max(bodies.values(), default=0) >= MIN_REFUSED_BODIES
