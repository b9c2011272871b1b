"""The targets of a call, tried in order until one answers."""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from functools import partial
from itertools import chain
from typing import TypeVar

from gateway import token_estimate
from gateway.catalog.routing_policy import P95
from gateway.catalog.targets import Target, Targets
from gateway.errors import GatewayError, Untranslatable, without_traceback
from gateway.health.target_health import HealthRegistry
from gateway.openai_types import Chunk, Completion, Json
from gateway.routing.attempt import (
    CHAT,
    EMBEDDINGS,
    ChunkStream,
    RequestKind,
    StreamLimits,
    Timeouts,
    UpstreamAttempt,
    UpstreamCaller,
)
from gateway.routing.call import Call
from gateway.routing.capabilities import capable_targets, filter_capable
from gateway.routing.hedging import HedgedCall, Work
from gateway.routing.strategies import OrderRequest, TargetOrder
from gateway.routing.stream_resume import Transcript, resumable, resume_method, splice
from gateway.routing.target_queue import Acquired, TargetQueue
from gateway.stream_events import PAUSE, Pause
from gateway.transport.http_transport import Transport

sleep = time.sleep
DEFAULT_LIMITS = StreamLimits()
Result = TypeVar("Result")


class Router:
    """
    Tries the targets of a call, one after another. The pauses between attempts are its own.

    `admit(target)` raises UpstreamLimited while the target's own limits are used up; `record_tokens(target, tokens)`
    counts towards them.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        attempts: int,
        timeouts: Timeouts,
        limits: StreamLimits = DEFAULT_LIMITS,
        admit: Callable[[Target], None],
        record_tokens: Callable[[Target, int], None],
        health_registry: HealthRegistry,
        sleep: Callable[[float], None] = sleep,
    ) -> None:
        self._caller = UpstreamCaller(transport, timeouts, admit, limits)
        self._max_tries, self._timeouts, self._record_tokens, self._sleep = attempts, timeouts, record_tokens, sleep
        self.health_registry, self._order = health_registry, TargetOrder(health_registry)

    def completion(self, call: Call) -> Completion:
        """The completion of the first target that answers. Raises GatewayError."""
        return self._fetch(call, CHAT)

    def embeddings(self, call: Call) -> Json:
        """The response to an embeddings request, as the upstream gave it. Raises GatewayError."""
        return self._fetch(call, EMBEDDINGS)

    def chunks(self, call: Call) -> Iterator[Chunk | Pause]:
        """
        The chunks of the first target that gives content; until then, PAUSE when `yield_at` passes without any.

        Raises GatewayError: before the first chunk, when no target answers; after it, when the answer breaks off.
        """
        queue, may_hedge = self._target_queue(call), True
        if call.policy.continue_on_break and resumable(call.chat):
            call.transcript = Transcript(call.chat)
        while True:
            acquired = yield from self._acquire(call, queue)
            hedged = self._hedged_call(call, queue, acquired, UpstreamAttempt.stream) if may_hedge else None
            attempt = hedged.attempt if hedged else self._caller.attempt(call, *acquired)
            content_sent = False
            try:
                with closing(hedged.run() if hedged else attempt.stream()) as stream:
                    for chunk in stream:
                        if chunk is PAUSE:
                            yield PAUSE
                            continue
                        content_sent, attempt = True, hedged.attempt if hedged else attempt
                        attempt.lease.record_latency(streams=True)
                        attempt.record_response(chunk)
                        if call.transcript is None:
                            yield chunk
                            yield from stream
                        else:
                            yield from _recorded(chain((chunk,), stream), call.transcript, attempt.target)
                        break
            except GatewayError as error:
                if hedged:
                    attempt, may_hedge = hedged.attempt, not hedged.decided
                attempt.record_failure(error)
                if content_sent and not (call.transcript and call.transcript.can_resume(error)):
                    raise
                seconds = queue.after_failure(attempt.target, error, content_sent=content_sent)
            else:
                return
            yield from self._wait(call, seconds)

    def ordered_targets(self, call: Call) -> Targets:
        """The targets that are capable of a call, in the order in which they are tried. Raises Untranslatable."""
        targets = capable_targets(call.targets, call.chat)
        return targets if len(targets) < 2 else self._order.order(targets, call.policy.strategy, _order_request(call))

    def preview(self, call: Call) -> Targets:
        """What `ordered_targets` would return, without taking a turn. Raises Untranslatable."""
        return self._order.preview(capable_targets(call.targets, call.chat), call.policy.strategy, _order_request(call))

    def fallback_targets(self, call: Call, kind: str) -> Targets:
        """The targets of a call's fallbacks of a kind that are capable of it, each name's by its own strategy."""
        return self._fallback_targets(call, kind, self._order.order)

    def preview_fallbacks(self, call: Call, kind: str) -> Targets:
        """What `fallback_targets` would return, without taking a turn."""
        return self._fallback_targets(call, kind, self._order.preview)

    def settle(self, call: Call) -> None:
        """Count the tokens that the call used, once they are known; of a cancelled attempt, those of the prompt."""
        for target in call.cancelled_targets:
            self._record_tokens(target, token_estimate.of_prompt(call.chat))
        if call.served_by:
            self._record_tokens(call.served_by, call.tokens())

    def _fetch(self, call: Call, kind: RequestKind) -> Json:
        """The plain response of the first target that answers."""

        def work(attempt: UpstreamAttempt) -> ChunkStream:
            yield attempt.fetch(kind)

        queue, may_hedge = self._target_queue(call), True
        while True:
            acquired = _without_pauses(self._acquire(call, queue))
            hedged = self._hedged_call(call, queue, acquired, work) if may_hedge else None
            attempt = hedged.attempt if hedged else self._caller.attempt(call, *acquired)
            try:
                response = _first_item(hedged.run()) if hedged else attempt.fetch(kind)
            except GatewayError as error:
                if hedged:
                    attempt, may_hedge = hedged.attempt, not hedged.decided
                attempt.record_failure(error)
                self._sleep_watching(call, queue.after_failure(attempt.target, error))
            else:
                (hedged.attempt if hedged else attempt).record_response(response)
                return response

    def _hedged_call(self, call: Call, queue: TargetQueue, acquired: Acquired, work: Work) -> HedgedCall | None:
        """The call with a second attempt to come; None where its policy has no hedge, or no latency is known for p95 yet."""
        hedge_after = call.policy.hedge_after
        if hedge_after == P95:
            health = self.health_registry.of(acquired.target)
            hedge_after = health.latency(streams=bool(call.chat.get("stream"))).p95()
        if hedge_after is None:
            return None
        return HedgedCall(self._caller, call, queue, acquired, hedge_after=float(hedge_after), work=work)

    def _target_queue(self, call: Call) -> TargetQueue:
        call.deadline = min(call.deadline, time.monotonic() + self._timeouts.total)
        targets: Targets = ()
        refusal = None
        try:
            targets = self.ordered_targets(call)
        except Untranslatable as error:  # a fallback may be capable
            refusal = without_traceback(error)
        queue = TargetQueue(
            targets,
            self.health_registry,
            self._max_tries,
            fallback_targets=partial(self.fallback_targets, call),
            deadline=call.deadline,
            refusal=refusal,
        )
        call.closers.append(queue.close)
        return queue

    def _fallback_targets(
        self, call: Call, kind: str, order: Callable[[Targets, str | None, OrderRequest], Targets]
    ) -> Targets:
        request = _order_request(call)
        return tuple(
            target
            for name, route in call.fallback_routes(kind).items()
            for target in order(
                filter_capable(route.targets, call.chat), route.policy.strategy, request._replace(model=name)
            )
        )

    def _acquire(self, call: Call, queue: TargetQueue) -> Generator[Pause, None, Acquired]:
        """The next target, once one is available."""
        while not isinstance(acquired := queue.acquire(), Acquired):
            yield from self._wait(call, acquired)
        return acquired

    def _wait(self, call: Call, seconds: float) -> Iterator[Pause]:
        """Wait, with a PAUSE whenever the client is due a ping."""
        until = time.monotonic() + seconds
        while (remaining := until - time.monotonic()) > 0:
            self._sleep_watching(call, max(0.0, min(remaining, call.watch.yield_at - time.monotonic())))
            if time.monotonic() >= call.watch.yield_at:
                yield PAUSE

    def _sleep_watching(self, call: Call, seconds: float) -> None:
        """Sleep. Raises ClientDisconnected as soon as the client has left."""
        if call.watch.client is None:
            self._sleep(seconds)
        else:
            call.watch.wait(seconds)


def _order_request(call: Call) -> OrderRequest:
    return OrderRequest(call.chat["model"], call.session, streams=bool(call.chat.get("stream")))


def _without_pauses(steps: Generator[Pause, None, Result]) -> Result:
    """What a generator returns; a plain response has nobody to ping."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


def _first_item(stream: ChunkStream) -> Json:
    with closing(stream):
        return next(item for item in stream if item is not PAUSE)


def _recorded(chunks: Iterator[Chunk | Pause], transcript: Transcript, target: Target) -> Iterator[Chunk | Pause]:
    """The chunks of an answer that may be resumed elsewhere, or of what resumes it."""
    if transcript.text:
        chunks = splice(chunks, transcript, resume_method(target))
    for chunk in chunks:
        if chunk is not PAUSE:
            transcript.add(chunk)
        yield chunk
