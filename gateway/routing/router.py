"""Targets in order, attempts, and the answer of the first that gives one."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from itertools import chain

from gateway import token_estimate
from gateway.catalog.routing_policy import P95
from gateway.catalog.vendors import Target
from gateway.errors import GatewayError, Untranslatable, forgotten
from gateway.health.target_health import Attempt, Standings
from gateway.openai_types import Chunk, Completion, Json
from gateway.routing.attempt import CHAT, EMBEDDINGS, Asking, Form, Patience, Stream, failed
from gateway.routing.call import Call
from gateway.routing.capabilities import capable, fitting
from gateway.routing.failover import Plan
from gateway.routing.hedging import Race
from gateway.routing.strategies import Asked, Order, Targets
from gateway.routing.stream_resume import Heard, joined, possible, way
from gateway.stream_events import PAUSE, Pause
from gateway.transport.http_transport import Transport

__all__ = ["Patience", "Router"]

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
        patience: Patience,
        admit: Callable[[Target], None],
        spent: Callable[[Target, int], None],
        standings: Standings,
        sleep: Callable[[float], None] = sleep,
    ) -> None:
        self._asking = Asking(transport, patience, admit)
        self._attempts, self._patience, self._spent, self._sleep = attempts, patience, spent, sleep
        self.standings, self._order = standings, Order(standings)

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
        plan = self._plan(call)
        heard = call.heard = Heard(call.chat) if call.policy.continue_on_break and possible(call.chat) else None
        while True:
            yield from self._begin(call, plan)
            begun = False
            try:
                with closing(self._stream(call, plan)) as stream:
                    for chunk in stream:
                        if chunk is not PAUSE:
                            begun = True
                            plan.attempt.answered(streams=True)
                            call.answered_by(plan.target, chunk)
                            if call.leg is None:
                                self._asking.begun(call, plan.target)
                            if heard is None:
                                yield chunk
                                yield from stream
                            else:
                                yield from _heard(chain((chunk,), stream), heard, plan.target)
                            break
                        yield PAUSE
            except GatewayError as error:
                failed(call, plan.target, error)
                if begun and not (heard and heard.goes_on(error)):
                    raise
                delay = plan.failed(error, elsewhere=begun)
            else:
                return
            yield from self._silence(call, delay)

    def order(self, call: Call) -> Targets:
        """The targets of a call that can take it, in the order in which they are tried. Raises Untranslatable."""
        targets = fitting(call.targets, call.chat)
        return targets if len(targets) < 2 else self._order.arranged(targets, call.policy.strategy, _asked(call))

    def foretold(self, call: Call) -> Targets:
        """What `order` would say, with no turn taken."""
        return self._order.foretold(fitting(call.targets, call.chat), call.policy.strategy, _asked(call))

    def others(self, call: Call, kind: str) -> Targets:
        """The targets of a call's fallbacks of a kind that can take it, each name's by its own strategy."""
        return self._others(call, kind, self._order.arranged)

    def others_foretold(self, call: Call, kind: str) -> Targets:
        """What `others` would say, with no turn taken."""
        return self._others(call, kind, self._order.foretold)

    def _others(self, call: Call, kind: str, arranged: Callable[[Targets, str | None, Asked], Targets]) -> Targets:
        asked = _asked(call)
        return tuple(
            target
            for name, route in call.more(kind).items()
            for target in arranged(capable(route.targets, call.chat), route.policy.strategy, asked._replace(model=name))
        )

    def settle(self, call: Call) -> None:
        """Count what the call used, once that is known; of what lost a race, what it was asked."""
        for target in call.lost:
            self._spent(target, token_estimate.of_prompt(call.chat))
        if call.answered:
            self._spent(call.answered, call.tokens())

    def _whole(self, call: Call, form: Form) -> Json:
        """The answer of the first target that gives one."""
        plan = self._plan(call)
        while True:
            for _ in self._begin(call, plan):
                pass
            try:
                told = self._answer(call, plan, form)
            except GatewayError as error:
                failed(call, plan.target, error)
                self._rest(call, plan.failed(error))
            else:
                call.answered_by(plan.target, told)
                call.usage = told.get("usage")
                return told

    def _stream(self, call: Call, plan: Plan) -> Stream:
        late, call.leg = self._late(call, plan), None
        if late is None:
            return self._asking.stream(call, plan.target, plan.attempt)
        return Race(call, plan, late, self._asking.stream, self._asking.begun).run()

    def _answer(self, call: Call, plan: Plan, form: Form) -> Json:
        late = self._late(call, plan)
        if late is None:
            return self._asking.whole(call, plan.target, plan.attempt, form)

        def answered(call: Call, target: Target, attempt: Attempt) -> Stream:
            yield self._asking.whole(call, target, attempt, form)

        with closing(Race(call, plan, late, answered).run()) as race:
            return next(told for told in race if told is not PAUSE)

    def _late(self, call: Call, plan: Plan) -> float | None:
        """Seconds after which a second target is asked beside the first; None: never."""
        if call.policy.hedge_after is None or plan.hedged:
            return None
        if call.policy.hedge_after == P95:
            return self.standings.of(plan.target).pace(streams=bool(call.chat.get("stream"))).p95()
        return float(call.policy.hedge_after)

    def _plan(self, call: Call) -> Plan:
        call.deadline = min(call.deadline, time.monotonic() + self._patience.total)
        targets: Targets = ()
        refusal = None
        try:
            targets = self.order(call)
        except Untranslatable as error:  # a fallback may be able
            refusal = forgotten(error)
        more = partial(self.others, call)
        plan = Plan(targets, self.standings, self._attempts, more=more, deadline=call.deadline, refusal=refusal)
        call.closers.append(plan.leave)
        return plan

    def _begin(self, call: Call, plan: Plan) -> Iterator[Pause]:
        """Begin the plan's next attempt; wait for it where its target is full."""
        while (seconds := plan.next()) is not None:
            yield from self._silence(call, seconds)

    def _silence(self, call: Call, seconds: float) -> Iterator[Pause]:
        """Wait, with a PAUSE whenever the client must hear something."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._rest(call, max(0.0, min(left, call.watch.wake - time.monotonic())))
            if time.monotonic() >= call.watch.wake:
                yield PAUSE

    def _rest(self, call: Call, seconds: float) -> None:
        """Sleep, and wake up when the client leaves. Raises ClientGone."""
        if call.watch.client is None:
            self._sleep(seconds)
        else:
            call.watch.rest(seconds)


def _asked(call: Call) -> Asked:
    return Asked(call.chat["model"], call.session, streams=bool(call.chat.get("stream")))


def _heard(chunks: Iterator[Chunk | Pause], heard: Heard, target: Target) -> Iterator[Chunk | Pause]:
    """The chunks of an answer that may be carried on, or of what carries it on."""
    if heard.text:
        chunks = joined(chunks, heard, way(target))
    for chunk in chunks:
        if chunk is not PAUSE:
            heard.hear(chunk)
        yield chunk
