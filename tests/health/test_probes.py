"""Health probes: one asks for all, and what it finds closes breakers."""

import subprocess
import sys
import time

from gateway.catalog.targets import Target
from gateway.health.probes import Probes
from gateway.health.target_health import HealthRegistry
from tests.support.health import GONE, HERE, open_breaker, probes


def test_what_one_process_finds_closes_the_breakers_of_another(tmp_path):
    health_registry = HealthRegistry()
    here, gone = health_registry.of(Target(HERE, "m")), health_registry.of(Target(GONE, "m"))
    open_breaker(here)
    open_breaker(gone)
    probes(tmp_path, HealthRegistry()).probe_all()
    probes(tmp_path, health_registry).apply(time.monotonic())
    assert (here.state, gone.state) == ("closed", "open")


def test_traffic_that_failed_later_outranks_a_probe(tmp_path):
    health_registry = HealthRegistry()
    probes(tmp_path, health_registry).probe_all()
    here = health_registry.of(Target(HERE, "m"))
    open_breaker(here)
    probes(tmp_path, health_registry).apply(time.monotonic())
    assert here.state == "open"


def test_nothing_found_or_nonsense_found_changes_nothing(tmp_path):
    health_registry = HealthRegistry()
    here = health_registry.of(Target(HERE, "m"))
    open_breaker(here)
    probes(tmp_path, health_registry).apply(time.monotonic())
    nonsense = probes(tmp_path, health_registry)
    nonsense.results_file.write_text("{")
    nonsense.apply(time.monotonic())
    assert here.state == "open"


def test_one_process_is_the_prober_until_it_ends(tmp_path):
    ours = probes(tmp_path, HealthRegistry())
    assert ours.is_leader()
    assert ours.is_leader()
    script = (
        "import sys, pathlib; from tests.support.health import probes; from gateway.health.target_health import HealthRegistry;"
        "sys.exit(probes(pathlib.Path(sys.argv[1]), HealthRegistry()).is_leader())"
    )
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False).returncode == 0
    ours.resign()
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False).returncode == 1


def test_gateways_with_other_providers_have_a_prober_of_their_own(tmp_path):
    ours = probes(tmp_path, HealthRegistry())
    theirs = Probes(tmp_path, 60, [HERE], HealthRegistry(), bool)
    assert ours.is_leader()
    assert theirs.is_leader()
    ours.resign()
    theirs.resign()


def test_what_fails_while_it_is_asked_is_news(tmp_path):
    health_registry = HealthRegistry()
    here = health_registry.of(Target(HERE, "m"))

    def is_reachable(provider):
        open_breaker(here)
        return True

    asked = Probes(tmp_path, 60, [HERE], health_registry, is_reachable)
    asked.probe_all()
    asked.apply(time.monotonic())
    assert here.state == "open"
