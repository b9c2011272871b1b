"""Targets in order, attempts, and the answer of the first that gives one."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from itertools import chain

from gateway import token_estimate
from gateway.catalog.routing_policy import P95
from gateway.catalog.vendors import Target
from gateway.errors import GatewayError, Untranslatable, without_traceback
from gateway.health.target_health import HealthRegistry, TargetLease
from gateway.openai_types import Chunk, Completion, Json
from gateway.routing.attempt import CHAT, EMBEDDINGS, RequestKind, Stream, Timeouts, UpstreamCaller, failed
from gateway.routing.call import Call
from gateway.routing.capabilities import capable_targets, filter_capable
from gateway.routing.failover import Failover
from gateway.routing.hedging import HedgedCall
from gateway.routing.strategies import OrderRequest, TargetOrder, Targets
from gateway.routing.stream_resume import Transcript, resumable, resume_method, splice
from gateway.stream_events import PAUSE, Pause
from gateway.transport.http_transport import Transport

sleep = time.sleep


class Router:
    """
    Asks the targets of a call, one after another. It alone sleeps.

    `admit(target)` raises UpstreamLimited while the target's own limits are used up; `spent(target, tokens)` counts.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        attempts: int,
        timeouts: Timeouts,
        admit: Callable[[Target], None],
        record_tokens: Callable[[Target, int], None],
        health_registry: HealthRegistry,
        sleep: Callable[[float], None] = sleep,
    ) -> None:
        self._caller = UpstreamCaller(transport, timeouts, admit)
        self._attempts, self._timeouts, self._spent, self._sleep = attempts, timeouts, record_tokens, sleep
        self.health_registry, self._order = health_registry, TargetOrder(health_registry)

    def completion(self, call: Call) -> Completion:
        """Raises GatewayError."""
        return self._whole(call, CHAT)

    def embeddings(self, call: Call) -> Json:
        """The answer to an embeddings request, as the upstream gave it. Raises GatewayError."""
        return self._whole(call, EMBEDDINGS)

    def chunks(self, call: Call) -> Iterator[Chunk | Pause]:
        """
        The chunks of the first target that gives content; until then, PAUSE when nothing came before `wake`.

        Raises GatewayError: before the first chunk, when no target answers; after it, when the answer breaks off.
        """
        failover = self._failover(call)
        transcript = call.transcript = (
            Transcript(call.chat) if call.policy.continue_on_break and resumable(call.chat) else None
        )
        while True:
            yield from self._begin(call, failover)
            begun = False
            try:
                with closing(self._stream(call, failover)) as stream:
                    for chunk in stream:
                        if chunk is not PAUSE:
                            begun = True
                            failover.attempt.record_latency(streams=True)
                            call.record_first_content(failover.target, chunk)
                            if call.hedge_winner is None:
                                self._caller.first_content_received(call, failover.target)
                            if transcript is None:
                                yield chunk
                                yield from stream
                            else:
                                yield from _recorded(chain((chunk,), stream), transcript, failover.target)
                            break
                        yield PAUSE
            except GatewayError as error:
                failed(call, failover.target, error)
                if begun and not (transcript and transcript.can_resume(error)):
                    raise
                delay = failover.failed(error, elsewhere=begun)
            else:
                return
            yield from self._silence(call, delay)

    def ordered_targets(self, call: Call) -> Targets:
        """The targets of a call that can take it, in the order in which they are tried. Raises Untranslatable."""
        targets = capable_targets(call.targets, call.chat)
        return targets if len(targets) < 2 else self._order.order(targets, call.policy.strategy, _order_request(call))

    def preview(self, call: Call) -> Targets:
        """What `order` would say, with no turn taken."""
        return self._order.preview(capable_targets(call.targets, call.chat), call.policy.strategy, _order_request(call))

    def fallback_targets(self, call: Call, kind: str) -> Targets:
        """The targets of a call's fallbacks of a kind that can take it, each name's by its own strategy."""
        return self._fallback_targets(call, kind, self._order.order)

    def preview_fallbacks(self, call: Call, kind: str) -> Targets:
        """What `others` would say, with no turn taken."""
        return self._fallback_targets(call, kind, self._order.preview)

    def _fallback_targets(
        self, call: Call, kind: str, order: Callable[[Targets, str | None, OrderRequest], Targets]
    ) -> Targets:
        asked = _order_request(call)
        return tuple(
            target
            for name, route in call.fallback_routes(kind).items()
            for target in order(
                filter_capable(route.targets, call.chat), route.policy.strategy, asked._replace(model=name)
            )
        )

    def settle(self, call: Call) -> None:
        """Count what the call used, once that is known; of what lost a race, what it was asked."""
        for target in call.cancelled_targets:
            self._spent(target, token_estimate.of_prompt(call.chat))
        if call.served_by:
            self._spent(call.served_by, call.tokens())

    def _whole(self, call: Call, kind: RequestKind) -> Json:
        """The answer of the first target that gives one."""
        failover = self._failover(call)
        while True:
            for _ in self._begin(call, failover):
                pass
            try:
                told = self._answer(call, failover, kind)
            except GatewayError as error:
                failed(call, failover.target, error)
                self._rest(call, failover.failed(error))
            else:
                call.record_first_content(failover.target, told)
                call.usage = told.get("usage")
                return told

    def _stream(self, call: Call, failover: Failover) -> Stream:
        late, call.hedge_winner = self._late(call, failover), None
        if late is None:
            return self._caller.stream(call, failover.target, failover.attempt)
        return HedgedCall(call, failover, late, self._caller.stream, self._caller.first_content_received).run()

    def _answer(self, call: Call, failover: Failover, kind: RequestKind) -> Json:
        late = self._late(call, failover)
        if late is None:
            return self._caller.fetch(call, failover.target, failover.attempt, kind)

        def answered(call: Call, target: Target, attempt: TargetLease) -> Stream:
            yield self._caller.fetch(call, target, attempt, kind)

        with closing(HedgedCall(call, failover, late, answered).run()) as race:
            return next(told for told in race if told is not PAUSE)

    def _late(self, call: Call, failover: Failover) -> float | None:
        """Seconds after which a second target is asked beside the first; None: never."""
        if call.policy.hedge_after is None or failover.hedged:
            return None
        if call.policy.hedge_after == P95:
            return self.health_registry.of(failover.target).latency(streams=bool(call.chat.get("stream"))).p95()
        return float(call.policy.hedge_after)

    def _failover(self, call: Call) -> Failover:
        call.deadline = min(call.deadline, time.monotonic() + self._timeouts.total)
        targets: Targets = ()
        refusal = None
        try:
            targets = self.ordered_targets(call)
        except Untranslatable as error:  # a fallback may be able
            refusal = without_traceback(error)
        fallback_targets = partial(self.fallback_targets, call)
        failover = Failover(
            targets,
            self.health_registry,
            self._attempts,
            fallback_targets=fallback_targets,
            deadline=call.deadline,
            refusal=refusal,
        )
        call.closers.append(failover.leave)
        return failover

    def _begin(self, call: Call, failover: Failover) -> Iterator[Pause]:
        """Begin the plan's next attempt; wait for it where its target is full."""
        while (seconds := failover.next()) is not None:
            yield from self._silence(call, seconds)

    def _silence(self, call: Call, seconds: float) -> Iterator[Pause]:
        """Wait, with a PAUSE whenever the client must hear something."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._rest(call, max(0.0, min(left, call.watch.yield_at - time.monotonic())))
            if time.monotonic() >= call.watch.yield_at:
                yield PAUSE

    def _rest(self, call: Call, seconds: float) -> None:
        """Sleep, and wake up when the client leaves. Raises ClientDisconnected."""
        if call.watch.client is None:
            self._sleep(seconds)
        else:
            call.watch.wait(seconds)


def _order_request(call: Call) -> OrderRequest:
    return OrderRequest(call.chat["model"], call.session, streams=bool(call.chat.get("stream")))


def _recorded(chunks: Iterator[Chunk | Pause], transcript: Transcript, target: Target) -> Iterator[Chunk | Pause]:
    """The chunks of an answer that may be carried on, or of what carries it on."""
    if transcript.text:
        chunks = splice(chunks, transcript, resume_method(target))
    for chunk in chunks:
        if chunk is not PAUSE:
            transcript.add(chunk)
        yield chunk
