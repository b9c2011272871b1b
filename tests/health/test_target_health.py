"""Breakers, cool-downs, and what is counted of a target."""

import threading

import pytest

from gateway.catalog.vendors import VENDORS, Provider, Target
from gateway.errors import (
    CALL_TIMEOUT,
    OUR_LIMIT,
    ClientGone,
    UpstreamCredentials,
    UpstreamFailed,
    UpstreamLimited,
    UpstreamRejected,
    UpstreamTimeout,
)
from gateway.health.circuit_breaker import LEAST_FAILURES, MOST_REST, REST, WINDOW, Breaker
from gateway.health.target_health import (
    FULL,
    LIMITED,
    MOST_KNOWN,
    OPEN,
    REFUSED,
    REFUSED_REST,
    STALE,
    Attempt,
    Out,
    Pace,
    Standing,
    Standings,
)
from tests.support.health import Clock, ask, broken

FAILED = UpstreamFailed("failed", upstream_status=500)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def standing(clock):
    return Standing(Breaker(clock, on=True), clock=clock)


def test_it_opens_when_most_calls_fail(standing):
    for _ in range(LEAST_FAILURES - 1):
        ask(standing, FAILED)
    assert standing.state == "closed"
    ask(standing, FAILED)
    assert standing.state == "open"
    assert standing.enter() == Out(OPEN, REST)


def test_it_stays_closed_while_most_go_well(standing):
    for _ in range(30):
        ask(standing)
        ask(standing)
        ask(standing, FAILED)
    assert standing.state == "closed"


def test_old_failures_do_not_count(standing, clock):
    for _ in range(LEAST_FAILURES - 1):
        ask(standing, FAILED)
    clock.now += WINDOW + 1
    ask(standing, FAILED)
    assert standing.state == "closed"


def test_one_probe_decides(standing, clock):
    broken(standing)
    clock.now += REST
    assert standing.state == "half-open"
    probe = standing.enter()
    assert standing.enter().reason == OPEN
    with probe:
        pass
    assert standing.state == "closed"


def test_a_failed_probe_doubles_the_rest(standing, clock):
    broken(standing)
    rest = REST
    for _ in range(6):
        clock.now += rest
        ask(standing, FAILED)
        rest = min(MOST_REST, 2 * rest)
        assert standing.enter() == Out(OPEN, rest)


def test_an_abandoned_probe_is_no_news_and_the_next_one_may_come(standing, clock):
    broken(standing)
    clock.now += REST
    ask(standing, ClientGone("gone"))
    assert standing.state == "half-open"
    ask(standing)
    assert standing.state == "closed"


def test_what_began_before_it_opened_says_nothing(standing):
    early = standing.enter()
    broken(standing)
    with early:
        pass
    assert standing.state == "open"


@pytest.mark.parametrize("error", [ClientGone("gone"), UpstreamRejected("no", upstream_status=400), GeneratorExit()])
def test_what_is_not_its_fault_does_not_open_it(standing, error):
    for _ in range(50):
        ask(standing, error)
    assert standing.state == "closed"
    assert standing.under_way == 0


def test_only_one_thread_gets_the_probe(standing, clock):
    broken(standing)
    clock.now += REST
    got = []
    barrier = threading.Barrier(16)

    def enter():
        barrier.wait()
        got.append(standing.enter())

    threads = [threading.Thread(target=enter) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(one, Attempt) for one in got) == 1


def test_a_limit_cools_it_down_for_as_long_as_it_said(standing, clock):
    ask(standing, UpstreamLimited("busy", retry_after=20))
    assert standing.state == "cooling"
    assert standing.enter()[:2] == (LIMITED, 20)
    clock.now += 20
    assert standing.state == "closed"
    ask(standing)


def test_a_limit_without_a_time_does_not(standing):
    ask(standing, UpstreamLimited("busy"))
    ask(standing)


def test_a_refused_credential_cools_it_down(standing):
    ask(standing, UpstreamCredentials("no", upstream_status=401))
    assert standing.enter().reason == REFUSED


def test_switched_off_it_never_opens_nor_cools(clock):
    standing = Standing(Breaker(clock, on=False), cools=False, clock=clock)
    for _ in range(50):
        ask(standing, FAILED)
        ask(standing, UpstreamLimited("busy", retry_after=20))
    assert standing.state == "closed"


def test_a_probe_from_outside_closes_it_unless_traffic_knows_better(standing, clock):
    broken(standing)
    assert not standing.breaker.recovered(clock.now - 1)
    assert standing.state == "open"
    assert standing.breaker.recovered(clock.now + 1)
    assert standing.state == "closed"
    assert not standing.breaker.recovered(clock.now + 2)


def test_it_takes_so_many_calls_at_once_whoever_asked_first(standing):
    first, second = standing.enter(), standing.enter(2)
    assert standing.enter(2).reason == FULL
    with first:
        pass
    assert isinstance(standing.enter(2), Attempt)
    with second:
        pass


def test_pace_is_weighted_to_the_recent_and_forgotten(clock):
    pace = Pace(clock)
    assert pace.average == 0
    pace.took(1.0)
    pace.took(2.0)
    assert 1.0 < pace.average < 2.0
    clock.now += STALE
    assert pace.average == 0


def test_plain_answers_are_not_compared_with_the_first_content_of_streams(standing, clock):
    for streams, seconds in ((True, 0.1), (False, 5.0)):
        with standing.enter() as attempt:
            clock.now += seconds
            attempt.answered(streams=streams)
    assert standing.pace(streams=True).average == pytest.approx(0.1)
    assert standing.pace(streams=False).average == pytest.approx(5.0)


