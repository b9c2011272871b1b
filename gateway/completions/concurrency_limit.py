"""How many calls a process may have in flight."""

from collections import deque


class ConcurrencyLimit:
    """A bound for all threads together."""

    # A deque's ends are atomic under the GIL; a threading.Semaphore costs ten times as much.
    def __init__(self, limit: int) -> None:
        self._limit, self._available = limit, deque([None] * limit)

    @property
    def in_flight(self) -> int:
        return self._limit - len(self._available)

    def acquire(self) -> bool:
        """Take a place; False where none is left."""
        try:
            self._available.pop()
        except IndexError:
            return False
        return True

    def release(self) -> None:
        self._available.append(None)
