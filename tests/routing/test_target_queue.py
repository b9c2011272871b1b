"""Which target is tried next, with the health of targets, fallbacks, and full targets."""

import time

import pytest

from gateway.catalog.targets import Provider, Target
from gateway.catalog.vendors import VENDORS
from gateway.dialects.upstream_error import upstream_error
from gateway.errors import (
    ClientDisconnected,
    NoHealthyUpstream,
    Overloaded,
    Untranslatable,
    UpstreamCredentials,
    UpstreamFailed,
    UpstreamLimited,
    UpstreamRejected,
)
from gateway.health.target_health import RECOVERY_CALLS, RETRY_RESERVE, HealthRegistry
from gateway.routing.failover import FIRST_DELAY, MAX_DELAY
from gateway.routing.target_queue import MAX_LIMIT_WAIT, MAX_WAITING, Acquired, TargetQueue
from tests.support.health import Clock, open_breaker

OPENAI = Provider(VENDORS["openai"], "https://openai.example/v1", "key")
ONE, TWO, OTHER = Target(OPENAI, "a"), Target(OPENAI, "a", timeout=1), Target(OPENAI, "b")
LARGE = Target(OPENAI, "large")
FULL = Target(OPENAI, "full", max_parallel_requests=1)
FAILED = UpstreamFailed("failed", upstream_status=500)
TOO_LARGE = UpstreamRejected("too large", upstream_status=400, code="context_length_exceeded")


class Attempts:
    """The attempts of one call, each of which ends only in the queue's books, not in the target's health."""

    def __init__(self, *targets, max_tries=3, health_registry=None, **options):
        self.queue = TargetQueue(targets, health_registry or HealthRegistry(), max_tries, **options)
        self.target = None

    def next(self):
        """The next target that is tried."""
        acquired = self.queue.acquire()
        assert isinstance(acquired, Acquired)
        self.target = acquired.target
        return self.target

    def fail(self, error, *, content_sent=False):
        """Seconds to wait after the attempt has failed; it is begun first."""
        if self.target is None:
            self.next()
        target, self.target = self.target, None
        return self.queue.after_failure(target, error, content_sent=content_sent)


def only(kind, *targets):
    """Fallback targets of one kind."""
    return lambda wanted: targets if wanted == kind else ()


def test_a_failed_target_is_tried_again_and_then_the_next_one():
    attempts = Attempts(ONE, TWO, max_tries=2)
    assert 0 <= attempts.fail(FAILED) <= MAX_DELAY
    assert attempts.next() is ONE
    assert attempts.fail(FAILED) == 0
    assert attempts.next() is TWO


def test_with_one_try_each_target_is_tried_once():
    attempts = Attempts(ONE, TWO, max_tries=1)
    attempts.fail(FAILED)
    assert attempts.next() is TWO
    with pytest.raises(UpstreamFailed):
        attempts.fail(FAILED)


def test_a_short_retry_after_is_waited_for_and_a_long_one_leads_to_the_next_target():
    attempts = Attempts(ONE, TWO)
    assert attempts.fail(UpstreamLimited("busy", retry_after=2)) == 2
    assert attempts.next() is ONE
    assert attempts.fail(UpstreamLimited("busy", retry_after=60)) == 0
    assert attempts.next() is TWO


def test_after_a_refused_key_the_next_target_is_tried():
    attempts = Attempts(ONE, TWO)
    attempts.fail(UpstreamCredentials("no", upstream_status=401))
    assert attempts.next() is TWO


def test_a_rejected_request_is_tried_again_only_with_another_model():
    with pytest.raises(UpstreamRejected):
        Attempts(ONE, TWO).fail(UpstreamRejected("no", upstream_status=400))
    attempts = Attempts(ONE, OTHER)
    attempts.fail(UpstreamRejected("no", upstream_status=404))
    assert attempts.next() is OTHER


def test_a_disconnected_client_ends_the_call():
    with pytest.raises(ClientDisconnected):
        Attempts(ONE, TWO).fail(ClientDisconnected("gone"))


def test_when_all_targets_are_busy_the_shortest_retry_after_is_reported():
    attempts = Attempts(ONE, TWO, max_tries=1)
    attempts.fail(UpstreamLimited("busy", retry_after=30))
    with pytest.raises(UpstreamLimited) as raised:
        attempts.fail(UpstreamLimited("busy", retry_after=90))
    assert raised.value.retry_after == 30


