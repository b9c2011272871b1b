"""What is counted in this process: windows, exactly, by any number of threads; and the slots that calls hold."""

import threading
import time

from gateway.accounts.rate_limits import MOST_KEPT, Counts
from gateway.completions.concurrency_limit import Slots
from tests.support.servers import eventually


def in_threads(count, work):
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_each_hit_counts_once_whoever_makes_it():
    counts, seen = Counts(), []
    in_threads(16, lambda: seen.extend([counts.incr("key", 60) for _ in range(500)]))
    assert sorted(seen) == list(range(1, 8001))
    assert counts.get("key") == 8000


def test_a_window_ends_and_the_next_begins_at_nothing():
    counts = Counts()
    assert counts.incr("key", 0.05, amount=3) == 3
    ends = counts.get_expiry("key")
    assert ends > time.time() - 0.05
    assert eventually(lambda: counts.get("key") == 0, 5, 0.01)
    assert counts.incr("key", 60) == 1
    assert counts.get_expiry("key") > ends


def test_windows_that_are_over_are_forgotten():
    counts = Counts()
    counts.incr("kept", 60)
    for n in range(3 * MOST_KEPT):
        counts.incr(f"key-{n}", 0)
    assert len(counts._windows) <= MOST_KEPT + 1
    assert counts.get("kept") == 1


def test_a_key_or_all_of_them_can_be_cleared():
    counts = Counts()
    counts.incr("a", 60)
    counts.incr("b", 60)
    counts.clear("a")
    assert (counts.get("a"), counts.get("b")) == (0, 1)
    assert counts.reset() == 1
    assert counts.get("b") == 0


def test_no_more_slots_are_taken_than_there_are():
    slots, got = Slots(100), []
    in_threads(16, lambda: got.extend([slots.take() for _ in range(50)]))
    assert got.count(True) == slots.taken == 100
    slots.give()
    assert slots.take()
    assert not slots.take()
