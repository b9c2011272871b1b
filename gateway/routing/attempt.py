"""One attempt: a request to one target, and what comes back, which must not lie."""

import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from typing import Any, NamedTuple

import requests
import structlog

from gateway.catalog.vendors import Target
from gateway.dialects import ADAPTERS
from gateway.dialects.contract import Adapter, Ask, VendorRequest
from gateway.errors import GatewayError, Untranslatable, UpstreamCredentials, UpstreamFailed, traced, upstream_fault
from gateway.health.target_health import Attempt
from gateway.json_codec import dumps, loads
from gateway.openai_types import Chat, Chunk, Completion, Json
from gateway.routing.call import Call
from gateway.routing.failover import retry_after
from gateway.stream_events import PAUSE, Pause
from gateway.transport.client_watch import FIRST_CONTENT, TARGET, TOTAL
from gateway.transport.exchange import Exchange
from gateway.transport.http_transport import Transport, fault

PLAIN_HEADERS = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "identity"}
STREAM_HEADERS = PLAIN_HEADERS | {"Accept": "text/event-stream"}
Stream = Generator[Chunk | Pause, None, None]
CONTENT = ("content", "refusal", "reasoning_content", "tool_calls", "function_call", "audio", "thinking_blocks")


class Patience(NamedTuple):
    """Seconds that a call may take in all, until a stream's first content, and between its events."""

    total: float = 600.0
    first_content: float = 120.0
    silence: float = 120.0

    def content(self, target: Target, chat: Chat) -> float:
        """Until the first content; where the target has no time of its own, a model that thinks has five times as long."""
        if target.first_content is not None:
            return target.first_content
        thinks = target.facts.reasoning or chat.get("reasoning_effort") not in (None, "none")
        return self.first_content * 5 if thinks else self.first_content


class Form(NamedTuple):
    """A kind of request that is answered as a whole."""

    request: Callable[[Adapter, Ask], VendorRequest]
    answer: Callable[[Adapter, Ask, Json], Json]


class Asking:
    """Asks targets. `admit(target)` raises UpstreamLimited while the target's own limits are used up."""

    def __init__(self, transport: Transport, patience: Patience, admit: Callable[[Target], None]) -> None:
        self._transport, self._patience, self._admit = transport, patience, admit

    def whole(self, call: Call, target: Target, attempt: Attempt, form: Form) -> Json:
        """The whole answer of one attempt, which is over then. Raises GatewayError."""
        adapter, ask = ADAPTERS[target.provider.vendor.dialect], call.ask(target)
        with attempt:
            exchange = self._open(call, target, attempt, form.request(adapter, ask), PLAIN_HEADERS)
            with closing(exchange), _Blamed(target):
                deque(exchange.head(), 0)
                told = form.answer(adapter, ask, _json(exchange, target, adapter))
            attempt.answered(streams=False)
        return told

    def stream(self, call: Call, target: Target, attempt: Attempt) -> Stream:
        """
        The chunks of one attempt, which is over with them: from the first with content on, and PAUSE.

        Raises GatewayError, also for a stream that ends before all of its choices have.
        """
        adapter, ask = ADAPTERS[target.provider.vendor.dialect], call.ask(target)
        with attempt:
            exchange = self._open(call, target, attempt, adapter.request(ask), STREAM_HEADERS)
            with closing(exchange), _Blamed(target):
                yield from exchange.head()
                if exchange.status == 200 and "application/json" not in exchange.headers.get("content-type", ""):
                    yield from _honest(adapter.chunks(ask, adapter.events(exchange.blocks())))
                else:
                    yield from _as_chunks(adapter.completion(ask, _json(exchange, target, adapter)))

    def begun(self, call: Call, target: Target) -> None:
        """The first content of a stream is there: from now on, its silences are bounded."""
        silence = self._patience.silence if target.silence is None else target.silence
        call.watch.begun(*self._bounds(call, target), silence)

    def _open(
        self, call: Call, target: Target, attempt: Attempt, wanted: VendorRequest, headers: dict[str, str]
    ) -> Exchange:
        """Send a request; the exchange is closed with the call at the latest."""
        call.dropped, call.attempt_began = wanted.dropped, time.monotonic()
        if call.strict and wanted.dropped:
            name, field = target.provider.name, wanted.dropped[0]
            raise Untranslatable(f"{name} cannot be told {field} of this request.", param=field)
        self._admit(target)
        provider = target.provider
        credentials = ADAPTERS[provider.vendor.dialect].credentials(provider.key) if provider.key else {}
        watch = call.watch
        watch.silence, watch.connect = math.inf, math.inf if target.connect is None else target.connect
        watch.deadline, watch.late = self._bounds(call, target)
        attempt.hurried = call.deadline - call.attempt_began < self._patience.total / 2
        if headers is STREAM_HEADERS:
            content_by = call.attempt_began + self._patience.content(target, call.chat)
            if content_by < watch.deadline:
                watch.deadline, watch.late = content_by, FIRST_CONTENT
        try:
            exchange = self._transport.open(
                provider.base_url + wanted.path,
                {**headers, **wanted.headers, **credentials},
                dumps(wanted.body),
                watch,
            )
        except requests.RequestException as error:
            raise fault(error, provider.name) from error
        call.closers.append(exchange.close)
        return exchange

    def _bounds(self, call: Call, target: Target) -> tuple[float, str]:
        """When all of an attempt's answer must be there, and what is late if it is not."""
        if target.timeout is None or call.attempt_began + target.timeout >= call.deadline:
            return call.deadline, TOTAL
        return call.attempt_began + target.timeout, TARGET


def failed(call: Call, target: Target, error: GatewayError) -> None:
    """Write a failed attempt into the trail of its call; a credential of ours that was refused is ours to mend."""
    call.failed(target, error)
    if isinstance(error, UpstreamCredentials):
        where = {"provider": target.provider.name, "base_url": target.provider.base_url}
        structlog.get_logger().error("credential refused", request_id=call.id, status=error.upstream_status, **where)


def _chat_request(adapter: Adapter, ask: Ask) -> VendorRequest:
    return adapter.request(ask)


def _completion(adapter: Adapter, ask: Ask, data: Json) -> Completion:
    return adapter.completion(ask, data)


def _embeddings_request(adapter: Adapter, ask: Ask) -> VendorRequest:
    if adapter.embeddings is None:
        raise Untranslatable(f"{ask.vendor.name} has no embeddings.", param="model")
    return adapter.embeddings(ask)


CHAT = Form(_chat_request, _completion)
EMBEDDINGS = Form(_embeddings_request, lambda _adapter, _ask, data: data)


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

    Raises UpstreamFailed if they end before every choice has its finish_reason; once all have, the answer is whole,
    whatever happens to the connection.
    """
    begun, finished = set[int](), set[int]()
    held: list[Chunk] | None = []
    try:
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
    except requests.RequestException:
        if not finished or begun - finished:
            raise
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
