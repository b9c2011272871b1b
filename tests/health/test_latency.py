"""The average and the 95th percentile of measured latencies."""

import pytest

from gateway.health.latency import LATENCY_EXPIRES, MIN_SAMPLES, LatencyTracker
from tests.support.health import Clock


def test_average_latency_is_weighted_to_the_recent_and_expires():
    clock = Clock()
    latency = LatencyTracker(clock)
    assert latency.average == 0
    latency.record(1.0)
    latency.record(2.0)
    assert 1.0 < latency.average < 2.0
    clock.now += LATENCY_EXPIRES
    assert latency.average == 0


def test_p95_needs_enough_samples():
    latency = LatencyTracker(Clock())
    for tenths in range(1, MIN_SAMPLES):
        latency.record(tenths / 10)
    assert latency.p95() is None
    latency.record(MIN_SAMPLES / 10)
    assert latency.p95() == pytest.approx(MIN_SAMPLES / 10)
