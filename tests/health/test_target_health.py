"""Breakers, cool-downs, retry budgets and latencies of targets."""

import threading

import pytest

from gateway.catalog.targets import Provider, Target
from gateway.catalog.vendors import VENDORS
from gateway.errors import (
    CALL_TIMEOUT,
    OUR_LIMIT,
    ClientDisconnected,
    UpstreamCredentials,
    UpstreamLimited,
    UpstreamRefused,
    UpstreamRejected,
    UpstreamTimeout,
)
from gateway.health.circuit_breaker import MAX_OPEN_SECONDS, MIN_FAILURES, OPEN_SECONDS, WINDOW, CircuitBreaker
from gateway.health.refusals import REFUSAL_WINDOW, Caller
from gateway.health.target_health import (
    BREAKER_OPEN,
    FULL,
    LIMITED,
    MAX_TARGETS,
    REFUSED,
    REFUSED_COOLDOWN,
    HealthRegistry,
    TargetHealth,
    TargetLease,
    Unavailable,
)
from tests.support.health import FAILED, Clock, finish_call, open_breaker

UPSTREAM = ("openai", "https://a.example", "m")


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def health(clock):
    return TargetHealth(CircuitBreaker(UPSTREAM, clock, enabled=True), clock=clock)


def test_the_breaker_opens_when_most_calls_fail(health):
    for _ in range(MIN_FAILURES - 1):
        finish_call(health, FAILED)
    assert health.state == "closed"
    finish_call(health, FAILED)
    assert health.state == "open"
    assert health.acquire() == Unavailable(BREAKER_OPEN, OPEN_SECONDS)


def test_the_breaker_stays_closed_while_most_calls_succeed(health):
    for _ in range(30):
        finish_call(health)
        finish_call(health)
        finish_call(health, FAILED)
    assert health.state == "closed"


def test_failures_older_than_the_window_do_not_count(health, clock):
    for _ in range(MIN_FAILURES - 1):
        finish_call(health, FAILED)
    clock.now += WINDOW + 1
    finish_call(health, FAILED)
    assert health.state == "closed"


def test_one_successful_probe_closes_the_breaker(health, clock):
    open_breaker(health)
    clock.now += OPEN_SECONDS
    assert health.state == "half-open"
    probe = health.acquire()
    assert health.acquire().reason == BREAKER_OPEN
    with probe:
        pass
    assert health.state == "closed"


def test_a_failed_probe_doubles_the_open_time(health, clock):
    open_breaker(health)
    seconds = OPEN_SECONDS
    for _ in range(6):
        clock.now += seconds
        finish_call(health, FAILED)
        seconds = min(MAX_OPEN_SECONDS, 2 * seconds)
        assert health.acquire() == Unavailable(BREAKER_OPEN, seconds)


def test_a_probe_whose_client_disconnects_changes_nothing_and_another_may_begin(health, clock):
    open_breaker(health)
    clock.now += OPEN_SECONDS
    finish_call(health, ClientDisconnected("gone"))
    assert health.state == "half-open"
    finish_call(health)
    assert health.state == "closed"


def test_a_call_that_began_before_the_breaker_opened_does_not_close_it(health):
    early = health.acquire()
    open_breaker(health)
    with early:
        pass
    assert health.state == "open"


@pytest.mark.parametrize(
    "error", [ClientDisconnected("gone"), UpstreamRejected("no", upstream_status=400), GeneratorExit()]
)
def test_an_error_that_is_not_the_upstreams_fault_does_not_open_the_breaker(health, error):
    for _ in range(50):
        finish_call(health, error)
    assert health.state == "closed"
    assert health.in_flight == 0


def test_only_one_of_many_threads_gets_the_probe(health, clock):
    open_breaker(health)
    clock.now += OPEN_SECONDS
    acquired = []
    barrier = threading.Barrier(16)

    def acquire():
        barrier.wait()
        acquired.append(health.acquire())

    threads = [threading.Thread(target=acquire) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(lease, TargetLease) for lease in acquired) == 1


def test_a_rate_limited_target_cools_down_for_its_retry_after(health, clock):
    finish_call(health, UpstreamLimited("busy", retry_after=20))
    assert health.state == "cooling"
    assert health.acquire()[:2] == (LIMITED, 20)
    clock.now += 20
    assert health.state == "closed"
    finish_call(health)


def test_a_rate_limit_without_a_retry_after_causes_no_cool_down(health):
    finish_call(health, UpstreamLimited("busy"))
    finish_call(health)


def test_a_target_that_refused_the_credential_cools_down(health):
    finish_call(health, UpstreamCredentials("no", upstream_status=401))
    assert health.acquire().reason == REFUSED


def test_disabled_breakers_neither_open_nor_cool_down(clock):
    health = TargetHealth(CircuitBreaker(UPSTREAM, clock, enabled=False), cooldowns=False, clock=clock)
    for _ in range(50):
        finish_call(health, FAILED)
        finish_call(health, UpstreamLimited("busy", retry_after=20))
    assert health.state == "closed"