def test_a_failure_is_reported_rather_than_a_limit_or_an_untranslatable_request():
    for first in (UpstreamLimited("busy", retry_after=1), Untranslatable("audio", param="messages[0]")):
        attempts = Attempts(ONE, TWO, max_tries=1)
        attempts.fail(first)
        with pytest.raises(UpstreamFailed):
            attempts.fail(FAILED)


def test_a_target_whose_breaker_is_open_is_passed_over():
    health_registry = HealthRegistry()
    open_breaker(health_registry.of(ONE))
    assert Attempts(ONE, OTHER, health_registry=health_registry).next() is OTHER


def test_when_no_target_is_available_the_soonest_time_is_reported():
    clock = Clock()
    health_registry = HealthRegistry(clock=clock)
    open_breaker(health_registry.of(ONE))
    clock.now += 5
    open_breaker(health_registry.of(OTHER))
    with pytest.raises(NoHealthyUpstream) as raised:
        Attempts(ONE, OTHER, health_registry=health_registry).next()
    assert raised.value.retry_after == pytest.approx(10)
    assert (raised.value.status, raised.value.code) == (503, "no_healthy_upstream")


def test_when_all_targets_are_rate_limited_the_call_is_rate_limited():
    health_registry = HealthRegistry()
    for target in (ONE, OTHER):
        with pytest.raises(UpstreamLimited), health_registry.of(target).acquire():
            raise UpstreamLimited("busy", retry_after=30)
    with pytest.raises(UpstreamLimited) as raised:
        Attempts(ONE, OTHER, health_registry=health_registry).next()
    assert 29 < raised.value.retry_after <= 30


def test_a_retry_ignores_the_cool_down_that_it_has_waited_for():
    attempts = Attempts(ONE)
    with pytest.raises(UpstreamLimited), attempts.queue.acquire().lease:
        raise UpstreamLimited("busy", retry_after=2)
    assert attempts.queue.after_failure(ONE, UpstreamLimited("busy", retry_after=2)) == 2
    assert attempts.next() is ONE


def test_the_retry_budget_bounds_the_retries_of_all_calls_together():
    health_registry = HealthRegistry()
    retries = 0
    for _ in range(100):
        attempts = Attempts(ONE, health_registry=health_registry)
        try:
            while True:
                attempts.fail(FAILED)
                retries += 1
        except UpstreamFailed:
            pass
    assert retries <= 10 + 0.2 * 100


def test_no_attempt_begins_after_the_deadline():
    with pytest.raises(UpstreamFailed):
        Attempts(ONE, OTHER, deadline=time.monotonic() - 1).fail(FAILED)


def test_the_fallbacks_are_tried_after_the_models_own_targets():
    attempts = Attempts(ONE, max_tries=1, fallback_targets=only("fallbacks", OTHER))
    attempts.fail(FAILED)
    assert attempts.next() is OTHER
    with pytest.raises(UpstreamFailed):
        attempts.fail(FAILED)


def test_a_request_that_is_too_large_goes_to_the_context_window_fallbacks():
    attempts = Attempts(ONE, OTHER, fallback_targets=only("context_window_fallbacks", LARGE))
    attempts.fail(TOO_LARGE)
    assert attempts.next() is LARGE


def test_a_target_is_not_a_fallback_of_itself():
    attempts = Attempts(ONE, max_tries=1, fallback_targets=only("fallbacks", ONE, OTHER, OTHER))
    attempts.fail(FAILED)
    assert attempts.next() is OTHER
    with pytest.raises(UpstreamFailed):
        attempts.fail(FAILED)


def test_where_no_target_is_capable_the_fallbacks_are_tried_or_the_request_is_refused():
    refusal = Untranslatable("No target of this model has vision.", param="messages")
    assert Attempts(refusal=refusal, fallback_targets=lambda _: (OTHER,)).next() is OTHER
    with pytest.raises(Untranslatable):
        Attempts(refusal=refusal).next()


def test_a_busy_upstream_without_a_retry_after_is_retried_after_a_random_backoff():
    delays = {Attempts(ONE, max_tries=5).fail(upstream_error(503, "busy")) for _ in range(20)}
    assert len(delays) == 20
    assert max(delays) <= FIRST_DELAY


def test_a_used_up_quota_leads_to_the_next_target():
    attempts = Attempts(ONE, OTHER)
    attempts.fail(upstream_error(429, "You exceeded your current quota.", type="insufficient_quota"))
    assert attempts.next() is OTHER


