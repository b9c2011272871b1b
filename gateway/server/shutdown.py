"""When a process that was told to end has to have ended its calls."""

import math
import time


class Shutdown:
    """`ends_at` by `time.monotonic()`: what is under way then is told so, while there is still time to say and log it."""

    def __init__(self) -> None:
        self.deadline = math.inf

    def start(self, grace: float) -> None:
        """The server will be killed after `grace` seconds."""
        self.deadline = time.monotonic() + max(grace - 5, grace / 2)


SHUTDOWN = Shutdown()
"""This process's: the server's worker begins it, on SIGTERM."""
