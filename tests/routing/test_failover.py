"""Which target is asked next."""

import time

import pytest

from gateway.catalog.vendors import VENDORS, Provider, Target
from gateway.errors import (
    ClientDisconnected,
    NoHealthyUpstream,
    Overloaded,
    Untranslatable,
    UpstreamCredentials,
    UpstreamFailed,
    UpstreamLimited,
    UpstreamRejected,
    upstream_error,
)
from gateway.health.target_health import RESERVE, HealthRegistry
from gateway.routing.failover import FIRST_DELAY, MOST_DELAY, MOST_TOLD, QUEUE, Failover, fallback_kind, retry_after
from tests.support.health import Clock, broken

OPENAI = Provider(VENDORS["openai"], "https://openai.example/v1", "key")
ONE, TWO, OTHER = Target(OPENAI, "a"), Target(OPENAI, "a", timeout=1), Target(OPENAI, "b")
LARGE = Target(OPENAI, "large")
FAILED = UpstreamFailed("failed", upstream_status=500)
TOO_LARGE = UpstreamRejected("too large", upstream_status=400, code="context_length_exceeded")


def planned(*targets, attempts=3, health_registry=None, **more):
    return Failover(targets, health_registry or HealthRegistry(), attempts, **more)


def begun(plan):
    """The attempt that the plan begins."""
    assert plan.next() is None
    return plan.attempt


def test_a_failed_target_is_asked_again_then_the_next():
    plan = planned(ONE, TWO, attempts=2)
    assert 0 <= plan.failed(FAILED) <= MOST_DELAY
    assert plan.target is ONE
    assert plan.failed(FAILED) == 0
    assert plan.target is TWO


def test_with_one_attempt_each_target_is_tried_once():
    plan = planned(ONE, TWO, attempts=1)
    plan.failed(FAILED)
    assert plan.target is TWO
    with pytest.raises(UpstreamFailed):
        plan.failed(FAILED)


def test_a_short_retry_after_is_waited_for_and_a_long_one_moves_on():
    plan = planned(ONE, TWO, attempts=3)
    assert plan.failed(UpstreamLimited("busy", retry_after=2)) == 2
    assert plan.target is ONE
    assert plan.failed(UpstreamLimited("busy", retry_after=60)) == 0
    assert plan.target is TWO


def test_a_refused_key_is_not_tried_twice_but_another_target_is():
    plan = planned(ONE, TWO, attempts=3)
    plan.failed(UpstreamCredentials("no", upstream_status=401))
    assert plan.target is TWO


def test_a_wrong_request_stays_wrong_unless_the_next_target_has_another_model():
    with pytest.raises(UpstreamRejected):
        planned(ONE, TWO, attempts=3).failed(UpstreamRejected("no", upstream_status=400))
    plan = planned(ONE, OTHER, attempts=3)
    plan.failed(UpstreamRejected("no", upstream_status=404))
    assert plan.target is OTHER


def test_a_client_that_left_ends_it():
    with pytest.raises(ClientDisconnected):
        planned(ONE, TWO, attempts=3).failed(ClientDisconnected("gone"))


def test_when_all_are_busy_the_shortest_retry_after_is_told():
    plan = planned(ONE, TWO, attempts=1)
    plan.failed(UpstreamLimited("busy", retry_after=30))
    with pytest.raises(UpstreamLimited) as raised:
        plan.failed(UpstreamLimited("busy", retry_after=90))
    assert raised.value.retry_after == 30


def test_a_failure_says_more_than_a_limit_and_than_what_one_target_cannot_take():
    for first in (UpstreamLimited("busy", retry_after=1), Untranslatable("audio", param="messages[0]")):
        plan = planned(ONE, TWO, attempts=1)
        plan.failed(first)
        with pytest.raises(UpstreamFailed):
            plan.failed(FAILED)


def test_a_target_whose_breaker_is_open_is_passed_over():
    health_registry = HealthRegistry()
    broken(health_registry.of(ONE))
    plan = planned(ONE, OTHER, health_registry=health_registry)
    with begun(plan):
        assert plan.target is OTHER


