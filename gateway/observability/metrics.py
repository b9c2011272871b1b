"""
Prometheus metrics: the state of the targets, in all processes of one gateway.

Processes share values in the files of a folder (prometheus_client's multiprocess mode), which gunicorn.conf.py makes and
names in PROMETHEUS_MULTIPROC_DIR. Without it, each process reports its own values.
https://prometheus.github.io/client_python/multiprocess/
"""

import json
import struct
import threading
import time
from urllib.parse import urlsplit

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from gateway.health.circuit_breaker import CLOSED, OPEN, TargetStateChange
from gateway.observability.metrics_file import MetricsFile

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]

LABELS = ("target", "host")
# Targets with values; later ones get none. Clients may request any model name of a provider, and values stay in memory.
MAX_TARGETS = 1000
# Characters of the label `target`.
MAX_TARGET_LENGTH = 200
# Bytes of a value in the file beside its labels: names and help text of the gauge as JSON, the value, its time, and padding.
VALUE_OVERHEAD = 320
# What prometheus_client raises for a file that it did not write, or that is incomplete.
UNREADABLE = (OSError, ValueError, TypeError, RuntimeError, IndexError, KeyError, struct.error)


class Metrics:
    """The gauges of one application. Processes share them in `folder`; a target that it has no room for is left out."""

    def __init__(self, folder: str | None = None) -> None:
        self._file, self._lock = MetricsFile(folder) if folder is not None else None, threading.Lock()
        # Whether there was no room for a target: no more are added then.
        self._full = False
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
        # The configuration refuses a base URL with credentials, `https://user:password@host`; here they would be published.
        host = urlsplit(base_url).netloc.rpartition("@")[2]
        labels = f"{provider}/{model}"[:MAX_TARGET_LENGTH], host
        if not self._has_room(labels):
            return
        try:
            self._cooldown_until.labels(*labels).set(time.time() + seconds if seconds else 0.0)
            if state in (OPEN, CLOSED):
                self._breaker_open.labels(*labels).set(state == OPEN)
        except OSError as error:  # prometheus_client opens the file at the first value
            structlog.get_logger().warning("metrics", error=type(error).__name__)

    def _has_room(self, labels: tuple[str, str]) -> bool:
        """Whether the target has values, or may get them."""
        if labels in self._targets:
            return True
        with self._lock:
            if self._full or len(self._targets) >= MAX_TARGETS:
                return False
            try:
                if self._file is not None:
                    self._file.reserve(2 * (VALUE_OVERHEAD + len(json.dumps(labels))))
            except OSError as error:
                self._full = True
                structlog.get_logger().warning(
                    "metrics",
                    message="No room in the folder of the metrics: this process reports no more targets",
                    error=type(error).__name__,
                    reason=error.strerror,
                )
                return False
            self._targets.add(labels)
        return True

    def render(self) -> bytes:
        """The values of all processes in Prometheus' text format; of this process alone where the others cannot be read."""
        # A new registry for each scrape, as prometheus_client's documentation has it: the collector reads the files.
        registry = CollectorRegistry()
        try:
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        except ValueError:  # no folder is set
            registry = self._registry
        try:
            return generate_latest(registry)
        except UNREADABLE as error:
            structlog.get_logger().warning(
                "metrics", message="The metrics of other processes cannot be read", error=type(error).__name__
            )
            return generate_latest(self._registry)
