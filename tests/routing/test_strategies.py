"""The order of targets."""

from collections import Counter

import pytest

from gateway.catalog.model_info import UNKNOWN, ModelInfo
from gateway.catalog.routing_policy import (
    LEAST_BUSY,
    LOWEST_COST,
    LOWEST_LATENCY,
    PRIORITY,
    ROUND_ROBIN,
    STICKY,
    WEIGHTED,
)
from gateway.catalog.targets import Provider, Target
from gateway.catalog.vendors import VENDORS
from gateway.health.target_health import HealthRegistry
from gateway.routing.strategies import OrderRequest, TargetOrder

OPENAI = Provider(VENDORS["openai"], "https://openai.example/v1", "key")


def target(model, cost=None, **options):
    info = UNKNOWN if cost is None else ModelInfo(input_cost=cost, output_cost=cost)
    return Target(OPENAI, model, model_info=info, **options)


A, B, C = (target(name) for name in "abc")
ALL = (A, B, C)
REQUEST = OrderRequest("m")


@pytest.fixture
def health_registry():
    return HealthRegistry()


@pytest.fixture
def order(health_registry):
    return TargetOrder(health_registry)


def firsts(order, strategy, targets=ALL, times=1000, session=""):
    return Counter(order.order(targets, strategy, OrderRequest("m", session))[0].model for _ in range(times))


def test_without_strategy_and_weights_the_configured_order_is_used(order):
    assert firsts(order, None) == firsts(order, PRIORITY) == {"a": 1000}


def test_weights_are_shares_of_the_calls(order):
    heavy, light, never = target("heavy", weight=9), target("light", weight=1), target("never", weight=0)
    for strategy in (None, WEIGHTED):
        first = firsts(order, strategy, (never, light, heavy), times=2000)
        assert 1600 < first["heavy"] < 1980
        assert first["light"] > 20
        assert first["never"] == 0


def test_small_weights_are_shares_of_the_calls(order):
    first = firsts(order, WEIGHTED, (target("small", weight=1e-5), target("large", weight=3e-5)), times=2000)
    assert 350 < first["small"] < 650


def test_weighted_without_weights_is_uniform(order):
    assert min(firsts(order, WEIGHTED, times=3000).values()) > 800


def test_round_robin_takes_turns_for_each_model_name(order):
    other = (A, target("y"))
    turns = [
        (
            order.order(ALL, ROUND_ROBIN, OrderRequest("one"))[0].model,
            order.order(other, ROUND_ROBIN, OrderRequest("other"))[0].model,
        )
        for _ in range(6)
    ]
    assert turns == [("a", "a"), ("b", "y"), ("c", "a"), ("a", "y"), ("b", "a"), ("c", "y")]


def test_a_preview_takes_no_turn(order):
    for _ in range(5):
        (preview,) = {order.preview(ALL, ROUND_ROBIN, REQUEST) for _ in range(3)}
        assert order.order(ALL, ROUND_ROBIN, REQUEST) == preview


def test_the_least_busy_target_comes_first(order, health_registry):
    for busy, times in ((A, 3), (C, 1)):
        for _ in range(times):
            health_registry.of(busy).acquire()
    assert order.order(ALL, LEAST_BUSY, REQUEST) == (B, C, A)


def test_the_fastest_target_comes_first_after_unmeasured_ones(order, health_registry):
    health_registry.of(A).latency(streams=False).record(0.5)
    health_registry.of(B).latency(streams=False).record(0.2)
    assert order.order(ALL, LOWEST_LATENCY, REQUEST) == (C, B, A)


def test_the_cheapest_target_comes_first_and_one_without_a_price_last(order):
    expensive, cheap = target("dear", 2e-6), target("cheap", 1e-6)
    assert order.order((A, expensive, cheap), LOWEST_COST, REQUEST) == (cheap, expensive, A)


def test_a_session_keeps_its_target_when_another_target_is_removed(order):
    sessions = [f"user-{n}" for n in range(300)]
    before = {session: order.order(ALL, STICKY, OrderRequest("m", session))[0] for session in sessions}
    assert {session: order.order(ALL, STICKY, OrderRequest("m", session))[0] for session in sessions} == before
    assert min(Counter(target.model for target in before.values()).values()) > 50
    after = {session: order.order((A, C), STICKY, OrderRequest("m", session))[0] for session in sessions}
    assert all(after[session] is first for session, first in before.items() if first is not B)


def test_sticky_without_a_session_keeps_the_configured_order(order):
    assert order.order(ALL, STICKY, REQUEST) == ALL