def test_when_none_can_be_asked_the_soonest_time_is_told():
    clock = Clock()
    health_registry = HealthRegistry(clock=clock)
    broken(health_registry.of(ONE))
    clock.now += 5
    broken(health_registry.of(OTHER))
    with pytest.raises(NoHealthyUpstream) as raised:
        planned(ONE, OTHER, health_registry=health_registry).next()
    assert raised.value.retry_after == pytest.approx(10)
    assert (raised.value.status, raised.value.code) == (503, "no_healthy_upstream")


def test_when_all_are_rate_limited_it_is_a_rate_limit():
    health_registry = HealthRegistry()
    for target in (ONE, OTHER):
        with pytest.raises(UpstreamLimited), health_registry.of(target).acquire():
            raise UpstreamLimited("busy", retry_after=30)
    with pytest.raises(UpstreamLimited) as raised:
        planned(ONE, OTHER, health_registry=health_registry).next()
    assert 29 < raised.value.retry_after <= 30


def test_its_own_retry_outlasts_the_cool_down_that_the_target_asked_for():
    plan = planned(ONE)
    with pytest.raises(UpstreamLimited), begun(plan):
        raise UpstreamLimited("busy", retry_after=2)
    assert plan.failed(UpstreamLimited("busy", retry_after=2)) == 2
    with begun(plan):
        assert plan.target is ONE


def test_a_budget_bounds_the_retries_of_all_calls_together():
    health_registry = HealthRegistry()
    retries = 0
    for _ in range(100):
        plan = planned(ONE, health_registry=health_registry)
        plan.next()
        try:
            while True:
                plan.failed(FAILED)
                retries += 1
                plan.next()
        except UpstreamFailed:
            pass
    assert retries <= 10 + 0.2 * 100


def test_no_retry_begins_after_the_deadline():
    with pytest.raises(UpstreamFailed):
        planned(ONE, OTHER, deadline=time.monotonic() - 1).failed(FAILED)


def test_the_fallbacks_are_asked_when_the_targets_are_through():
    plan = planned(ONE, attempts=1, fallback_targets=lambda kind: (OTHER,) if kind == "fallbacks" else ())
    plan.failed(FAILED)
    assert plan.target is OTHER
    with pytest.raises(UpstreamFailed):
        plan.failed(FAILED)


def test_what_was_too_large_goes_to_the_targets_for_that():
    plan = planned(ONE, OTHER, fallback_targets=lambda kind: (LARGE,) if kind == "context_window_fallbacks" else ())
    plan.failed(TOO_LARGE)
    assert plan.target is LARGE


@pytest.mark.parametrize(
    "kind, message",
    [
        ("context_window_fallbacks", "prompt is too long: 210000 tokens > 200000 maximum"),
        ("context_window_fallbacks", "This model's maximum context length is 8192 tokens."),
        ("content_policy_fallbacks", "The response was filtered due to the content management policy."),
        (None, "Unknown parameter: 'seed'."),
    ],
)
def test_which_refusals_have_fallbacks_of_their_own(kind, message):
    assert fallback_kind(UpstreamRejected(message, upstream_status=400)) == kind
    assert fallback_kind(UpstreamFailed(message, upstream_status=500)) is None


def test_a_target_is_no_fallback_of_itself():
    plan = planned(ONE, attempts=1, fallback_targets=lambda kind: (ONE, OTHER, OTHER) if kind == "fallbacks" else ())
    plan.failed(FAILED)
    assert plan.target is OTHER
    with pytest.raises(UpstreamFailed):
        plan.failed(FAILED)


def test_where_no_target_can_take_it_the_fallbacks_are_asked_or_it_is_refused():
    refusal = Untranslatable("No target of this model has vision.", param="messages")
    with begun(planned(refusal=refusal, fallback_targets=lambda _: (OTHER,))) as attempt:
        assert attempt
    with pytest.raises(Untranslatable):
        planned(refusal=refusal).next()


