"""Targets in the state of health that a test needs, and a clock that the test sets."""

from gateway.catalog.targets import Provider
from gateway.catalog.vendors import VENDORS
from gateway.errors import UpstreamFailed
from gateway.health.circuit_breaker import MIN_FAILURES
from gateway.health.probes import Probes
from gateway.health.target_health import TargetLease

FAILED = UpstreamFailed("failed", upstream_status=500)
REACHABLE = Provider(VENDORS["openai"], "https://here.example/v1", "key")
UNREACHABLE = Provider(VENDORS["groq"], "https://gone.example/v1", "key")


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def finish_call(health, error=None):
    """A call of a target that ends at once, by `error` or well."""
    lease = health.acquire()
    assert isinstance(lease, TargetLease), lease
    lease.__exit__(type(error), error, None)


def open_breaker(health):
    """Fail as many calls as open the breaker."""
    for _ in range(MIN_FAILURES):
        finish_call(health, FAILED)
    assert health.state == "open"


def probes(folder, health_registry, *, interval=60):
    """Probes of two providers, of which one is reachable."""
    providers = [REACHABLE, UNREACHABLE]
    return Probes(folder, interval, providers, health_registry, lambda provider: provider is REACHABLE)
