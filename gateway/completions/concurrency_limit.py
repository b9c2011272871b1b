"""How many calls a process holds at once."""

from collections import deque


class ConcurrencyLimit:
    """So many, for all threads; a deque's ends are atomic, a semaphore would cost ten times as much."""

    def __init__(self, limit: int) -> None:
        self._limit, self._available = limit, deque([None] * limit)

    @property
    def in_flight(self) -> int:
        return self._limit - len(self._available)

    def acquire(self) -> bool:
        """Whether there was one left."""
        try:
            self._available.pop()
        except IndexError:
            return False
        return True

    def release(self) -> None:
        """Give one back."""
        self._available.append(None)
