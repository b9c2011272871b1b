"""The least rate at which a client has to send a body and to read a response, while bytes wait for it."""

import fcntl
import struct
import termios
from typing import Any

# Bytes a second, averaged over RATE_WINDOW seconds.
MIN_RATE = 1024
RATE_WINDOW = 30.0


class MinimumRate:
    """The bytes that a client has transferred since `since` (`time.monotonic()`)."""

    def __init__(self, now: float) -> None:
        self.since, self.transferred = now, 0

    def too_slow(self, now: float) -> bool:
        """Whether a window has ended with too few bytes. The next one begins then."""
        if now - self.since < RATE_WINDOW:
            return False
        slow = self.transferred < MIN_RATE * RATE_WINDOW
        self.since, self.transferred = now, 0
        return slow


class ReadingRate(MinimumRate):
    """
    The rate at which a client reads what it is sent, from the first send that had to wait on.

    What a socket accepts says little of it: Linux makes a socket writable again when a third of its send buffer, which may
    have megabytes, is free. So the bytes count that have left the buffer, whose size `queued` is.
    """

    def __init__(self, now: float, queued: int) -> None:
        super().__init__(now)
        self._queued = queued

    def update(self, sent: int, queued: int) -> bool:
        """`sent` more bytes are in the send buffer, which has `queued` now; true if the client has read all that waited before."""
        self.transferred += self._queued + sent - queued
        self._queued = queued
        return queued <= sent


def queued_bytes(client: Any) -> int:
    """The bytes in a socket's send buffer that the client's system has not acknowledged; 0 where the system does not say."""
    try:
        # tcp(7): SIOCOUTQ, which has the value of TIOCOUTQ, is the unsent data in the socket's send queue.
        size: int = struct.unpack("i", fcntl.ioctl(client.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))[0]
    except (OSError, ValueError):  # ValueError: the socket is closed
        return 0
    return size