def test_a_health_probe_closes_the_breaker_unless_traffic_failed_later(health, clock):
    open_breaker(health)
    assert not health.breaker.close_if_recovered(clock.now - 1)
    assert health.state == "open"
    assert health.breaker.close_if_recovered(clock.now + 1)
    assert health.state == "closed"
    assert not health.breaker.close_if_recovered(clock.now + 2)


def test_calls_in_flight_are_bounded_by_the_callers_own_maximum(health):
    first, second = health.acquire(), health.acquire(2)
    assert health.acquire(2).reason == FULL
    with first:
        pass
    assert isinstance(health.acquire(2), TargetLease)
    with second:
        pass


def test_latencies_of_plain_responses_and_of_first_content_are_kept_apart(health, clock):
    for streams, seconds in ((True, 0.1), (False, 5.0)):
        with health.acquire() as lease:
            clock.now += seconds
            lease.record_latency(streams=streams)
    assert health.latency(streams=True).average == pytest.approx(0.1)
    assert health.latency(streams=False).average == pytest.approx(5.0)


def test_a_timeout_of_a_call_with_a_short_deadline_does_not_count(health):
    for _ in range(2 * MIN_FAILURES):
        lease = health.acquire()
        lease.short_deadline = True
        with pytest.raises(UpstreamTimeout), lease:
            raise UpstreamTimeout("late", upstream_status=CALL_TIMEOUT)
    assert health.state == "closed"
    for _ in range(MIN_FAILURES):
        finish_call(health, UpstreamTimeout("late", upstream_status=CALL_TIMEOUT))
    assert health.state == "open"


def test_the_gateways_own_limit_does_not_close_a_breaker(health, clock):
    open_breaker(health)
    clock.now += OPEN_SECONDS
    finish_call(health, UpstreamLimited("full", upstream_status=OUR_LIMIT, retry_after=5))
    assert health.breaker.tripped


def test_a_target_with_a_used_up_quota_cools_down(health):
    finish_call(health, UpstreamLimited("You exceeded your quota.", type="insufficient_quota"))
    assert health.acquire()[:2] == (LIMITED, REFUSED_COOLDOWN)


def test_a_retry_that_never_began_is_returned_to_the_budget(health):
    while health.take_retry():
        pass
    health.return_retry()
    assert health.take_retry()
    assert not health.take_retry()


def with_key(key, url="https://a.example", model="m"):
    return Target(Provider(VENDORS["openai"], url, key), model)


def test_two_keys_of_one_upstream_share_a_breaker_and_cool_down_separately(clock):
    health_registry = HealthRegistry(clock=clock)
    first, second = health_registry.of(with_key("one")), health_registry.of(with_key("two"))
    finish_call(first, UpstreamLimited("busy", retry_after=20))
    assert (first.state, second.state) == ("cooling", "closed")
    open_breaker(second)
    assert (first.state, second.state) == ("open", "open")


def test_unhealthy_targets_are_listed_by_name_and_by_host_where_names_repeat(clock):
    health_registry = HealthRegistry(clock=clock)
    finish_call(health_registry.of(with_key("one")), UpstreamLimited("busy", retry_after=20))
    health_registry.of(with_key("two"))
    assert health_registry.unhealthy() == {"openai/m": "cooling"}
    open_breaker(health_registry.of(with_key("one", "https://b.example:8443/v1")))
    assert health_registry.unhealthy() == {"openai/m at a.example": "cooling", "openai/m at b.example:8443": "open"}


def test_each_target_has_one_health_whatever_its_weight():
    health_registry = HealthRegistry()
    openai, other = (Provider(VENDORS["openai"], url, None) for url in ("https://a.example", "https://b.example"))
    assert health_registry.of(Target(openai, "m")) is health_registry.of(Target(openai, "m", weight=3))
    assert health_registry.of(Target(openai, "m")) is not health_registry.of(Target(other, "m"))


def test_the_number_of_remembered_targets_is_bounded():
    health_registry = HealthRegistry()
    provider = Provider(VENDORS["openai"], "https://a.example", None)
    busy = health_registry.of(Target(provider, "busy"))
    busy.acquire()
    for n in range(2 * MAX_TARGETS):
        health_registry.of(Target(provider, f"m{n}"))
    assert len(health_registry.items()) <= MAX_TARGETS + 1
    assert health_registry.of(Target(provider, "busy")) is busy


def test_the_number_of_remembered_failing_targets_is_bounded(clock):
    health_registry = HealthRegistry(clock=clock)
    queued = health_registry.of(with_key("key", model="queued"))
    queued.add_queued(1)
    for n in range(MAX_TARGETS + 100):
        open_breaker(health_registry.of(with_key("key", model=f"m{n}")))
    assert len(health_registry.items()) <= MAX_TARGETS
    assert health_registry.of(with_key("key", model="queued")) is queued


