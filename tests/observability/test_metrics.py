"""Prometheus metrics, of one process and of several that share a folder."""

import os
import subprocess
import sys
import time

from prometheus_client.parser import text_string_to_metric_families

from gateway.health.circuit_breaker import TargetStateChange
from gateway.observability.metrics import MAX_TARGET_LENGTH, MAX_TARGETS, Metrics

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
        "from gateway.health.circuit_breaker import TargetStateChange\n"
        "from gateway.observability.metrics import Metrics\n"
        f"metrics = Metrics()\n{statement}"
    )
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    return subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True).stdout


def test_a_process_reports_the_targets_of_all_processes_that_share_its_folder(tmp_path):
    for model, state in (("m1", "open"), ("m2", "closed")):
        change = f"TargetStateChange(('groq', 'https://b.example', '{model}'), '{state}', 20.0)"
        in_process(tmp_path, f"metrics.record_state_change({change})")
    shared = values(in_process(tmp_path, "print(metrics.render().decode())"))
    assert shared[BREAKER_OPEN, "groq/m1", "b.example"] == 1
    assert shared[BREAKER_OPEN, "groq/m2", "b.example"] == 0
