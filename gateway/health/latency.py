"""How long responses of a target take."""

import math
from collections import deque
from collections.abc import Callable

# Weight of the newest value in the exponential moving average of latency.
SMOOTHING = 0.3
# Calls that a p95 is computed from, and the fewest that it needs.
MAX_SAMPLES, MIN_SAMPLES = 200, 20
# Seconds after which a measured latency is no longer used.
LATENCY_EXPIRES = 300.0


class LatencyTracker:
    """How long responses took."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._average, self._measured_at = 0.0, -math.inf
        self._recent: deque[float] = deque(maxlen=MAX_SAMPLES)

    @property
    def average(self) -> float:
        """Seconds, weighted to the recent ones; 0 where nothing recent is measured."""
        return self._average if self._clock() - self._measured_at < LATENCY_EXPIRES else 0.0

    def p95(self) -> float | None:
        """Seconds within which 95 % of the recent ones came; None where too few are measured."""
        samples = sorted(self._recent)
        return samples[int(0.95 * len(samples))] if len(samples) >= MIN_SAMPLES else None

    def record(self, seconds: float) -> None:
        average = self.average
        self._average = seconds if not average else average + SMOOTHING * (seconds - average)
        self._measured_at = self._clock()
        self._recent.append(seconds)
