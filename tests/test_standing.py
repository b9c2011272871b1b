"""Breakers, cool-downs, and what is counted of a target."""

import threading

import pytest

from gateway.errors import (
    ClientGone,
    UpstreamCredentials,
    UpstreamFailed,
    UpstreamLimited,
    UpstreamRejected,
)
from gateway.providers import VENDORS, Provider, Target
from gateway.standing import (
    FULL,
    LEAST_FAILURES,
    LIMITED,
    MOST_KNOWN,
    MOST_REST,
    OPEN,
    REFUSED,
    REST,
    STALE,
    WINDOW,
    Attempt,
    Out,
    Standing,
    Standings,
)

FAILED = UpstreamFailed("failed", upstream_status=500)


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def standing(clock):
    return Standing(None, breaks=True, clock=clock)


def ask(standing, error=None):
    """A call that ends at once, so."""
    attempt = standing.enter()
    assert isinstance(attempt, Attempt), attempt
    attempt.__exit__(type(error), error, None)


def broken(standing, times=LEAST_FAILURES):
    for _ in range(times):
        ask(standing, FAILED)
    assert standing.state == "open"


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
    standing = Standing(None, breaks=False, clock=clock)
    for _ in range(50):
        ask(standing, FAILED)
        ask(standing, UpstreamLimited("busy", retry_after=20))
    assert standing.state == "closed"


def test_a_probe_from_outside_closes_it_unless_traffic_knows_better(standing, clock):
    broken(standing)
    assert not standing.recovered(clock.now - 1)
    assert standing.state == "open"
    assert standing.recovered(clock.now + 1)
    assert standing.state == "closed"
    assert not standing.recovered(clock.now + 2)


def test_it_takes_so_many_calls_at_once():
    standing = Standing(2, breaks=True)
    first, second = standing.enter(), standing.enter()
    assert standing.enter().reason == FULL
    with first:
        pass
    assert isinstance(standing.enter(), Attempt)
    with second:
        pass


def test_latency_is_weighted_to_the_recent_and_forgotten(standing, clock):
    assert standing.latency == 0
    standing.answered(1.0)
    standing.answered(2.0)
    assert 1.0 < standing.latency < 2.0
    clock.now += STALE
    assert standing.latency == 0


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
