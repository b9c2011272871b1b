"""How many calls a process holds at once."""

from collections import deque


class Slots:
    """So many, for all threads; a deque's ends are atomic, a semaphore would cost ten times as much."""

    def __init__(self, number: int) -> None:
        self._number, self._free = number, deque([None] * number)

    @property
    def taken(self) -> int:
        return self._number - len(self._free)

    def take(self) -> bool:
        """Whether there was one left."""
        try:
            self._free.pop()
        except IndexError:
            return False
        return True

    def give(self) -> None:
        """Give one back."""
        self._free.append(None)
