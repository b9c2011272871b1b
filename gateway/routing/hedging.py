"""Two attempts at once, where the first is late: the first content wins, the other is cancelled."""

import math
import queue
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

import structlog

from gateway.catalog.vendors import Target
from gateway.errors import GatewayError, InternalError, error_location, without_traceback
from gateway.health.target_health import TargetLease
from gateway.routing.attempt import Stream, failed
from gateway.routing.call import Call
from gateway.routing.failover import Failover
from gateway.stream_events import PAUSE
from gateway.transport.client_watch import ClientWatch

Work = Callable[[Call, Target, TargetLease], Stream]
Begun = Callable[[Call, Target], None]
MOST_AHEAD = 64
"""Chunks that an attempt may be ahead of the client."""
PATROL = 0.05
"""Seconds after which each side looks whether the other is still there."""
END = object()


class HedgedAttempt(threading.Thread):
    """
    One of the attempts, in a thread of its own, since each waits for its upstream.

    `said` gets this leg for each item of its own `items`: what it gave, END, or the error that it ended with.
    """

    def __init__(
        self,
        call: Call,
        target: Target,
        attempt: TargetLease,
        *,
        work: Work,
        begun: Begun,
        said: "queue.Queue[HedgedAttempt]",
    ) -> None:
        super().__init__(name="hedge", daemon=True)
        self.call = replace(
            call, watch=ClientWatch(shutdown=call.watch.shutdown, poll_interval=PATROL), closers=[], attempts=[]
        )
        self.target, self.attempt, self._work, self._begun, self._said = target, attempt, work, begun, said
        self.items: queue.Queue[Any] = queue.Queue(MOST_AHEAD)

    def run(self) -> None:
        try:
            with closing(self._work(self.call, self.target, self.attempt)) as items:
                began = False
                for item in items:
                    if item is not PAUSE and not began:
                        began = True
                        self._begun(self.call, self.target)
                    self._tell(item)
            self._tell(END)
        except GatewayError as error:
            self._tell(without_traceback(error))
        except Exception as error:  # noqa: BLE001 - a fault of ours: it must not leave the client waiting
            structlog.get_logger().error("internal_error", request_id=self.call.id, **error_location(error))
            self._tell(InternalError("The gateway failed."))
        finally:
            self.call.close()

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        self.call.watch.cancelled = True

    def _tell(self, item: Any) -> None:
        while not self.call.watch.cancelled:
            try:
                self.items.put(item, timeout=PATROL)
            except queue.Full:
                continue
            self._said.put(self)
            return


class HedgedCall:
    """
    The attempt of a plan, and, after `late` seconds without content, one of its next target beside it. `begun` is called
    when the first content of one is there.
    """

    def __init__(self, call: Call, failover: Failover, late: float, work: Work, begun: Begun = lambda *_: None) -> None:
        self._call, self._failover, self._work, self._begun = call, failover, work, begun
        self._said: queue.Queue[HedgedAttempt] = queue.Queue()
        self._attempts: list[HedgedAttempt] = []
        self._hedge_at = time.monotonic() + late
        self._looked = 0.0

    def run(self) -> Stream:
        """What the winner says; PAUSE when nothing came before `wake`. Raises its error, or the last one's."""
        try:
            self._start(self._failover.target, self._failover.attempt)
            winner = None
            while True:
                hedged = self._next()
                if (hedged is None or winner is None) and time.monotonic() >= self._call.watch.yield_at:
                    yield PAUSE
                if hedged is None or winner not in (None, hedged):
                    continue
                item = hedged.items.get()
                if item is END:
                    return
                if isinstance(item, GatewayError):
                    self._lost(hedged, item)
                    continue
                if winner is None and item is not PAUSE:
                    winner = hedged
                    self._won(winner)
                if winner is not None:
                    yield item
        finally:
            for hedged in self._attempts:
                hedged.cancel()

    def _start(self, target: Target, attempt: TargetLease) -> None:
        hedged = HedgedAttempt(self._call, target, attempt, work=self._work, begun=self._begun, said=self._said)
        try:
            hedged.start()
        except RuntimeError as error:  # no thread is to be had
            fault = InternalError("The gateway failed.")
            with attempt:
                raise fault from error
        self._attempts.append(hedged)

    def _next(self) -> HedgedAttempt | None:
        """The leg that has something to say; None after a while. Starts the second one when it is time."""
        now = time.monotonic()
        if now - self._looked >= PATROL:
            self._looked = now
            self._call.watch.check_client()
        until = math.inf if self._failover.hedged else self._hedge_at - now
        if until <= 0:
            other = self._failover.hedge()
            if other:
                self._start(*other)
        try:
            return self._said.get(timeout=max(0.001, min(PATROL, until)))
        except queue.Empty:
            return None

    def _lost(self, hedged: HedgedAttempt, error: GatewayError) -> None:
        """A leg failed before any content. Raises its error when it was the last."""
        self._attempts.remove(hedged)
        self._call.attempt_started = hedged.call.attempt_started
        if not self._attempts:
            self._failover.promote(hedged.target, hedged.attempt)
            raise error
        failed(self._call, hedged.target, error)
        self._failover.record_hedge_failure(hedged.target, error)

    def _won(self, winner: HedgedAttempt) -> None:
        self._failover.hedged = True
        losers = [hedged for hedged in self._attempts if hedged is not winner]
        for hedged in losers:
            hedged.cancel()
            self._call.attempt_started = hedged.call.attempt_started
            self._call.record_cancelled(hedged.target)
        self._attempts = [winner]
        self._failover.promote(winner.target, winner.attempt, tuple(hedged.target for hedged in losers))
        self._call.attempt_started, self._call.dropped = winner.call.attempt_started, winner.call.dropped
        self._call.hedge_winner = winner.call
