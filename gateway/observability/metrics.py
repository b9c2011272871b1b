"""
Prometheus metrics: the state of the targets, in all processes of one gateway.

Processes share values in the files of a folder (prometheus_client's multiprocess mode), which gunicorn.conf.py makes and
names in PROMETHEUS_MULTIPROC_DIR. Without it, each process reports its own values.
https://prometheus.github.io/client_python/multiprocess/
"""

import time
from urllib.parse import urlsplit

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from gateway.health.circuit_breaker import CLOSED, OPEN, TargetStateChange

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]

LABELS = ("target", "host")
# Targets with values; later ones get none. Clients may request any model name of a provider, and values stay in memory.
MAX_TARGETS = 1000
# Characters of the label `target`.
MAX_TARGET_LENGTH = 200


class Metrics:
    """The gauges of one application."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        # "livemax": the maximum over the processes that live. gunicorn.conf.py removes the file of a process that ended.
        self._breaker_open = Gauge(
            "pointsman_breaker_open",
            "1 if a target's circuit breaker is open or half-open in any process, 0 once it has closed again",
            LABELS,
            multiprocess_mode="livemax",
            registry=self._registry,
        )
        self._cooldown_until = Gauge(
            "pointsman_target_cooldown_until_seconds",
            "Unix time until which a process sends a target no requests: its breaker is open, or the target asked for it",
            LABELS,
            multiprocess_mode="livemax",
            registry=self._registry,
        )
        self._targets: set[tuple[str, str]] = set()

    def record_state_change(self, change: TargetStateChange) -> None:
        """Set a target's gauges."""
        (provider, base_url, model), state, seconds = change
        # A base URL may hold credentials, `https://user:password@host`: only its host may be shown.
        host = urlsplit(base_url).netloc.rpartition("@")[2]
        labels = f"{provider}/{model}"[:MAX_TARGET_LENGTH], host
        if labels not in self._targets:
            if len(self._targets) >= MAX_TARGETS:
                return
            self._targets.add(labels)
        try:
            self._cooldown_until.labels(*labels).set(time.time() + seconds if seconds else 0.0)
            if state in (OPEN, CLOSED):
                self._breaker_open.labels(*labels).set(state == OPEN)
        except OSError as error:  # the shared folder is full or gone, which must not fail the call
            structlog.get_logger().warning("metrics", error=type(error).__name__)

    def render(self) -> bytes:
        """The values of all processes in Prometheus' text format."""
        # A new registry for each scrape, as prometheus_client's documentation has it: the collector reads the files.
        registry = CollectorRegistry()
        try:
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        except ValueError:  # no folder is set
            registry = self._registry
        return generate_latest(registry)
