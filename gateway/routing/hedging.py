"""Two attempts at once, where the first is slow: the first content wins, the other attempt is cancelled."""

import math
import queue
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import structlog

from gateway.errors import GatewayError, InternalError, error_location, without_traceback
from gateway.routing.attempt import ChunkStream, UpstreamAttempt, UpstreamCaller
from gateway.routing.call import Call
from gateway.routing.target_queue import Acquired, TargetQueue
from gateway.stream_events import PAUSE
from gateway.transport.client_watch import ClientWatch
from gateway.transport.upstream_wait import UpstreamWait

# What an attempt is to do: the chunks of its stream, or its plain response as the one item.
Work = Callable[[UpstreamAttempt], ChunkStream]
# Chunks that an attempt may be ahead of the client.
MAX_AHEAD = 64
# Seconds after which each thread looks whether the other is still there.
POLL_INTERVAL = 0.05
END = object()


class AttemptThread(threading.Thread):
    """
    One attempt in a thread of its own, since each waits for its upstream.

    `items` has what the attempt yields, then END or the error that ended it; for each of them the thread puts itself into `ready`.
    """

    def __init__(self, attempt: UpstreamAttempt, work: Work, ready: "queue.Queue[AttemptThread]") -> None:
        super().__init__(name="hedge", daemon=True)
        self.attempt, self._work, self._ready = attempt, work, ready
        self.items: queue.Queue[Any] = queue.Queue(MAX_AHEAD)

    def run(self) -> None:
        try:
            with closing(self._work(self.attempt)) as items:
                for item in items:
                    self._put(item)
            self._put(END)
        except GatewayError as error:
            self._put(without_traceback(error))
        except Exception as error:  # noqa: BLE001 - a fault of the gateway: it must not leave the client waiting
            structlog.get_logger().error("internal_error", request_id=self.attempt.call.id, **error_location(error))
            self._put(InternalError("The gateway failed."))

    def cancel(self) -> None:
        self.attempt.wait.cancelled = True

    def _put(self, item: Any) -> None:
        while not self.attempt.wait.cancelled:
            try:
                self.items.put(item, timeout=POLL_INTERVAL)
            except queue.Full:
                continue
            self._ready.put(self)
            return


class HedgedCall:
    """
    An attempt and, after `hedge_after` seconds without content, a second one of the next target beside it.

    `attempt` is the one that answered, or the one that failed last. `decided`: there is no room for another hedge in this call.
    """

    def __init__(
        self,
        caller: UpstreamCaller,
        call: Call,
        targets: TargetQueue,
        first: Acquired,
        *,
        hedge_after: float,
        work: Work,
    ) -> None:
        self._caller, self._call, self._targets, self._work = caller, call, targets, work
        self._ready: queue.Queue[AttemptThread] = queue.Queue()
        self._running: list[AttemptThread] = []
        self._hedge_at = time.monotonic() + hedge_after
        self._checked_at = 0.0
        self._first = first
        self.attempt = self._attempt(first)
        self.decided = False

    def run(self) -> ChunkStream:
        """What the winner yields; PAUSE when `yield_at` passes without anything. Raises its error, or the last one's."""
        try:
            self._start(self.attempt)
            winner = None
            while True:
                thread = self._next_ready()
                if (thread is None or winner is None) and time.monotonic() >= self._call.watch.yield_at:
                    yield PAUSE
                if thread is None or winner not in (None, thread):
                    continue
                item = thread.items.get()
                if item is END:
                    return
                if isinstance(item, GatewayError):
                    self._fail(thread, item)
                    continue
                if winner is None and item is not PAUSE:
                    winner = thread
                    self._win(winner)
                if winner is not None:
                    yield item
        finally:
            for thread in self._running:
                thread.cancel()

    def _attempt(self, acquired: Acquired) -> UpstreamAttempt:
        # It watches no client: this thread does, and cancels it.
        wait = UpstreamWait(ClientWatch(shutdown=self._call.watch.shutdown), poll_interval=POLL_INTERVAL)
        return self._caller.hedged_attempt(self._call, acquired.target, acquired.lease, wait)

    def _start(self, attempt: UpstreamAttempt) -> None:
        thread = AttemptThread(attempt, self._work, self._ready)
        try:
            thread.start()
        except RuntimeError as error:  # the system has no thread left
            with attempt.lease:
                raise InternalError("The gateway failed.") from error
        self._running.append(thread)

    def _next_ready(self) -> AttemptThread | None:
        """The thread that has an item; None after a while. Starts the second attempt when it is time."""
        now = time.monotonic()
        if now - self._checked_at >= POLL_INTERVAL:
            self._checked_at = now
            self._call.watch.check()
        seconds = math.inf if self.decided else self._hedge_at - now
        if seconds <= 0:
            self.decided = True
            second = self._targets.acquire_beside(self._first.target)
            if second:
                self._start(self._attempt(second))
        try:
            return self._ready.get(timeout=max(0.001, min(POLL_INTERVAL, seconds)))
        except queue.Empty:
            return None

    def _fail(self, thread: AttemptThread, error: GatewayError) -> None:
        """An attempt failed before any content. Raises its error when it was the last."""
        self._running.remove(thread)
        if not self._running:
            self.attempt = thread.attempt
            raise error
        thread.attempt.record_failure(error)
        self._targets.after_hedge_failure(thread.attempt.target, error)

    def _win(self, winner: AttemptThread) -> None:
        self.decided, self.attempt = True, winner.attempt
        for thread in self._running:
            if thread is not winner:
                thread.cancel()
                thread.attempt.record_cancelled()
                self._targets.put_back(thread.attempt.target)
        self._running = [winner]
