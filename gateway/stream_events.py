"""What flows through a stream."""

from enum import Enum
from typing import Final, NamedTuple


class Event(NamedTuple):
    """One event of a vendor's stream. `name` is the SSE event's name, "" where there is none."""

    name: str
    data: bytes


class Pause(Enum):
    """Stands in a stream of blocks, events or chunks where what has arrived is used up, or nothing came for a while.

    Whoever translates a stream passes it on as it comes.
    """

    PAUSE = 0


PAUSE: Final = Pause.PAUSE
