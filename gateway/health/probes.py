"""Health probes: one process per machine checks by a free request whether the providers are reachable."""

import contextlib
import fcntl
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

from gateway.catalog.targets import Provider
from gateway.health.target_health import HealthRegistry

# Characters of the file of results that are read: a provider takes about a hundred.
MAX_RESULTS = 1 << 20


class Probes:
    """
    Probes every provider each `interval` seconds, and closes the breakers of those that are reachable.

    The process that holds the lock file in `folder` probes for all processes, and writes to a file beside it when each
    provider was last healthy. All of them read that file: `time.monotonic()`, CLOCK_MONOTONIC on Linux, is the same in every
    process of a machine. Calls outrank probes: a failure after that time keeps the breaker open.

    While `folder` cannot be used (read-only, full, a lock file that is a link), each process probes for itself.
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
        self._lock: int | None = None  # a file descriptor
        self._folder_error: str | None = None
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
            self.run_once()
        self.resign()

    def run_once(self) -> None:
        """Probe, or read what another process found, and close the breakers of the providers that are healthy."""
        healthy: dict[str, float] | None = None
        error = None
        try:
            if self.is_leader():
                healthy = self.probe_all()
                self.write_results(healthy)
            else:
                healthy = self.read_results()
        except OSError as caught:
            error = caught
            # Without its results the other processes need the lock, to come here too.
            self.resign()
        self._report(error)
        self.apply(self.probe_all() if healthy is None else healthy, time.monotonic())

    def is_leader(self) -> bool:
        """
        Whether this process holds the lock, which it takes if it is free. The kernel releases it when the process ends.

        Raises OSError where the lock file cannot be opened.
        """
        if self._lock is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            # A link that somebody else put there is not followed: open(2) fails with ELOOP.
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            lock = os.open(self.lock_file, flags, 0o644)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                return False
            except OSError:
                os.close(lock)
                raise
            self._lock = lock
        return True

    def resign(self) -> None:
        """Release the lock."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def probe_all(self) -> dict[str, float]:
        """Probe every provider; when each of the healthy ones was so."""
        healthy = {}
        for name, provider in self._providers.items():
            started = time.monotonic()  # not the end: a call that fails during the probe is newer than its result
            if self._is_reachable(provider):
                healthy[name] = started
        return healthy

    def write_results(self, healthy: dict[str, float]) -> None:
        # Written to another file and renamed, which is atomic: no process reads half of it.
        temporary = self.results_file.with_suffix(f".{os.getpid()}")
        temporary.unlink(missing_ok=True)
        try:
            with temporary.open("x") as file:  # O_EXCL follows no link
                file.write(json.dumps(healthy))
            temporary.replace(self.results_file)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise

    def read_results(self) -> dict[str, float]:
        """What the other process wrote; nothing where it has not written yet, or the file is damaged."""
        try:
            descriptor = os.open(self.results_file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return {}
        with os.fdopen(descriptor) as file:
            try:
                results = json.loads(file.read(MAX_RESULTS))
            except (ValueError, RecursionError):
                return {}
        return results if isinstance(results, dict) else {}

    def apply(self, healthy: dict[str, float], now: float) -> None:
        """Close the breakers of the providers that were healthy after their last failure."""
        for (provider, base_url, model, _), health in self._health_registry.items():
            healthy_at = healthy.get(f"{provider} {base_url}")
            # A time in the future was written before the machine was restarted, when the clock began at 0 again.
            if isinstance(healthy_at, float) and healthy_at <= now and health.breaker.close_if_recovered(healthy_at):
                structlog.get_logger().info("breaker_closed", by="probe", target=f"{provider}/{model[:200]}")

    def _report(self, error: OSError | None) -> None:
        """Log that the folder cannot be used, or can be used again; each once."""
        reason = (error.strerror or type(error).__name__) if error else None
        if reason != self._folder_error:
            self._folder_error = reason
            structlog.get_logger().warning(
                "probes",
                message="GATEWAY_DATA cannot be used: each process probes the providers itself"
                if reason
                else "GATEWAY_DATA can be used again: one process probes the providers for all",
                folder=str(self._folder),
                reason=reason,
            )
