"""Targets in order, attempts, and the answer of the first that gives one."""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from typing import Any

import requests
import structlog

from gateway.adapters import ADAPTERS
from gateway.adapters.contract import PAUSE, Adapter, Ask, Chunk, Completion, Json, Pause, VendorRequest
from gateway.call import Call
from gateway.errors import GatewayError, Untranslatable, UpstreamFailed, traced, upstream_fault
from gateway.jsontext import dumps, loads
from gateway.plan import Plan, ordered, retry_after
from gateway.providers import Target
from gateway.transport import Exchange, Transport, fault

PLAIN_HEADERS = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "identity"}
STREAM_HEADERS = PLAIN_HEADERS | {"Accept": "text/event-stream"}
Stream = Generator[Chunk | Pause, None, None]
sleep = time.sleep
CONTENT = ("content", "refusal", "reasoning_content", "tool_calls", "function_call", "audio", "thinking_blocks")


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
        timeout: float,
        admit: Callable[[Target], None],
        spent: Callable[[Target, int], None],
        sleep: Callable[[float], None] = sleep,
    ) -> None:
        self._transport, self._attempts, self._timeout = transport, attempts, timeout
        self._admit, self._spent, self._sleep = admit, spent, sleep

    def completion(self, call: Call) -> Completion:
        """Raises GatewayError."""
        return self._first(call, _chat_request, _completion)

    def embeddings(self, call: Call) -> Json:
        """The answer to an embeddings request, as the upstream gave it. Raises GatewayError."""
        return self._first(call, _embeddings_request, lambda _adapter, _ask, data: data)

    def chunks(self, call: Call) -> Iterator[Chunk | Pause]:
        """
        The chunks of the first target that gives content; until then, PAUSE when nothing came before `wake`.

        Raises GatewayError: before the first chunk, when no target answers; after it, when the answer breaks off.
        """
        plan = Plan(ordered(call.targets), self._attempts)
        while True:
            target, begun = plan.target, False
            try:
                with closing(self._stream(call, target)) as stream:
                    for chunk in stream:
                        if chunk is not PAUSE:
                            begun = True
                            call.answered_by(target, chunk)
                            yield chunk
                            break
                        yield PAUSE
                    yield from stream
            except GatewayError as error:
                call.failed(target, error)
                if begun:
                    raise
                delay = plan.failed(error)
            else:
                return
            yield from self._silence(call, delay)

    def settle(self, call: Call) -> None:
        """Count what the call used, once that is known."""
        if call.answered:
            self._spent(call.answered, call.tokens())

    def _first(
        self,
        call: Call,
        request: Callable[[Adapter, Ask], VendorRequest],
        answer: Callable[[Adapter, Ask, Json], Json],
    ) -> Json:
        """The answer of the first target that gives one."""
        plan = Plan(ordered(call.targets), self._attempts)
        while True:
            target = plan.target
            adapter, ask = ADAPTERS[target.provider.vendor.dialect], call.ask(target)
            try:
                exchange = self._open(call, target, request(adapter, ask), PLAIN_HEADERS)
                with closing(exchange), _Blamed(target):
                    deque(exchange.head(), 0)
                    told = answer(adapter, ask, _json(exchange, target, adapter))
            except GatewayError as error:
                call.failed(target, error)
                self._rest(call, plan.failed(error))
            else:
                call.answered_by(target, told)
                call.usage = told.get("usage")
                return told

    def _stream(self, call: Call, target: Target) -> Stream:
        """One attempt. Raises UpstreamFault, also for a stream that ends before all of its choices have."""
        adapter, ask = ADAPTERS[target.provider.vendor.dialect], call.ask(target)
        exchange = self._open(call, target, adapter.request(ask), STREAM_HEADERS)
        with closing(exchange), _Blamed(target):
            yield from exchange.head()
            if exchange.status == 200 and "application/json" not in exchange.headers.get("content-type", ""):
                yield from _honest(adapter.chunks(ask, adapter.events(exchange.blocks())))
            else:
                yield from _as_chunks(adapter.completion(ask, _json(exchange, target, adapter)))

    def _open(self, call: Call, target: Target, wanted: VendorRequest, headers: dict[str, str]) -> Exchange:
        """Send a request; the exchange is closed with the call at the latest."""
        call.dropped = wanted.dropped
        if call.strict and wanted.dropped:
            name, field = target.provider.name, wanted.dropped[0]
            raise Untranslatable(f"{name} cannot be told {field} of this request.", param=field)
        self._admit(target)
        provider = target.provider
        credentials = ADAPTERS[provider.vendor.dialect].credentials(provider.key) if provider.key else {}
        call.watch.deadline = time.monotonic() + (target.timeout or self._timeout)
        try:
            exchange = self._transport.open(
                provider.base_url + wanted.path,
                {**headers, **wanted.headers, **credentials},
                dumps(wanted.body),
                call.watch,
            )
        except requests.RequestException as error:
            raise fault(error, provider.name) from error
        call.closers.append(exchange.close)
        return exchange

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


