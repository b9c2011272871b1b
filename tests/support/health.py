"""Targets in a state of health that a test wants, a clock that it sets, and probes of made-up providers."""

from gateway.catalog.vendors import VENDORS, Provider
from gateway.errors import UpstreamFailed
from gateway.health.circuit_breaker import LEAST_FAILURES
from gateway.health.probes import Probes
from gateway.health.target_health import TargetLease

FAILED = UpstreamFailed("failed", upstream_status=500)
HERE = Provider(VENDORS["openai"], "https://here.example/v1", "key")
GONE = Provider(VENDORS["groq"], "https://gone.example/v1", "key")


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def ask(health, error=None):
    """A call that ends at once, so."""
    attempt = health.acquire()
    assert isinstance(attempt, TargetLease), attempt
    attempt.__exit__(type(error), error, None)


def broken(health, times=LEAST_FAILURES):
    for _ in range(times):
        ask(health, FAILED)
    assert health.state == "open"


def probes(folder, health_registry, is_reachable=(HERE,)):
    return Probes(folder, 60, [HERE, GONE], health_registry, lambda provider: provider in is_reachable)
