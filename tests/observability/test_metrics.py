"""Prometheus metrics, of one process and of several that share a folder."""

import os
import struct
import subprocess
import sys
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.health.circuit_breaker import TargetStateChange
from gateway.observability.metrics import MAX_TARGET_LENGTH, MAX_TARGETS, Metrics
from gateway.observability.metrics_file import INITIAL_SIZE, MAX_SIZE

BREAKER_OPEN, COOLDOWN_UNTIL = "pointsman_breaker_open", "pointsman_target_cooldown_until_seconds"


def values(exposition):
    """The metrics of a text by (name, target, host)."""
    families = text_string_to_metric_families(exposition.decode())
    samples = [sample for family in families for sample in family.samples]
    return {(sample.name, sample.labels["target"], sample.labels["host"]): sample.value for sample in samples}


def test_a_breaker_is_reported_open_and_then_closed():
    metrics = Metrics()
    upstream, labels = ("openai", "https://me:secret@a.example:8443/v1", "m1"), ("openai/m1", "a.example:8443")
    metrics.record_state_change(TargetStateChange(upstream, "open", 15.0))
    opened = values(metrics.render())
    assert opened[BREAKER_OPEN, *labels] == 1
    assert 14 < opened[COOLDOWN_UNTIL, *labels] - time.time() <= 15
    metrics.record_state_change(TargetStateChange(upstream, "closed", 0.0))
    closed = values(metrics.render())
    assert closed[BREAKER_OPEN, *labels] == 0
    assert closed[COOLDOWN_UNTIL, *labels] == 0


def test_a_cooling_target_is_reported_without_an_open_breaker():
    metrics = Metrics()
    metrics.record_state_change(TargetStateChange(("groq", "https://b.example", "m2"), "cooling", 20.0))
    cooling = values(metrics.render())
    assert (BREAKER_OPEN, "groq/m2", "b.example") not in cooling
    assert cooling[COOLDOWN_UNTIL, "groq/m2", "b.example"] > time.time()


def test_the_number_and_length_of_target_names_are_limited():
    metrics = Metrics()
    for n in range(2 * MAX_TARGETS):
        upstream = ("openai", "https://c.example", f"made-up-{n}-{'x' * 1000}")
        metrics.record_state_change(TargetStateChange(upstream, "cooling", 1.0))
    reported = values(metrics.render())
    assert len(reported) == MAX_TARGETS
    assert max(len(target) for _, target, _ in reported) <= MAX_TARGET_LENGTH


def test_the_metrics_of_one_application_are_not_in_another():
    changed, unchanged = Metrics(), Metrics()
    changed.record_state_change(TargetStateChange(("groq", "https://b.example", "m2"), "open", 20.0))
    assert values(changed.render())
    assert not values(unchanged.render())


def in_process(folder, statement):
    """Run a statement on the `metrics` of a process that shares the folder; what it prints."""
    code = (
        "import resource, sys\n"
        "from gateway.health.circuit_breaker import TargetStateChange\n"
        "from gateway.observability.metrics import Metrics\n"
        f"metrics = Metrics(sys.argv[1])\n{statement}"
    )
    environment = {**os.environ, "PYTHONUTF8": "1", "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    return subprocess.run(
        [sys.executable, "-c", code, str(folder)], env=environment, check=True, capture_output=True
    ).stdout


def test_a_process_reports_the_targets_of_all_processes_that_share_its_folder(tmp_path):
    for model, state in (("m1", "open"), ("m2", "closed")):
        change = f"TargetStateChange(('groq', 'https://b.example', '{model}'), '{state}', 20.0)"
        in_process(tmp_path, f"metrics.record_state_change({change})")
    shared = values(in_process(tmp_path, "print(metrics.render().decode())"))
    assert shared[BREAKER_OPEN, "groq/m1", "b.example"] == 1
    assert shared[BREAKER_OPEN, "groq/m2", "b.example"] == 0


# What a process prints after its log.
MARK = b"# metrics\n"
PRINT_METRICS = f"exposition = metrics.render().decode(); print({MARK.decode().strip()!r}); print(exposition)"
CHANGE = "metrics.record_state_change(TargetStateChange(('groq', 'https://b.example', 'm1'), 'open', 20.0))\n"
CHANGES = (
    "for n in range(1000):\n"
    "    metrics.record_state_change(TargetStateChange(('groq', 'https://b.example', f'm{n}' + NAME), 'open', 20.0))\n"
)


@pytest.mark.parametrize("name", ["", "x" * 300, "\N{GRINNING FACE}" * 300], ids=["short", "long", "astral"])
def test_room_for_every_value_is_reserved_before_it_is_written(tmp_path, name):
    """A hole of the file, where the process would be killed if the disk were full, is nowhere in it."""
    reported = values(in_process(tmp_path, f"NAME = {name!r}\n{CHANGES}{PRINT_METRICS}").partition(MARK)[2])
    (file,) = tmp_path.glob("*")
    data = file.read_bytes()
    (used,) = struct.unpack_from("i", data)
    with file.open("rb") as opened:
        assert os.lseek(opened.fileno(), 0, os.SEEK_HOLE) == len(data)
    # prometheus_client has not made it larger, since it had enough: half of the reserved bytes at least are used.
    assert len(data) / 4 < used <= len(data) <= MAX_SIZE
    assert len(reported) == 2 * MAX_TARGETS or len(data) == MAX_SIZE


@pytest.mark.parametrize("room", [0, 1000, INITIAL_SIZE, 100_000])
def test_a_process_without_room_for_more_targets_says_so_once_and_goes_on(tmp_path, room):
    """Linux writes no more bytes than RLIMIT_FSIZE allows, as where the disk is full."""
    limit = f"resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))\nNAME = ''\n"
    log, _, exposition = in_process(tmp_path, f"{limit}{CHANGES}{PRINT_METRICS}").partition(MARK)
    assert log.count(b"No room in the folder of the metrics") == 1
    reported = values(exposition)
    assert bool(reported) == (room >= INITIAL_SIZE)
    assert len(reported) < 2 * MAX_TARGETS
    assert [path.suffix for path in tmp_path.iterdir()] == [".db"] * (room >= INITIAL_SIZE)


def test_a_file_that_an_earlier_process_left_is_replaced_and_a_link_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    statement = (
        "import os; from pathlib import Path\n"
        "for end in ('db', 'new'):\n"
        "    Path(sys.argv[1], f'gauge_livemax_{os.getpid()}.{end}').symlink_to(Path(sys.argv[1], 'victim'))\n"
        f"{CHANGE}{PRINT_METRICS}"
    )
    assert values(in_process(tmp_path, statement).partition(MARK)[2])[BREAKER_OPEN, "groq/m1", "b.example"] == 1
    assert victim.read_text() == "precious"


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"\xff" * 100, struct.pack("i", 60) + b"\x01" * 100],
    ids=["empty", "short", "huge", "garbage"],
)
def test_a_process_reports_its_own_values_where_a_file_of_others_is_unreadable(tmp_path, content):
    (tmp_path / "gauge_livemax_1.db").write_bytes(content)
    log, _, exposition = in_process(tmp_path, f"{CHANGE}{PRINT_METRICS}").partition(MARK)
    assert b"cannot be read" in log or not log
    assert values(exposition)[BREAKER_OPEN, "groq/m1", "b.example"] == 1
