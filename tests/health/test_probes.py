"""Health probes: one process probes for all, and the results close breakers."""

import subprocess
import sys
import time

from gateway.catalog.targets import Target
from gateway.health.probes import Probes
from gateway.health.target_health import HealthRegistry
from tests.support.health import REACHABLE, UNREACHABLE, open_breaker, probes
from tests.support.servers import wait_until
from tests.support.threads import StartedThreads


def test_a_probe_by_one_process_closes_the_breakers_of_another(tmp_path):
    health_registry = HealthRegistry()
    reachable, unreachable = (health_registry.of(Target(provider, "m")) for provider in (REACHABLE, UNREACHABLE))
    open_breaker(reachable)
    open_breaker(unreachable)
    probes(tmp_path, HealthRegistry()).probe_all()
    probes(tmp_path, health_registry).apply(time.monotonic())
    assert (reachable.state, unreachable.state) == ("closed", "open")


def test_a_call_that_fails_after_a_probe_keeps_the_breaker_open(tmp_path):
    health_registry = HealthRegistry()
    probes(tmp_path, health_registry).probe_all()
    health = health_registry.of(Target(REACHABLE, "m"))
    open_breaker(health)
    probes(tmp_path, health_registry).apply(time.monotonic())
    assert health.state == "open"


def test_a_call_that_fails_during_a_probe_keeps_the_breaker_open(tmp_path):
    health_registry = HealthRegistry()
    health = health_registry.of(Target(REACHABLE, "m"))

    def is_reachable(provider):
        open_breaker(health)
        return True

    prober = Probes(tmp_path, 60, [REACHABLE], health_registry, is_reachable)
    prober.probe_all()
    prober.apply(time.monotonic())
    assert health.state == "open"


def test_a_missing_or_invalid_results_file_changes_nothing(tmp_path):
    health_registry = HealthRegistry()
    health = health_registry.of(Target(REACHABLE, "m"))
    open_breaker(health)
    prober = probes(tmp_path, health_registry)
    prober.apply(time.monotonic())
    prober.results_file.write_text("{")
    prober.apply(time.monotonic())
    assert health.state == "open"


def test_one_process_is_the_prober_until_it_resigns(tmp_path):
    prober = probes(tmp_path, HealthRegistry())
    assert prober.is_leader()
    assert prober.is_leader()
    script = (
        "import sys, pathlib; from tests.support.health import probes; from gateway.health.target_health import HealthRegistry;"
        "sys.exit(probes(pathlib.Path(sys.argv[1]), HealthRegistry()).is_leader())"
    )
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False).returncode == 0
    prober.resign()
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False).returncode == 1


def test_gateways_with_different_providers_each_have_a_prober(tmp_path):
    first = probes(tmp_path, HealthRegistry())
    second = Probes(tmp_path, 60, [REACHABLE], HealthRegistry(), bool)
    assert first.is_leader()
    assert second.is_leader()
    first.resign()
    second.resign()


def test_the_thread_probes_until_it_is_stopped(tmp_path):
    threads, prober = StartedThreads(), probes(tmp_path, HealthRegistry(), interval=0.01)
    prober.start()
    assert wait_until(prober.results_file.exists, 5, 0.01)
    prober.stop()
    assert wait_until(lambda: threads.names() == [], 5, 0.01)


def test_no_thread_starts_without_an_interval(tmp_path):
    threads = StartedThreads()
    probes(tmp_path, HealthRegistry(), interval=0).start()
    assert threads.names() == []
