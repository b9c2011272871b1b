"""Health probes: one process per machine checks by a free request whether the providers are reachable."""

import fcntl
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

import structlog

from gateway.catalog.targets import Provider
from gateway.health.target_health import HealthRegistry


class Probes:
    """
    Probes every provider each `interval` seconds, and closes the breakers of those that are reachable.

    The process that holds the lock file in `folder` probes for all processes, and writes to a file beside it when each
    provider was last healthy. All of them read that file: `time.monotonic()`, CLOCK_MONOTONIC on Linux, is the same in every
    process of a machine. Calls outrank probes: a failure after that time keeps the breaker open.
    """

    def __init__(
        self,
        folder: Path,
        interval: float,
        providers: Iterable[Provider],
        health_registry: HealthRegistry,
        is_reachable: Callable[[Provider], bool],
    ) -> None:
        self._folder, self._interval, self._is_reachable = folder, interval, is_reachable
        self._health_registry = health_registry
        # By "name base_url": an upstream that is configured under several keys is probed once.
        self._providers = {f"{provider.name} {provider.base_url}": provider for provider in providers}
        # Gateways with other providers may use the same folder: each has files of its own.
        digest = hashlib.blake2b("\n".join(sorted(self._providers)).encode(), digest_size=8).hexdigest()
        self.lock_file, self.results_file = folder / f"prober-{digest}.lock", folder / f"probes-{digest}.json"
        self._lock: IO[str] | None = None
        self._stop = threading.Event()

    def start(self) -> None:
        """Start the thread, unless there is nothing to probe."""
        if self._interval and self._providers:
            threading.Thread(target=self._run, name="health-probes", daemon=True).start()

    def stop(self) -> None:
        """End the thread, and let another process probe."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                if self.is_leader():
                    self.probe_all()
                self.apply(time.monotonic())
            except OSError as error:
                structlog.get_logger().warning("probes", error=type(error).__name__, folder=str(self._folder))
        self.resign()

    def is_leader(self) -> bool:
        """Whether this process holds the lock, which it takes if it is free. The kernel releases it when the process ends."""
        if self._lock is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = self.lock_file.open("w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                return False
            self._lock = lock
        return True

    def resign(self) -> None:
        """Release the lock."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def probe_all(self) -> None:
        """Probe every provider, and write to the file which of them are healthy."""
        healthy = {}
        for name, provider in self._providers.items():
            started = time.monotonic()  # not the end: a call that fails during the probe is newer than its result
            if self._is_reachable(provider):
                healthy[name] = started
        # Written to another file and renamed, which is atomic: no process reads half of it.
        temporary = self.results_file.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(healthy))
        temporary.replace(self.results_file)

    def apply(self, now: float) -> None:
        """Close the breakers of the providers that were healthy after their last failure."""
        try:
            healthy = json.loads(self.results_file.read_text())
        except (FileNotFoundError, ValueError):  # not written yet, or damaged
            return
        for (provider, base_url, model, _), health in self._health_registry.items():
            healthy_at = healthy.get(f"{provider} {base_url}")
            # A time in the future was written before the machine was restarted, when the clock began at 0 again.
            if isinstance(healthy_at, float) and healthy_at <= now and health.breaker.close_if_recovered(healthy_at):
                structlog.get_logger().info("breaker_closed", by="probe", target=f"{provider}/{model[:200]}")
