"""The counters of rate limits in memory: exact windows, for any number of threads."""

import time

from gateway.accounts.rate_limits import MAX_WINDOWS, MemoryCounters
from tests.support.servers import wait_until
from tests.support.threads import run_in_threads


def test_concurrent_increments_are_each_counted_once():
    counters, counts = MemoryCounters(), []
    run_in_threads(16, lambda: counts.extend([counters.incr("key", 60) for _ in range(500)]))
    assert sorted(counts) == list(range(1, 8001))
    assert counters.get("key") == 8000


def test_a_new_window_starts_at_zero_when_the_last_one_has_ended():
    counters = MemoryCounters()
    assert counters.incr("key", 0.05, amount=3) == 3
    ends_at = counters.get_expiry("key")
    assert ends_at > time.time() - 0.05
    assert wait_until(lambda: counters.get("key") == 0, 5, 0.01)
    assert counters.incr("key", 60) == 1
    assert counters.get_expiry("key") > ends_at


def test_ended_windows_are_removed_from_memory():
    counters = MemoryCounters()
    counters.incr("lasting", 60)
    for n in range(3 * MAX_WINDOWS):
        counters.incr(f"key-{n}", 0)
    assert counters.get("lasting") == 1
    assert counters.reset() <= MAX_WINDOWS + 1


def test_clear_removes_one_window_and_reset_removes_all():
    counters = MemoryCounters()
    counters.incr("a", 60)
    counters.incr("b", 60)
    counters.clear("a")
    assert (counters.get("a"), counters.get("b")) == (0, 1)
    assert counters.reset() == 1
    assert counters.get("b") == 0