def test_threads_may_add_targets_at_the_same_time():
    health_registry, errors = HealthRegistry(), []

    def add_many(thread):
        try:
            for n in range(MAX_TARGETS):
                health_registry.of(with_key("key", model=f"{thread}-{n}"))
        except RuntimeError as error:
            errors.append(error)

    threads = [threading.Thread(target=add_many, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_opening_closing_and_cooling_down_are_reported(clock):
    changes = []
    health_registry = HealthRegistry(clock=clock, on_state_change=changes.append)
    health = health_registry.of(with_key("one"))
    open_breaker(health)
    clock.now += OPEN_SECONDS
    finish_call(health)
    finish_call(health, UpstreamLimited("busy", retry_after=20))
    assert changes == [(UPSTREAM, "open", OPEN_SECONDS), (UPSTREAM, "closed", 0.0), (UPSTREAM, "cooling", 20)]


def test_a_probe_of_an_earlier_opening_does_not_close_a_later_one(health, clock):
    open_breaker(health)
    clock.now += OPEN_SECONDS
    early = health.acquire()
    assert health.breaker.close_if_recovered(clock.now)
    open_breaker(health)
    clock.now += OPEN_SECONDS
    late = health.acquire()
    with early:
        pass
    assert health.breaker.tripped
    assert health.acquire().reason == BREAKER_OPEN
    with late:
        pass
    assert health.state == "closed"


def test_a_rate_limited_probe_leaves_the_target_cooling_down(clock):
    changes = []
    health = HealthRegistry(clock=clock, on_state_change=changes.append).of(with_key("one"))
    open_breaker(health)
    clock.now += OPEN_SECONDS
    finish_call(health, UpstreamLimited("busy", retry_after=300))
    assert health.state == "cooling"
    assert changes[-1] == (UPSTREAM, "cooling", 300)


def test_of_two_keys_the_longer_cool_down_is_reported_and_none_is_shortened(clock):
    changes = []
    health_registry = HealthRegistry(clock=clock, on_state_change=changes.append)
    for key, seconds in (("one", 60), ("two", 1)):
        finish_call(health_registry.of(with_key(key)), UpstreamLimited("busy", retry_after=seconds))
    assert [change.seconds for change in changes] == [60, 60]
    health = health_registry.of(with_key("one"))
    health.in_flight += 1
    health.release(UpstreamLimited("busy", retry_after=5))
    assert health.acquire().seconds == 60


def test_a_retry_in_a_cool_down_respects_the_maximum_in_flight(health):
    with health.acquire(2):
        finish_call(health, UpstreamLimited("busy", retry_after=3))
        second = health.acquire(2, again=True)
        assert isinstance(second, TargetLease)
        assert health.acquire(2, again=True).reason == FULL
        with second:
            pass


def refuse(health, caller, body):
    lease = health.acquire()
    lease.caller = lambda: Caller(caller, body)
    with pytest.raises(UpstreamRefused), lease:
        raise UpstreamRefused("Not with this one.", upstream_status=403)


def test_one_request_that_is_refused_again_and_again_rests_no_target(health):
    for _ in range(20):
        refuse(health, "alice", b"one")
        refuse(health, "alice", b"two")
    assert health.state == "closed"


def test_three_refused_bodies_of_one_caller_rest_the_target(health):
    for body in (b"one", b"two", b"three"):
        assert health.state == "closed"
        refuse(health, "alice", body)
    assert health.acquire()[:2] == (REFUSED, REFUSED_COOLDOWN)


def test_a_refusal_of_a_second_caller_rests_the_target(health):
    refuse(health, "alice", b"one")
    refuse(health, "bob", b"one")
    assert health.acquire().reason == REFUSED


def test_refusals_are_forgotten_after_the_window(health, clock):
    refuse(health, "alice", b"one")
    refuse(health, "alice", b"two")
    clock.now += REFUSAL_WINDOW
    refuse(health, "bob", b"three")
    assert health.state == "closed"


def test_after_a_rate_limit_a_few_calls_begin_and_each_answer_lets_more_follow(health, clock):
    finish_call(health, UpstreamLimited("busy", retry_after=1))
    clock.now += 1
    first, second = health.acquire(), health.acquire()
    assert health.acquire() == Unavailable(FULL, 0.0)
    first.record_latency(streams=True)
    more = [health.acquire() for _ in range(3)]
    assert all(isinstance(lease, TargetLease) for lease in more)
    assert health.acquire().reason == FULL
    for lease in (first, second, *more):
        with lease:
            pass
    assert health.in_flight == 0
    for _ in range(10):
        with health.acquire() as lease:
            lease.record_latency(streams=False)
    assert all(isinstance(health.acquire(), TargetLease) for _ in range(100))


def test_long_streams_from_before_a_rate_limit_keep_nobody_waiting(health, clock):
    for _ in range(50):
        health.acquire().record_latency(streams=True)
    finish_call(health, UpstreamLimited("busy", retry_after=1))
    clock.now += 1
    assert isinstance(health.acquire(), TargetLease)


def test_the_gateways_own_limit_is_followed_by_no_recovery(health, clock):
    finish_call(health, UpstreamLimited("full", upstream_status=OUR_LIMIT, retry_after=1))
    clock.now += 1
    assert all(isinstance(health.acquire(), TargetLease) for _ in range(100))