def test_a_call_that_had_hardly_any_time_says_nothing_about_the_target(standing):
    for _ in range(2 * LEAST_FAILURES):
        attempt = standing.enter()
        attempt.hurried = True
        with pytest.raises(UpstreamTimeout), attempt:
            raise UpstreamTimeout("late", upstream_status=CALL_TIMEOUT)
    assert standing.state == "closed"
    for _ in range(LEAST_FAILURES):
        ask(standing, UpstreamTimeout("late", upstream_status=CALL_TIMEOUT))
    assert standing.state == "open"


def test_a_limit_of_ours_does_not_close_a_breaker(standing, clock):
    broken(standing)
    clock.now += REST
    ask(standing, UpstreamLimited("full", upstream_status=OUR_LIMIT, retry_after=5))
    assert standing.breaker.broken


def test_a_target_that_is_not_paid_for_rests(standing):
    ask(standing, UpstreamLimited("You exceeded your quota.", type="insufficient_quota"))
    assert standing.enter()[:2] == (LIMITED, REFUSED_REST)


def test_a_retry_that_never_began_is_given_back(standing):
    while standing.may_retry():
        pass
    standing.not_retried()
    assert standing.may_retry()
    assert not standing.may_retry()


def of_key(key, url="https://a.example", model="m"):
    return Target(Provider(VENDORS["openai"], url, key), model)


def test_two_keys_have_one_breaker_and_cool_down_apart(clock):
    standings = Standings(clock=clock)
    one, two = standings.of(of_key("one")), standings.of(of_key("two"))
    ask(one, UpstreamLimited("busy", retry_after=20))
    assert (one.state, two.state) == ("cooling", "closed")
    broken(two)
    assert (one.state, two.state) == ("open", "open")


def test_what_stands_apart_is_told_by_name_and_where_that_is_not_enough_by_host(clock):
    standings = Standings(clock=clock)
    ask(standings.of(of_key("one")), UpstreamLimited("busy", retry_after=20))
    standings.of(of_key("two"))
    assert standings.apart() == {"openai/m": "cooling"}
    broken(standings.of(of_key("one", "https://b.example:8443/v1")))
    assert standings.apart() == {"openai/m at a.example": "cooling", "openai/m at b.example:8443": "open"}


def test_one_standing_for_each_target():
    standings = Standings()
    openai, other = (Provider(VENDORS["openai"], url, None) for url in ("https://a.example", "https://b.example"))
    assert standings.of(Target(openai, "m")) is standings.of(Target(openai, "m", weight=3))
    assert standings.of(Target(openai, "m")) is not standings.of(Target(other, "m"))


def test_names_that_clients_make_up_are_not_kept_for_ever():
    standings = Standings()
    provider = Provider(VENDORS["openai"], "https://a.example", None)
    busy = standings.of(Target(provider, "busy"))
    busy.enter()
    for n in range(2 * MOST_KNOWN):
        standings.of(Target(provider, f"m{n}"))
    assert len(standings.items()) <= MOST_KNOWN + 1
    assert standings.of(Target(provider, "busy")) is busy


def test_nor_are_those_that_fail(clock):
    standings = Standings(clock=clock)
    waited_for = standings.of(of_key("key", model="waited-for"))
    waited_for.queue(1)
    for n in range(MOST_KNOWN + 100):
        broken(standings.of(of_key("key", model=f"m{n}")))
    assert len(standings.items()) <= MOST_KNOWN
    assert standings.of(of_key("key", model="waited-for")) is waited_for


def test_threads_may_ask_for_new_names_at_once():
    standings, faults = Standings(), []

    def ask_many(thread):
        try:
            for n in range(MOST_KNOWN):
                standings.of(of_key("key", model=f"{thread}-{n}"))
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
    standings = Standings(clock=clock, told=lambda *told: heard.append(told))
    upstream, one = ("openai", "https://a.example", "m"), standings.of(of_key("one"))
    broken(one)
    clock.now += REST
    ask(one)
    ask(one, UpstreamLimited("busy", retry_after=20))
    assert heard == [(upstream, "open", REST), (upstream, "closed", 0.0), (upstream, "cooling", 20)]


def test_a_probe_of_an_earlier_opening_says_nothing_of_a_later_one(standing, clock):
    broken(standing)
    clock.now += REST
    early = standing.enter()
    assert standing.breaker.recovered(clock.now)
    broken(standing)
    clock.now += REST
    late = standing.enter()
    with early:
        pass
    assert standing.breaker.broken
    assert standing.enter().reason == OPEN
    with late:
        pass
    assert standing.state == "closed"


def test_a_probe_that_is_told_to_wait_leaves_the_target_resting(clock):
    heard = []
    one = Standings(clock=clock, told=lambda *told: heard.append(told[1:])).of(of_key("one"))
    broken(one)
    clock.now += REST
    ask(one, UpstreamLimited("busy", retry_after=300))
    assert one.state == "cooling"
    assert heard[-1] == ("cooling", 300)


def test_of_two_keys_the_longest_rest_is_told_and_none_is_cut_short(clock):
    heard = []
    standings = Standings(clock=clock, told=lambda *told: heard.append(told[2]))
    for key, seconds in (("one", 60), ("two", 1)):
        ask(standings.of(of_key(key)), UpstreamLimited("busy", retry_after=seconds))
    assert heard == [60, 60]
    one = standings.of(of_key("one"))
    one.under_way += 1
    one.leave(UpstreamLimited("busy", retry_after=5))
    assert one.enter().seconds == 60


def test_a_retry_in_a_cool_down_takes_no_more_calls_at_once_than_are_given(standing):
    with standing.enter(2):
        ask(standing, UpstreamLimited("busy", retry_after=3))
        second = standing.enter(2, again=True)
        assert isinstance(second, Attempt)
        assert standing.enter(2, again=True).reason == FULL
        with second:
            pass
