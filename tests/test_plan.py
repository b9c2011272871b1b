"""Which target is asked next."""

from collections import Counter

import pytest

from gateway.errors import (
    ClientGone,
    Untranslatable,
    UpstreamCredentials,
    UpstreamFailed,
    UpstreamLimited,
    UpstreamRejected,
)
from gateway.plan import MOST_DELAY, Plan, ordered, retry_after
from gateway.providers import VENDORS, Provider, Target

OPENAI = Provider(VENDORS["openai"], "https://openai.example/v1", "key")
ONE, TWO, OTHER = Target(OPENAI, "a"), Target(OPENAI, "a", timeout=1), Target(OPENAI, "b")
FAILED = UpstreamFailed("failed", upstream_status=500)


def test_a_failed_target_is_asked_again_then_the_next():
    plan = Plan((ONE, TWO), attempts=2)
    assert 0 <= plan.failed(FAILED) <= MOST_DELAY
    assert plan.target is ONE
    assert plan.failed(FAILED) == 0
    assert plan.target is TWO


def test_with_one_attempt_each_target_is_tried_once():
    plan = Plan((ONE, TWO), attempts=1)
    plan.failed(FAILED)
    assert plan.target is TWO
    with pytest.raises(UpstreamFailed):
        plan.failed(FAILED)


def test_a_short_retry_after_is_waited_for_and_a_long_one_moves_on():
    plan = Plan((ONE, TWO), attempts=3)
    assert plan.failed(UpstreamLimited("busy", retry_after=2)) == 2
    assert plan.target is ONE
    assert plan.failed(UpstreamLimited("busy", retry_after=60)) == 0
    assert plan.target is TWO


def test_a_refused_key_is_not_tried_twice_but_another_target_is():
    plan = Plan((ONE, TWO), attempts=3)
    plan.failed(UpstreamCredentials("no", upstream_status=401))
    assert plan.target is TWO


def test_a_wrong_request_stays_wrong_unless_the_next_target_has_another_model():
    with pytest.raises(UpstreamRejected):
        Plan((ONE, TWO), attempts=3).failed(UpstreamRejected("no", upstream_status=400))
    plan = Plan((ONE, OTHER), attempts=3)
    plan.failed(UpstreamRejected("no", upstream_status=404))
    assert plan.target is OTHER


def test_a_client_that_left_ends_it():
    with pytest.raises(ClientGone):
        Plan((ONE, TWO), attempts=3).failed(ClientGone("gone"))


def test_when_all_are_busy_the_shortest_retry_after_is_told():
    plan = Plan((ONE, TWO), attempts=1)
    plan.failed(UpstreamLimited("busy", retry_after=30))
    with pytest.raises(UpstreamLimited) as raised:
        plan.failed(UpstreamLimited("busy", retry_after=90))
    assert raised.value.retry_after == 30


def test_a_failure_says_more_than_a_limit_and_than_what_one_target_cannot_take():
    for first in (UpstreamLimited("busy", retry_after=1), Untranslatable("audio", param="messages[0]")):
        plan = Plan((ONE, TWO), attempts=1)
        plan.failed(first)
        with pytest.raises(UpstreamFailed):
            plan.failed(FAILED)


def test_targets_without_weights_keep_their_order():
    assert all(ordered((ONE, TWO, OTHER)) == (ONE, TWO, OTHER) for _ in range(20))


def test_weights_are_shares():
    heavy, light = Target(OPENAI, "heavy", weight=9), Target(OPENAI, "light", weight=1)
    first = Counter(ordered((light, heavy))[0].model for _ in range(2000))
    assert 1600 < first["heavy"] < 1980
    assert first["light"] > 20


def test_a_retry_after_may_be_seconds_milliseconds_or_a_date():
    assert retry_after({"retry-after": "7"}) == 7
    assert retry_after({"retry-after-ms": "1500", "retry-after": "7"}) == 1.5
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({}) is None
