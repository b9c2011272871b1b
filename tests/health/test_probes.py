"""Health probes: one process probes for all, and the results close breakers."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.catalog.targets import Target
from gateway.health.probes import Probes
from gateway.health.target_health import HealthRegistry
from gateway.observability import request_log
from tests.support.health import REACHABLE, UNREACHABLE, open_breaker, probes
from tests.support.servers import wait_until
from tests.support.threads import StartedThreads


def test_a_probe_by_one_process_closes_the_breakers_of_another(tmp_path):
    health_registry = HealthRegistry()
    reachable, unreachable = (health_registry.of(Target(provider, "m")) for provider in (REACHABLE, UNREACHABLE))
    open_breaker(reachable)
    open_breaker(unreachable)
    leader = probes(tmp_path, HealthRegistry())
    leader.run_once()
    probes(tmp_path, health_registry).run_once()
    leader.resign()
    assert (reachable.state, unreachable.state) == ("closed", "open")


def test_a_call_that_fails_after_a_probe_keeps_the_breaker_open(tmp_path):
    health_registry = HealthRegistry()
    prober = probes(tmp_path, health_registry)
    healthy = prober.probe_all()
    health = health_registry.of(Target(REACHABLE, "m"))
    open_breaker(health)
    prober.apply(healthy, time.monotonic())
    assert health.state == "open"


def test_a_call_that_fails_during_a_probe_keeps_the_breaker_open(tmp_path):
    health_registry = HealthRegistry()
    health = health_registry.of(Target(REACHABLE, "m"))

    def is_reachable(provider):
        open_breaker(health)
        return True

    prober = Probes(tmp_path, 60, [REACHABLE], health_registry, is_reachable)
    prober.run_once()
    assert health.state == "open"
    prober.resign()


NAME = f"{REACHABLE.name} {REACHABLE.base_url}"


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"{",
        b"[]",
        b"null",
        b"5",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        json.dumps({NAME: "soon"}).encode(),
        json.dumps({NAME: [1.0]}).encode(),
        json.dumps({NAME: True}).encode(),
        json.dumps({NAME: 1e300}).encode(),
        json.dumps({NAME: float("nan")}).encode(),
    ],
)
def test_a_missing_or_damaged_results_file_changes_nothing(tmp_path, content):
    leader, health_registry = probes(tmp_path, HealthRegistry()), HealthRegistry()
    assert leader.is_leader()
    health = health_registry.of(Target(REACHABLE, "m"))
    open_breaker(health)
    prober = probes(tmp_path, health_registry)
    if content is not None:
        prober.results_file.write_bytes(content)
    prober.run_once()
    assert health.state == "open"
    leader.resign()


def unusable_folders(tmp_path):
    """Folders in which no lock file or no results can be written, by what is wrong with them."""
    file = tmp_path / "file"
    file.write_text("")
    digest_of = probes(tmp_path, HealthRegistry())
    for name in ("lock link", "results folder"):
        (tmp_path / name).mkdir()
    (tmp_path / "lock link" / digest_of.lock_file.name).symlink_to(file)
    (tmp_path / "results folder" / digest_of.results_file.name).mkdir()
    return {
        "a file": file,
        "below a file": file / "data",
        "not to be made": Path("/proc/data"),
        "lock link": tmp_path / "lock link",
        "results folder": tmp_path / "results folder",
    }


@pytest.mark.parametrize("problem", ["a file", "below a file", "not to be made", "lock link", "results folder"])
def test_each_process_probes_for_itself_where_the_folder_is_unusable_and_says_so_once(tmp_path, problem, capfd):
    request_log.configure("info", "json")
    folder = unusable_folders(tmp_path)[problem]
    registries = HealthRegistry(), HealthRegistry()
    probers = [probes(folder, health_registry) for health_registry in registries]
    for _ in range(3):
        healths = [health_registry.of(Target(REACHABLE, "m")) for health_registry in registries]
        for health, prober in zip(healths, probers, strict=True):
            open_breaker(health)
            prober.run_once()
        assert [health.state for health in healths] == ["closed", "closed"]
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    warnings = [line for line in lines if line["event"] == "probes"]
    assert len(warnings) == 2
    assert all("each process probes" in line["message"] and line["reason"] for line in warnings)


def test_a_full_disk_is_as_an_unusable_folder_and_leaves_no_half_file(tmp_path):
    """Linux writes no more bytes than RLIMIT_FSIZE allows, as where the disk is full."""
    script = (
        "import resource, sys, pathlib; from tests.support.health import *; from gateway.catalog.targets import Target\n"
        "from gateway.health.target_health import HealthRegistry\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
        "registry = HealthRegistry(); health = registry.of(Target(REACHABLE, 'm')); open_breaker(health)\n"
        "prober = probes(pathlib.Path(sys.argv[1]), registry); prober.run_once()\n"
        "sys.exit(health.state)"
    )
    result = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False, capture_output=True, text=True)
    assert result.stderr.strip() == "closed"
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]
    other = probes(tmp_path, HealthRegistry())
    assert other.is_leader()
    other.resign()


def test_a_link_instead_of_the_lock_file_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    prober = probes(tmp_path, HealthRegistry())
    prober.lock_file.symlink_to(victim)
    prober.results_file.symlink_to(victim)
    prober.run_once()
    assert victim.read_text() == "precious"
    assert prober.lock_file.is_symlink()


def test_the_folder_is_used_again_when_it_can_be(tmp_path, capfd):
    request_log.configure("info", "json")
    file = tmp_path / "data"
    file.write_text("")
    prober = probes(file, HealthRegistry())
    prober.run_once()
    file.unlink()
    prober.run_once()
    assert prober.results_file.exists()
    assert "can be used again" in capfd.readouterr().out.splitlines()[-1]
    prober.resign()


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
