"""Which target is asked next."""

import time

import pytest

from gateway.errors import (
    ClientGone,
    NoHealthyUpstream,
    Overloaded,
    Untranslatable,
    UpstreamCredentials,
    UpstreamFailed,
    UpstreamLimited,
    UpstreamRejected,
)
from gateway.plan import MOST_DELAY, QUEUE, Plan, retry_after, special
from gateway.providers import VENDORS, Provider, Target
from gateway.standing import Standings
from tests.test_standing import Clock, broken

OPENAI = Provider(VENDORS["openai"], "https://openai.example/v1", "key")
ONE, TWO, OTHER = Target(OPENAI, "a"), Target(OPENAI, "a", timeout=1), Target(OPENAI, "b")
LARGE = Target(OPENAI, "large")
FAILED = UpstreamFailed("failed", upstream_status=500)
TOO_LARGE = UpstreamRejected("too large", upstream_status=400, code="context_length_exceeded")


def planned(*targets, attempts=3, standings=None, **more):
    return Plan(targets, standings or Standings(), attempts, **more)


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
    with pytest.raises(ClientGone):
        planned(ONE, TWO, attempts=3).failed(ClientGone("gone"))


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
    standings = Standings()
    broken(standings.of(ONE))
    plan = planned(ONE, OTHER, standings=standings)
    with begun(plan):
        assert plan.target is OTHER


def test_when_none_can_be_asked_the_soonest_time_is_told():
    clock = Clock()
    standings = Standings(clock=clock)
    broken(standings.of(ONE))
    clock.now += 5
    broken(standings.of(OTHER))
    with pytest.raises(NoHealthyUpstream) as raised:
        planned(ONE, OTHER, standings=standings).next()
    assert raised.value.retry_after == pytest.approx(10)
    assert (raised.value.status, raised.value.code) == (503, "no_healthy_upstream")


def test_when_all_are_rate_limited_it_is_a_rate_limit():
    standings = Standings()
    for target in (ONE, OTHER):
        with pytest.raises(UpstreamLimited), standings.of(target).enter():
            raise UpstreamLimited("busy", retry_after=30)
    with pytest.raises(UpstreamLimited) as raised:
        planned(ONE, OTHER, standings=standings).next()
    assert 29 < raised.value.retry_after <= 30


def test_its_own_retry_outlasts_the_cool_down_that_the_target_asked_for():
    plan = planned(ONE)
    with pytest.raises(UpstreamLimited), begun(plan):
        raise UpstreamLimited("busy", retry_after=2)
    assert plan.failed(UpstreamLimited("busy", retry_after=2)) == 2
    with begun(plan):
        assert plan.target is ONE


def test_a_budget_bounds_the_retries_of_all_calls_together():
    standings = Standings()
    retries = 0
    for _ in range(100):
        plan = planned(ONE, standings=standings)
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
    plan = planned(ONE, attempts=1, more=lambda kind: (OTHER,) if kind == "fallbacks" else ())
    plan.failed(FAILED)
    assert plan.target is OTHER
    with pytest.raises(UpstreamFailed):
        plan.failed(FAILED)


def test_what_was_too_large_goes_to_the_targets_for_that():
    plan = planned(ONE, OTHER, more=lambda kind: (LARGE,) if kind == "context_window_fallbacks" else ())
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
    assert special(UpstreamRejected(message, upstream_status=400)) == kind
    assert special(UpstreamFailed(message, upstream_status=500)) is None


class TestFullTargets:
    FULL = Target(OPENAI, "full", max_parallel=1)

    def test_another_is_asked_at_once(self):
        standings = Standings()
        standings.of(self.FULL).enter()
        plan = planned(self.FULL, OTHER, standings=standings)
        with begun(plan):
            assert plan.target is OTHER

    def test_a_call_waits_for_the_only_one(self):
        standings = Standings()
        first = standings.of(self.FULL).enter()
        plan = planned(self.FULL, standings=standings)
        assert plan.next() == plan.next() > 0
        assert standings.of(self.FULL).waiting == 1
        with first:
            pass
        with begun(plan):
            assert plan.target is self.FULL
        assert standings.of(self.FULL).waiting == 0

    def test_nobody_overtakes_a_call_that_waits(self):
        standings = Standings()
        first = standings.of(self.FULL).enter()
        waiting, late = planned(self.FULL, standings=standings), planned(self.FULL, standings=standings)
        waiting.next()
        with first:
            pass
        assert isinstance(late.next(), float)
        with begun(waiting):
            pass

    def test_the_queue_is_short(self):
        standings = Standings()
        standings.of(self.FULL).enter()
        plans = [planned(self.FULL, standings=standings) for _ in range(QUEUE + 1)]
        for plan in plans[:-1]:
            plan.next()
        with pytest.raises(Overloaded):
            plans[-1].next()
        plans[0].leave()
        plans[0].leave()
        assert standings.of(self.FULL).waiting == QUEUE - 1


class TestHedging:
    def test_the_next_target_that_may_be_asked_runs_beside_the_first(self):
        standings = Standings()
        broken(standings.of(OTHER))
        plan = planned(ONE, OTHER, LARGE, standings=standings)
        begun(plan)
        target, attempt = plan.hedge()
        assert target is LARGE
        plan.won(target, attempt)
        assert (plan.target, plan.attempt) == (LARGE, attempt)

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
    assert retry_after({}) is None
