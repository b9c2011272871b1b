"""Breakers, cool-downs, and what is counted of a target."""

import threading

import pytest

from gateway.catalog.vendors import VENDORS, Provider, Target
from gateway.errors import (
    CALL_TIMEOUT,
    OUR_LIMIT,
    ClientDisconnected,
    UpstreamCredentials,
    UpstreamFailed,
    UpstreamLimited,
    UpstreamRejected,
    UpstreamTimeout,
)
from gateway.health.circuit_breaker import LEAST_FAILURES, MAX_OPEN_SECONDS, OPEN_SECONDS, WINDOW, CircuitBreaker
from gateway.health.target_health import (
    FULL,
    LIMITED,
    MOST_KNOWN,
    OPEN,
    REFUSED,
    REFUSED_COOLDOWN,
    STALE,
    HealthRegistry,
    LatencyTracker,
    TargetHealth,
    TargetLease,
    Unavailable,
)
from tests.support.health import Clock, ask, broken

FAILED = UpstreamFailed("failed", upstream_status=500)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def health(clock):
    return TargetHealth(CircuitBreaker(clock, on=True), clock=clock)


def test_it_opens_when_most_calls_fail(health):
    for _ in range(LEAST_FAILURES - 1):
        ask(health, FAILED)
    assert health.state == "closed"
    ask(health, FAILED)
    assert health.state == "open"
    assert health.acquire() == Unavailable(OPEN, OPEN_SECONDS)


def test_it_stays_closed_while_most_go_well(health):
    for _ in range(30):
        ask(health)
        ask(health)
        ask(health, FAILED)
    assert health.state == "closed"


def test_old_failures_do_not_count(health, clock):
    for _ in range(LEAST_FAILURES - 1):
        ask(health, FAILED)
    clock.now += WINDOW + 1
    ask(health, FAILED)
    assert health.state == "closed"


def test_one_probe_decides(health, clock):
    broken(health)
    clock.now += OPEN_SECONDS
    assert health.state == "half-open"
    probe = health.acquire()
    assert health.acquire().reason == OPEN
    with probe:
        pass
    assert health.state == "closed"


def test_a_failed_probe_doubles_the_rest(health, clock):
    broken(health)
    rest = OPEN_SECONDS
    for _ in range(6):
        clock.now += rest
        ask(health, FAILED)
        rest = min(MAX_OPEN_SECONDS, 2 * rest)
        assert health.acquire() == Unavailable(OPEN, rest)


def test_an_abandoned_probe_is_no_news_and_the_next_one_may_come(health, clock):
    broken(health)
    clock.now += OPEN_SECONDS
    ask(health, ClientDisconnected("gone"))
    assert health.state == "half-open"
    ask(health)
    assert health.state == "closed"


def test_what_began_before_it_opened_says_nothing(health):
    early = health.acquire()
    broken(health)
    with early:
        pass
    assert health.state == "open"


@pytest.mark.parametrize(
    "error", [ClientDisconnected("gone"), UpstreamRejected("no", upstream_status=400), GeneratorExit()]
)
def test_what_is_not_its_fault_does_not_open_it(health, error):
    for _ in range(50):
        ask(health, error)
    assert health.state == "closed"
    assert health.in_flight == 0


def test_only_one_thread_gets_the_probe(health, clock):
    broken(health)
    clock.now += OPEN_SECONDS
    got = []
    barrier = threading.Barrier(16)

    def enter():
        barrier.wait()
        got.append(health.acquire())

    threads = [threading.Thread(target=enter) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(one, TargetLease) for one in got) == 1


def test_a_limit_cools_it_down_for_as_long_as_it_said(health, clock):
    ask(health, UpstreamLimited("busy", retry_after=20))
    assert health.state == "cooling"
    assert health.acquire()[:2] == (LIMITED, 20)
    clock.now += 20
    assert health.state == "closed"
    ask(health)


def test_a_limit_without_a_time_does_not(health):
    ask(health, UpstreamLimited("busy"))
    ask(health)


def test_a_refused_credential_cools_it_down(health):
    ask(health, UpstreamCredentials("no", upstream_status=401))
    assert health.acquire().reason == REFUSED


