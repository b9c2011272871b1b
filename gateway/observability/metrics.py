"""
What Prometheus reads: how targets stand, over all processes of one gateway, by prometheus_client's multiprocess mode.

gunicorn.conf.py makes the folder that the processes share; where there is none, a process speaks for itself.
"""

import time
from urllib.parse import urlsplit

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from gateway.health.circuit_breaker import CLOSED, OPEN, TargetStateChange

__all__ = ["CONTENT_TYPE_LATEST", "record_state_change", "render_metrics"]

LABELS = ("target", "host")
MOST_TOLD = 1000
"""Targets, beyond which new ones are not told: clients may ask for any model of a provider."""
MODEL_SHOWN = 200
OWN = CollectorRegistry()
BREAKER_OPEN = Gauge(
    "pointsman_breaker_open",
    "1 where a target's circuit breaker is open or half-open in any process, 0 where it has closed again",
    LABELS,
    multiprocess_mode="livemax",
    registry=OWN,
)
RESTS_UNTIL = Gauge(
    "pointsman_target_cooldown_until_seconds",
    "Unix time until which a target is left alone by some process: its breaker rests, or it said so itself",
    LABELS,
    multiprocess_mode="livemax",
    registry=OWN,
)
told: set[tuple[str, str]] = set()


def record_state_change(change: TargetStateChange) -> None:
    """Set a target's gauges."""
    (provider, base_url, model), state, seconds = change
    labels = f"{provider}/{model}"[:MODEL_SHOWN], urlsplit(base_url).netloc.rpartition("@")[2]
    if labels not in told:
        if len(told) >= MOST_TOLD:
            return
        told.add(labels)
    try:
        RESTS_UNTIL.labels(*labels).set(time.time() + seconds if seconds else 0.0)
        if state in (OPEN, CLOSED):
            BREAKER_OPEN.labels(*labels).set(state == OPEN)
    except OSError as error:  # of the shared folder: no reason to fail a call
        structlog.get_logger().warning("metrics", error=type(error).__name__)


def render_metrics() -> bytes:
    """Prometheus' text format."""
    registry = CollectorRegistry()
    try:
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    except ValueError:  # there is no folder
        registry = OWN
    return generate_latest(registry)