def test_a_retry_that_the_client_did_not_wait_for_is_returned_to_the_budget():
    health_registry = HealthRegistry()
    for _ in range(50):
        attempts = Attempts(ONE, health_registry=health_registry)
        with pytest.raises(UpstreamFailed), attempts.queue.acquire().lease:
            raise FAILED
        if health_registry.of(ONE).state != "closed":
            break
        assert attempts.queue.after_failure(ONE, FAILED) > 0
        attempts.queue.close()
    left = 0
    while health_registry.of(ONE).take_retry():
        left += 1
    assert left == RETRY_RESERVE


class TestBriefRateLimits:
    def limited(self, seconds, *targets):
        clock = Clock()
        health_registry = HealthRegistry(clock=clock)
        for target in targets:
            with pytest.raises(UpstreamLimited), health_registry.of(target).acquire():
                raise UpstreamLimited("busy", retry_after=seconds)
        return clock, health_registry

    def test_a_brief_rate_limit_is_waited_for_where_no_other_target_is_left(self):
        clock, health_registry = self.limited(2, ONE)
        attempts = Attempts(ONE, health_registry=health_registry)
        assert attempts.queue.acquire() == 2
        assert health_registry.of(ONE).queued_calls == 1
        clock.now += 2
        assert attempts.next() is ONE
        assert health_registry.of(ONE).queued_calls == 0

    def test_another_target_is_tried_before_a_brief_rate_limit_is_waited_for(self):
        _, health_registry = self.limited(2, ONE)
        assert Attempts(ONE, OTHER, health_registry=health_registry).next() is OTHER
        attempts = Attempts(ONE, health_registry=health_registry, fallback_targets=only("fallbacks", OTHER))
        assert attempts.next() is OTHER

    def test_a_longer_rate_limit_is_reported_at_once_in_the_gateways_own_words(self):
        _, health_registry = self.limited(MAX_LIMIT_WAIT + 1, ONE)
        with pytest.raises(UpstreamLimited) as raised:
            Attempts(ONE, health_registry=health_registry).queue.acquire()
        assert raised.value.retry_after == MAX_LIMIT_WAIT + 1
        assert "busy" not in raised.value.message

    def test_only_so_many_calls_wait_and_the_others_are_told_when_to_come_back(self):
        _, health_registry = self.limited(2, ONE)
        queues = [Attempts(ONE, health_registry=health_registry).queue for _ in range(MAX_WAITING + 1)]
        for queue in queues[:-1]:
            queue.acquire()
        with pytest.raises(UpstreamLimited) as raised:
            queues[-1].acquire()
        assert raised.value.retry_after == 2

    def test_those_who_waited_are_let_through_a_few_at_a_time(self):
        clock, health_registry = self.limited(1, ONE)
        queues = [Attempts(ONE, health_registry=health_registry).queue for _ in range(6)]
        for queue in queues:
            queue.acquire()
        clock.now += 1
        acquired = [queue.acquire() for queue in queues]
        leases = [got.lease for got in acquired if isinstance(got, Acquired)]
        assert len(leases) == RECOVERY_CALLS
        leases[0].record_latency(streams=True)
        again = [queue.acquire() for queue, got in zip(queues, acquired, strict=True) if not isinstance(got, Acquired)]
        assert sum(isinstance(got, Acquired) for got in again) == 3


class TestTruncatedStreams:
    def test_the_next_target_resumes_and_the_same_one_only_after_it(self):
        attempts = Attempts(ONE, OTHER, max_tries=2)
        tried = []
        for _ in range(3):
            tried.append(attempts.next())
            attempts.fail(FAILED, content_sent=True)
        assert [*tried, attempts.next()] == [ONE, OTHER, ONE, OTHER]
        with pytest.raises(UpstreamFailed):
            attempts.fail(FAILED, content_sent=True)

    def test_a_target_without_others_resumes_its_own_stream(self):
        attempts = Attempts(ONE, max_tries=2)
        attempts.fail(FAILED, content_sent=True)
        assert attempts.next() is ONE

    def test_the_fallbacks_resume_before_the_target_itself(self):
        attempts = Attempts(ONE, max_tries=2, fallback_targets=only("fallbacks", OTHER))
        attempts.fail(FAILED, content_sent=True)
        assert attempts.next() is OTHER

    def test_if_no_target_resumes_the_truncation_is_reported(self):
        attempts = Attempts(ONE, OTHER, max_tries=1)
        attempts.fail(FAILED, content_sent=True)
        with pytest.raises(UpstreamFailed) as raised:
            attempts.fail(UpstreamRejected("no", upstream_status=400))
        assert raised.value is FAILED