def _chat_request(adapter: Adapter, ask: Ask) -> VendorRequest:
    return adapter.request(ask)


def _completion(adapter: Adapter, ask: Ask, data: Json) -> Completion:
    return adapter.completion(ask, data)


def _embeddings_request(adapter: Adapter, ask: Ask) -> VendorRequest:
    if adapter.embeddings is None:
        raise Untranslatable(f"{ask.vendor.name} has no embeddings.", param="model")
    return adapter.embeddings(ask)


class _Blamed:
    """
    Within it, the upstream is to blame: the transport's errors get the gateway's names, and what an adapter stumbles
    over is nonsense, JSON of a shape that its API never had.
    """

    def __init__(self, target: Target) -> None:
        self._name = target.provider.name

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, requests.RequestException):
            raise fault(error, self._name) from error
        if isinstance(error, AttributeError | LookupError | TypeError | ValueError):
            structlog.get_logger().error("nonsense", provider=self._name, **traced(error))
            message = f"{self._name} answered with something that makes no sense."
            raise UpstreamFailed(message, upstream_status="nonsense") from error


def _json(exchange: Exchange, target: Target, adapter: Adapter) -> Json:
    """The object in the body of a 200. Raises UpstreamFault for any other answer."""
    name = target.provider.name
    body = exchange.body()
    try:
        data = loads(body)
    except ValueError as error:
        if exchange.status == 200:
            raise UpstreamFailed(
                f"{name} answered with something that is no JSON.", upstream_status="nonsense"
            ) from error
        data = body.decode("utf-8", "replace")
    if exchange.status != 200:
        said = {"retry_after": retry_after(exchange.headers), **adapter.error(exchange.status, data)}
        raise upstream_fault(said.pop("status", exchange.status), **said)
    if not isinstance(data, dict):
        raise UpstreamFailed(f"{name} answered with something that is no completion.", upstream_status="nonsense")
    return data


def _has_content(chunk: Chunk) -> bool:
    return any(
        choice.get("finish_reason") or any(choice["delta"].get(name) for name in CONTENT) for choice in chunk["choices"]
    )


def _honest(chunks: Iterable[Chunk | Pause]) -> Iterator[Chunk | Pause]:
    """
    The same chunks, from the first with content on, the ones before it with it.

    Raises UpstreamFailed if they end before every choice has its finish_reason.
    """
    begun, finished = set[int](), set[int]()
    held: list[Chunk] | None = []
    for chunk in chunks:
        if chunk is PAUSE:
            yield chunk
            continue
        for choice in chunk["choices"]:
            (finished if choice.get("finish_reason") else begun).add(choice["index"])
        if held is None:
            yield chunk
            continue
        held.append(chunk)
        if _has_content(chunk):
            yield from held
            held = None
    if not finished or begun - finished:
        raise UpstreamFailed("The upstream ended its stream without a finish_reason.", upstream_status="cut")


def _as_chunks(completion: Completion) -> Iterator[Chunk]:
    """A whole answer as a stream, for an upstream that does not stream."""
    frame = {**completion, "object": "chat.completion.chunk"}
    used = frame.pop("usage", None)
    for choice in completion["choices"]:
        delta = dict(choice["message"])
        if delta.get("tool_calls"):
            delta["tool_calls"] = [{**call, "index": n} for n, call in enumerate(delta["tool_calls"])]
        told: dict[str, Any] = {name: value for name, value in choice.items() if name != "message"}
        yield {**frame, "choices": [{**told, "delta": delta}]}
    if used:
        yield {**frame, "choices": [], "usage": used}
