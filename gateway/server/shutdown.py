"""The end of a worker's life: by when the requests in flight must have been answered."""

import math
import time

# The key of a request's WSGI environ that holds its worker's Shutdown. Other servers than our workers set none.
SHUTDOWN = "pointsman.shutdown"


class Shutdown:
    """`deadline` (`time.monotonic()`): requests still in flight then are ended with an error, and logged."""

    def __init__(self) -> None:
        self.deadline = math.inf

    def start(self, grace: float) -> None:
        """The server will be killed in `grace` seconds."""
        # The last 5 s are for the error frames, the log lines and the closing of connections.
        self.deadline = time.monotonic() + max(grace - 5, grace / 2)


# For requests of a server that tells nothing of its shutdown. It never starts.
NO_SHUTDOWN = Shutdown()
