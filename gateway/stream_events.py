"""The items of a stream."""

from enum import Enum
from typing import Final, NamedTuple


class Event(NamedTuple):
    """One event of a vendor's stream; `name` is the SSE event's name, "" where there is none."""

    name: str
    data: bytes


class Pause(Enum):
    """
    An item of a stream of blocks, events or chunks: everything that has arrived is consumed, or nothing arrived for a while.

    Whoever transforms a stream passes it on.
    """

    PAUSE = 0


PAUSE: Final = Pause.PAUSE
