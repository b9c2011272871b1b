"""What is counted in this process: windows, exactly, by any number of threads; and the slots that calls hold."""

import threading
import time

from gateway.accounts.rate_limits import MOST_KEPT, MemoryCounters
from gateway.completions.concurrency_limit import ConcurrencyLimit
from tests.support.servers import wait_until


def in_threads(count, work):
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_each_hit_counts_once_whoever_makes_it():
    storage_uri, seen = MemoryCounters(), []
    in_threads(16, lambda: seen.extend([storage_uri.incr("key", 60) for _ in range(500)]))
    assert sorted(seen) == list(range(1, 8001))
    assert storage_uri.get("key") == 8000


def test_a_window_ends_and_the_next_begins_at_nothing():
    storage_uri = MemoryCounters()
    assert storage_uri.incr("key", 0.05, amount=3) == 3
    ends = storage_uri.get_expiry("key")
    assert ends > time.time() - 0.05
    assert wait_until(lambda: storage_uri.get("key") == 0, 5, 0.01)
    assert storage_uri.incr("key", 60) == 1
    assert storage_uri.get_expiry("key") > ends


def test_windows_that_are_over_are_forgotten():
    storage_uri = MemoryCounters()
    storage_uri.incr("kept", 60)
    for n in range(3 * MOST_KEPT):
        storage_uri.incr(f"key-{n}", 0)
    assert storage_uri.get("kept") == 1
    assert storage_uri.reset() <= MOST_KEPT + 1


def test_a_key_or_all_of_them_can_be_cleared():
    storage_uri = MemoryCounters()
    storage_uri.incr("a", 60)
    storage_uri.incr("b", 60)
    storage_uri.clear("a")
    assert (storage_uri.get("a"), storage_uri.get("b")) == (0, 1)
    assert storage_uri.reset() == 1
    assert storage_uri.get("b") == 0


def test_no_more_slots_are_taken_than_there_are():
    slots, got = ConcurrencyLimit(100), []
    in_threads(16, lambda: got.extend([slots.acquire() for _ in range(50)]))
    assert got.count(True) == slots.in_flight == 100
    slots.release()
    assert slots.acquire()
    assert not slots.acquire()