def test_switched_off_it_never_opens_nor_cools(clock):
    health = TargetHealth(CircuitBreaker(clock, on=False), cooldowns=False, clock=clock)
    for _ in range(50):
        ask(health, FAILED)
        ask(health, UpstreamLimited("busy", retry_after=20))
    assert health.state == "closed"


def test_a_probe_from_outside_closes_it_unless_traffic_knows_better(health, clock):
    broken(health)
    assert not health.breaker.close_if_recovered(clock.now - 1)
    assert health.state == "open"
    assert health.breaker.close_if_recovered(clock.now + 1)
    assert health.state == "closed"
    assert not health.breaker.close_if_recovered(clock.now + 2)


def test_it_takes_so_many_calls_at_once_whoever_asked_first(health):
    first, second = health.acquire(), health.acquire(2)
    assert health.acquire(2).reason == FULL
    with first:
        pass
    assert isinstance(health.acquire(2), TargetLease)
    with second:
        pass


def test_pace_is_weighted_to_the_recent_and_forgotten(clock):
    pace = LatencyTracker(clock)
    assert pace.average == 0
    pace.record(1.0)
    pace.record(2.0)
    assert 1.0 < pace.average < 2.0
    clock.now += STALE
    assert pace.average == 0


def test_plain_answers_are_not_compared_with_the_first_content_of_streams(health, clock):
    for streams, seconds in ((True, 0.1), (False, 5.0)):
        with health.acquire() as attempt:
            clock.now += seconds
            attempt.record_latency(streams=streams)
    assert health.latency(streams=True).average == pytest.approx(0.1)
    assert health.latency(streams=False).average == pytest.approx(5.0)


def test_a_call_that_had_hardly_any_time_says_nothing_about_the_target(health):
    for _ in range(2 * LEAST_FAILURES):
        attempt = health.acquire()
        attempt.short_deadline = True
        with pytest.raises(UpstreamTimeout), attempt:
            raise UpstreamTimeout("late", upstream_status=CALL_TIMEOUT)
    assert health.state == "closed"
    for _ in range(LEAST_FAILURES):
        ask(health, UpstreamTimeout("late", upstream_status=CALL_TIMEOUT))
    assert health.state == "open"


def test_a_limit_of_ours_does_not_close_a_breaker(health, clock):
    broken(health)
    clock.now += OPEN_SECONDS
    ask(health, UpstreamLimited("full", upstream_status=OUR_LIMIT, retry_after=5))
    assert health.breaker.tripped


def test_a_target_that_is_not_paid_for_rests(health):
    ask(health, UpstreamLimited("You exceeded your quota.", type="insufficient_quota"))
    assert health.acquire()[:2] == (LIMITED, REFUSED_COOLDOWN)


def test_a_retry_that_never_began_is_given_back(health):
    while health.take_retry():
        pass
    health.return_retry()
    assert health.take_retry()
    assert not health.take_retry()


def of_key(key, url="https://a.example", model="m"):
    return Target(Provider(VENDORS["openai"], url, key), model)


def test_two_keys_have_one_breaker_and_cool_down_apart(clock):
    health_registry = HealthRegistry(clock=clock)
    one, two = health_registry.of(of_key("one")), health_registry.of(of_key("two"))
    ask(one, UpstreamLimited("busy", retry_after=20))
    assert (one.state, two.state) == ("cooling", "closed")
    broken(two)
    assert (one.state, two.state) == ("open", "open")


def test_what_stands_apart_is_told_by_name_and_where_that_is_not_enough_by_host(clock):
    health_registry = HealthRegistry(clock=clock)
    ask(health_registry.of(of_key("one")), UpstreamLimited("busy", retry_after=20))
    health_registry.of(of_key("two"))
    assert health_registry.unhealthy() == {"openai/m": "cooling"}
    broken(health_registry.of(of_key("one", "https://b.example:8443/v1")))
    assert health_registry.unhealthy() == {"openai/m at a.example": "cooling", "openai/m at b.example:8443": "open"}


