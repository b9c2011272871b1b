"""Health probes: one process of a machine asks the providers, for free, whether they are there again."""

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
    Asks every provider each `interval` seconds, and closes the breakers of those that answer.

    The process that gets the lock in `folder` asks for all, and writes what it found beside it, as the times
    (`time.monotonic()`, which all processes of a machine share) at which each provider was last well. Traffic outranks
    it: a breaker that opened, or a probe call that failed, after that time stays as it is.
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
        self._providers = list({(one.name, one.base_url): one for one in providers}.values())
        asked = "\n".join(sorted(f"{one.name} {one.base_url}" for one in self._providers))
        digest = hashlib.blake2b(asked.encode(), digest_size=8).hexdigest()
        self.lock_file, self.results_file = folder / f"prober-{digest}.lock", folder / f"probes-{digest}.json"
        """Of all gateways that use the folder, those with the same providers share a prober."""
        self._health_registry = health_registry
        self._lock: IO[str] | None = None
        self._beginning, self._begun = threading.Lock(), False

    def start(self) -> None:
        """Start, in the process that serves, unless that is done, or there is nothing to do."""
        if self._begun:
            return
        with self._beginning:
            if not self._begun:
                self._begun = True
                if self._interval and self._providers:
                    threading.Thread(target=self._run, name="health-probes", daemon=True).start()

    def _run(self) -> None:
        tick = threading.Event()
        while not tick.wait(self._interval):
            try:
                if self.is_leader():
                    self.probe_all()
                self.apply(time.monotonic())
            except OSError as error:
                structlog.get_logger().warning("probes", error=type(error).__name__, folder=str(self._folder))

    def is_leader(self) -> bool:
        """Whether this process is the one that asks; it is until it ends."""
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
        """Let another process be it."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def probe_all(self) -> None:
        """Ask every provider, and write down which were well."""
        found = {}
        for one in self._providers:
            began = time.monotonic()  # what fails while it is asked is news
            if self._is_reachable(one):
                found[f"{one.name} {one.base_url}"] = began
        written = self.results_file.with_suffix(f".{os.getpid()}")
        written.write_text(json.dumps(found))
        written.replace(self.results_file)

    def apply(self, now: float) -> None:
        """Close the breakers of the providers that were well after they had failed."""
        try:
            found = json.loads(self.results_file.read_text())
        except (FileNotFoundError, ValueError):
            return
        for (provider, base_url, model, _), health in self._health_registry.items():
            healthy_at = found.get(f"{provider} {base_url}")
            if isinstance(healthy_at, float) and healthy_at <= now and health.breaker.close_if_recovered(healthy_at):
                structlog.get_logger().info("breaker_closed", by="probe", target=f"{provider}/{model[:200]}")
