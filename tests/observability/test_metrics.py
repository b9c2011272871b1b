"""What Prometheus reads of a process that shares with no other."""

import time

from prometheus_client.parser import text_string_to_metric_families

from gateway.health.circuit_breaker import TargetStateChange
from gateway.observability import metrics


def read():
    families = text_string_to_metric_families(metrics.render_metrics().decode())
    return {
        (one.name, one.labels["target"], one.labels["host"]): one.value for family in families for one in family.samples
    }


def test_a_breaker_opens_and_closes_again():
    upstream, labels = ("openai", "https://me:secret@a.example:8443/v1", "m1"), ("openai/m1", "a.example:8443")
    metrics.record_state_change(TargetStateChange(upstream, "open", 15.0))
    found = read()
    assert found["pointsman_breaker_open", *labels] == 1
    assert 14 < found["pointsman_target_cooldown_until_seconds", *labels] - time.time() <= 15
    metrics.record_state_change(TargetStateChange(upstream, "closed", 0.0))
    found = read()
    assert found["pointsman_breaker_open", *labels] == 0
    assert found["pointsman_target_cooldown_until_seconds", *labels] == 0


def test_a_target_that_cools_down_has_no_open_breaker():
    metrics.record_state_change(TargetStateChange(("groq", "https://b.example", "m2"), "cooling", 20.0))
    found = read()
    assert ("pointsman_breaker_open", "groq/m2", "b.example") not in found
    assert found["pointsman_target_cooldown_until_seconds", "groq/m2", "b.example"] > time.time()


def test_names_that_clients_make_up_are_bounded():
    for n in range(2 * metrics.MOST_TOLD):
        metrics.record_state_change(
            TargetStateChange(("openai", "https://c.example", f"made-up-{n}-{'x' * 1000}"), "cooling", 1.0)
        )
    found = read()
    assert len(found) < 3 * metrics.MOST_TOLD
    assert max(len(target) for _, target, _ in found) <= metrics.MODEL_SHOWN