def test_a_busy_upstream_that_names_no_time_is_asked_again_after_a_wait_of_our_own():
    delays = {planned(ONE, attempts=5).failed(upstream_error(503, "busy")) for _ in range(20)}
    assert len(delays) == 20
    assert max(delays) <= FIRST_DELAY


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529])
def test_what_an_upstream_asks_to_wait_is_waited_for_or_another_is_asked(status):
    assert planned(ONE).failed(upstream_error(status, "no", retry_after=2)) == 2
    plan = planned(ONE, OTHER)
    assert plan.failed(upstream_error(status, "no", retry_after=60)) == 0
    assert plan.target is OTHER


def test_of_limits_the_one_that_is_over_now_is_told():
    plan = planned(ONE, TWO, attempts=1)
    plan.failed(UpstreamLimited("busy", retry_after=30))
    with pytest.raises(UpstreamLimited) as raised:
        plan.failed(UpstreamLimited("busy", retry_after=0))
    assert raised.value.retry_after == 0


def test_what_is_not_paid_for_is_not_tried_again():
    plan = planned(ONE, OTHER)
    plan.failed(upstream_error(429, "You exceeded your current quota.", type="insufficient_quota"))
    assert plan.target is OTHER


class TestAnswersThatBroke:
    def test_the_next_target_goes_on_and_the_same_one_only_after_it(self):
        plan = planned(ONE, OTHER, attempts=2)
        turns = []
        for _ in range(3):
            turns.append(plan.target)
            plan.failed(FAILED, elsewhere=True)
        assert [*turns, plan.target] == [ONE, OTHER, ONE, OTHER]
        with pytest.raises(UpstreamFailed):
            plan.failed(FAILED, elsewhere=True)

    def test_alone_it_goes_on_itself(self):
        plan = planned(ONE, attempts=2)
        plan.failed(FAILED, elsewhere=True)
        assert plan.target is ONE

    def test_the_fallbacks_go_on_before_it(self):
        plan = planned(ONE, attempts=2, fallback_targets=lambda kind: (OTHER,) if kind == "fallbacks" else ())
        plan.failed(FAILED, elsewhere=True)
        assert plan.target is OTHER

    def test_if_nobody_goes_on_the_break_is_told(self):
        plan = planned(ONE, OTHER, attempts=1)
        plan.failed(FAILED, elsewhere=True)
        with pytest.raises(UpstreamFailed) as raised:
            plan.failed(UpstreamRejected("no", upstream_status=400))
        assert raised.value is FAILED


def test_a_retry_that_a_client_did_not_wait_for_is_given_back():
    health_registry = HealthRegistry()
    for _ in range(50):
        plan = planned(ONE, health_registry=health_registry)
        with pytest.raises(UpstreamFailed), begun(plan):
            raise FAILED
        if health_registry.of(ONE).state != "closed":
            break
        assert plan.failed(FAILED) > 0
        plan.leave()
    left = 0
    while health_registry.of(ONE).take_retry():
        left += 1
    assert left == RESERVE