def test_one_standing_for_each_target():
    health_registry = HealthRegistry()
    openai, other = (Provider(VENDORS["openai"], url, None) for url in ("https://a.example", "https://b.example"))
    assert health_registry.of(Target(openai, "m")) is health_registry.of(Target(openai, "m", weight=3))
    assert health_registry.of(Target(openai, "m")) is not health_registry.of(Target(other, "m"))


def test_names_that_clients_make_up_are_not_kept_for_ever():
    health_registry = HealthRegistry()
    provider = Provider(VENDORS["openai"], "https://a.example", None)
    busy = health_registry.of(Target(provider, "busy"))
    busy.acquire()
    for n in range(2 * MOST_KNOWN):
        health_registry.of(Target(provider, f"m{n}"))
    assert len(health_registry.items()) <= MOST_KNOWN + 1
    assert health_registry.of(Target(provider, "busy")) is busy


def test_nor_are_those_that_fail(clock):
    health_registry = HealthRegistry(clock=clock)
    waited_for = health_registry.of(of_key("key", model="waited-for"))
    waited_for.add_queued(1)
    for n in range(MOST_KNOWN + 100):
        broken(health_registry.of(of_key("key", model=f"m{n}")))
    assert len(health_registry.items()) <= MOST_KNOWN
    assert health_registry.of(of_key("key", model="waited-for")) is waited_for


def test_threads_may_ask_for_new_names_at_once():
    health_registry, faults = HealthRegistry(), []

    def ask_many(thread):
        try:
            for n in range(MOST_KNOWN):
                health_registry.of(of_key("key", model=f"{thread}-{n}"))
        except RuntimeError as error:
            faults.append(error)

    threads = [threading.Thread(target=ask_many, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults


def test_what_opens_closes_and_cools_down_is_told(clock):
    heard = []
    health_registry = HealthRegistry(clock=clock, told=lambda *told: heard.append(told))
    upstream, one = ("openai", "https://a.example", "m"), health_registry.of(of_key("one"))
    broken(one)
    clock.now += OPEN_SECONDS
    ask(one)
    ask(one, UpstreamLimited("busy", retry_after=20))
    assert heard == [(upstream, "open", OPEN_SECONDS), (upstream, "closed", 0.0), (upstream, "cooling", 20)]


def test_a_probe_of_an_earlier_opening_says_nothing_of_a_later_one(health, clock):
    broken(health)
    clock.now += OPEN_SECONDS
    early = health.acquire()
    assert health.breaker.close_if_recovered(clock.now)
    broken(health)
    clock.now += OPEN_SECONDS
    late = health.acquire()
    with early:
        pass
    assert health.breaker.tripped
    assert health.acquire().reason == OPEN
    with late:
        pass
    assert health.state == "closed"


def test_a_probe_that_is_told_to_wait_leaves_the_target_resting(clock):
    heard = []
    one = HealthRegistry(clock=clock, told=lambda *told: heard.append(told[1:])).of(of_key("one"))
    broken(one)
    clock.now += OPEN_SECONDS
    ask(one, UpstreamLimited("busy", retry_after=300))
    assert one.state == "cooling"
    assert heard[-1] == ("cooling", 300)


def test_of_two_keys_the_longest_rest_is_told_and_none_is_cut_short(clock):
    heard = []
    health_registry = HealthRegistry(clock=clock, told=lambda *told: heard.append(told[2]))
    for key, seconds in (("one", 60), ("two", 1)):
        ask(health_registry.of(of_key(key)), UpstreamLimited("busy", retry_after=seconds))
    assert heard == [60, 60]
    one = health_registry.of(of_key("one"))
    one.in_flight += 1
    one.release(UpstreamLimited("busy", retry_after=5))
    assert one.acquire().seconds == 60


def test_a_retry_in_a_cool_down_takes_no_more_calls_at_once_than_are_given(health):
    with health.acquire(2):
        ask(health, UpstreamLimited("busy", retry_after=3))
        second = health.acquire(2, again=True)
        assert isinstance(second, TargetLease)
        assert health.acquire(2, again=True).reason == FULL
        with second:
            pass
