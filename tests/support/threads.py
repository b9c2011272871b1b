"""Threads that work at the same time, and the threads that a test has started."""

import threading


def run_in_threads(count, work):
    """Call `work` in `count` threads, and wait for all of them."""
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class StartedThreads:
    """The threads that started after this was made: earlier tests may have left some."""

    def __init__(self):
        self.earlier = set(threading.enumerate())

    def names(self):
        return sorted(thread.name for thread in threading.enumerate() if thread not in self.earlier)