class TestFullTargets:
    FULL = Target(OPENAI, "full", max_parallel_requests=1)

    def test_another_is_asked_at_once(self):
        health_registry = HealthRegistry()
        health_registry.of(self.FULL).acquire()
        plan = planned(self.FULL, OTHER, health_registry=health_registry)
        with begun(plan):
            assert plan.target is OTHER

    def test_so_are_the_fallbacks(self):
        health_registry = HealthRegistry()
        health_registry.of(self.FULL).acquire()
        plan = planned(
            self.FULL,
            health_registry=health_registry,
            fallback_targets=lambda kind: (OTHER,) if kind == "fallbacks" else (),
        )
        with begun(plan):
            assert plan.target is OTHER

    def test_a_call_waits_for_whichever_is_free_first(self):
        health_registry, also_full = HealthRegistry(), Target(OPENAI, "also full", max_parallel_requests=1)
        health_registry.of(self.FULL).acquire()
        second = health_registry.of(also_full).acquire()
        plan = planned(self.FULL, also_full, health_registry=health_registry)
        assert plan.next() > 0
        with second:
            pass
        with begun(plan):
            assert plan.target is also_full
        assert health_registry.of(self.FULL).queued_calls == 0

    def test_nobody_waits_for_one_that_broke_meanwhile(self):
        health_registry = HealthRegistry()
        first = health_registry.of(self.FULL).acquire()
        plan = planned(self.FULL, health_registry=health_registry)
        plan.next()
        with first:
            pass
        broken(health_registry.of(self.FULL))
        with pytest.raises(NoHealthyUpstream):
            plan.next()
        plan.leave()
        assert health_registry.of(self.FULL).queued_calls == 0

    def test_a_call_waits_for_the_only_one(self):
        health_registry = HealthRegistry()
        first = health_registry.of(self.FULL).acquire()
        plan = planned(self.FULL, health_registry=health_registry)
        assert plan.next() == plan.next() > 0
        assert health_registry.of(self.FULL).queued_calls == 1
        with first:
            pass
        with begun(plan):
            assert plan.target is self.FULL
        assert health_registry.of(self.FULL).queued_calls == 0

    def test_nobody_overtakes_a_call_that_waits(self):
        health_registry = HealthRegistry()
        first = health_registry.of(self.FULL).acquire()
        waiting, late = (
            planned(self.FULL, health_registry=health_registry),
            planned(self.FULL, health_registry=health_registry),
        )
        waiting.next()
        with first:
            pass
        assert isinstance(late.next(), float)
        with begun(waiting):
            pass

    def test_the_queue_is_short(self):
        health_registry = HealthRegistry()
        health_registry.of(self.FULL).acquire()
        plans = [planned(self.FULL, health_registry=health_registry) for _ in range(QUEUE + 1)]
        for plan in plans[:-1]:
            plan.next()
        with pytest.raises(Overloaded):
            plans[-1].next()
        plans[0].leave()
        plans[0].leave()
        assert health_registry.of(self.FULL).queued_calls == QUEUE - 1


class TestHedging:
    def test_the_next_target_that_may_be_asked_runs_beside_the_first(self):
        health_registry = HealthRegistry()
        broken(health_registry.of(OTHER))
        plan = planned(ONE, OTHER, LARGE, health_registry=health_registry)
        begun(plan)
        target, attempt = plan.hedge()
        assert target is LARGE
        plan.promote(target, attempt)
        assert (plan.target, plan.attempt) == (LARGE, attempt)

    def test_a_fallback_is_not_asked_beside_another(self):
        health_registry = HealthRegistry()
        broken(health_registry.of(ONE))
        plan = planned(ONE, health_registry=health_registry, fallback_targets=lambda _: (OTHER, LARGE))
        begun(plan)
        assert plan.hedge() is None

    def test_who_failed_beside_it_may_have_another_turn(self):
        plan = planned(ONE, OTHER, attempts=2)
        begun(plan)
        other, attempt = plan.hedge()
        plan.record_hedge_failure(ONE, FAILED)
        plan.promote(other, attempt)
        plan.failed(UpstreamCredentials("no", upstream_status=401))
        assert plan.target is ONE

    def test_who_was_cancelled_may_have_another_turn(self):
        plan = planned(ONE, OTHER, attempts=1)
        begun(plan)
        plan.promote(*plan.hedge(), cancelled=(ONE,))
        plan.failed(FAILED, elsewhere=True)
        assert plan.target is ONE

    def test_where_there_is_none_the_first_runs_alone(self):
        plan = planned(ONE)
        begun(plan)
        assert plan.hedge() is None
        assert plan.hedged


def test_a_retry_after_may_be_seconds_milliseconds_or_a_date():
    assert retry_after({"retry-after": "7"}) == 7
    assert retry_after({"retry-after-ms": "1500", "retry-after": "7"}) == 1.5
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({"retry-after": "9" * 30}) == MOST_TOLD
    assert retry_after({}) is None