class TestFullTargets:
    def test_another_target_is_tried_at_once(self):
        health_registry = HealthRegistry()
        health_registry.of(FULL).acquire()
        assert Attempts(FULL, OTHER, health_registry=health_registry).next() is OTHER

    def test_the_fallbacks_are_tried_at_once(self):
        health_registry = HealthRegistry()
        health_registry.of(FULL).acquire()
        attempts = Attempts(FULL, health_registry=health_registry, fallback_targets=only("fallbacks", OTHER))
        assert attempts.next() is OTHER

    def test_a_call_waits_for_the_first_target_to_become_free(self):
        health_registry, also_full = HealthRegistry(), Target(OPENAI, "also full", max_parallel_requests=1)
        health_registry.of(FULL).acquire()
        second = health_registry.of(also_full).acquire()
        attempts = Attempts(FULL, also_full, health_registry=health_registry)
        assert attempts.queue.acquire() > 0
        with second:
            pass
        assert attempts.next() is also_full
        assert health_registry.of(FULL).queued_calls == 0

    def test_no_call_waits_for_a_target_whose_breaker_opened_meanwhile(self):
        health_registry = HealthRegistry()
        first = health_registry.of(FULL).acquire()
        attempts = Attempts(FULL, health_registry=health_registry)
        attempts.queue.acquire()
        with first:
            pass
        open_breaker(health_registry.of(FULL))
        with pytest.raises(NoHealthyUpstream):
            attempts.queue.acquire()
        attempts.queue.close()
        assert health_registry.of(FULL).queued_calls == 0

    def test_a_call_waits_for_the_only_target(self):
        health_registry = HealthRegistry()
        first = health_registry.of(FULL).acquire()
        attempts = Attempts(FULL, health_registry=health_registry)
        assert attempts.queue.acquire() == attempts.queue.acquire() > 0
        assert health_registry.of(FULL).queued_calls == 1
        with first:
            pass
        assert attempts.next() is FULL
        assert health_registry.of(FULL).queued_calls == 0

    def test_a_later_call_does_not_overtake_one_that_waits(self):
        health_registry = HealthRegistry()
        first = health_registry.of(FULL).acquire()
        waiting, later = (Attempts(FULL, health_registry=health_registry) for _ in range(2))
        waiting.queue.acquire()
        with first:
            pass
        assert isinstance(later.queue.acquire(), float)
        assert waiting.next() is FULL

    def test_only_so_many_calls_may_wait(self):
        health_registry = HealthRegistry()
        health_registry.of(FULL).acquire()
        calls = [Attempts(FULL, health_registry=health_registry).queue for _ in range(MAX_WAITING + 1)]
        for queue in calls[:-1]:
            queue.acquire()
        with pytest.raises(Overloaded):
            calls[-1].acquire()
        calls[0].close()
        calls[0].close()
        assert health_registry.of(FULL).queued_calls == MAX_WAITING - 1


class TestHedging:
    def test_the_next_available_target_runs_beside_the_first(self):
        health_registry = HealthRegistry()
        open_breaker(health_registry.of(OTHER))
        attempts = Attempts(ONE, OTHER, LARGE, health_registry=health_registry)
        assert attempts.queue.acquire_beside(attempts.next()).target is LARGE

    def test_a_fallback_does_not_run_beside_another_target(self):
        health_registry = HealthRegistry()
        open_breaker(health_registry.of(ONE))
        attempts = Attempts(ONE, health_registry=health_registry, fallback_targets=lambda _: (OTHER, LARGE))
        assert attempts.queue.acquire_beside(attempts.next()) is None

    def test_a_target_that_failed_beside_another_may_be_tried_again(self):
        attempts = Attempts(ONE, OTHER, max_tries=2)
        other = attempts.queue.acquire_beside(attempts.next()).target
        attempts.queue.after_hedge_failure(ONE, FAILED)
        attempts.queue.after_failure(other, UpstreamCredentials("no", upstream_status=401))
        assert attempts.next() is ONE

    def test_a_target_whose_attempt_was_cancelled_may_be_tried_again(self):
        attempts = Attempts(ONE, OTHER, max_tries=1)
        other = attempts.queue.acquire_beside(attempts.next()).target
        attempts.queue.put_back(ONE)
        attempts.queue.after_failure(other, FAILED, content_sent=True)
        assert attempts.next() is ONE

    def test_a_target_without_others_runs_alone(self):
        attempts = Attempts(ONE)
        assert attempts.queue.acquire_beside(attempts.next()) is None
