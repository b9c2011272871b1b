"""The limit of calls in flight, for any number of threads."""

from gateway.completions.concurrency_limit import ConcurrencyLimit
from tests.support.threads import run_in_threads


def test_concurrent_calls_never_exceed_the_limit():
    limit, acquired = ConcurrencyLimit(100), []
    run_in_threads(16, lambda: acquired.extend([limit.acquire() for _ in range(50)]))
    assert acquired.count(True) == limit.in_flight == 100
    limit.release()
    assert limit.acquire()
    assert not limit.acquire()
