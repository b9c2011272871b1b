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
from gateway.dialects.contract import Adapter, TargetRequest, VendorRequest
from gateway.errors import (
    GatewayError,
    Untranslatable,
    UpstreamCredentials,
    UpstreamFailed,
    error_location,
    upstream_error,
)
from gateway.health.target_health import TargetLease
from gateway.json_codec import dumps, loads
from gateway.openai_types import Chat, Chunk, Completion, Json
from gateway.routing.call import Call
from gateway.routing.failover import retry_after
from gateway.stream_events import PAUSE, Pause
from gateway.transport.client_watch import FIRST_CONTENT, TARGET, TOTAL
from gateway.transport.exchange import Exchange
from gateway.transport.http_transport import Transport, transport_error

PLAIN_HEADERS = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "identity"}
STREAM_HEADERS = PLAIN_HEADERS | {"Accept": "text/event-stream"}
Stream = Generator[Chunk | Pause, None, None]
CONTENT = ("content", "refusal", "reasoning_content", "tool_calls", "function_call", "audio", "thinking_blocks")


class Timeouts(NamedTuple):
    """Seconds that a call may take in all, until a stream's first content, and between its events."""

    total: float = 600.0
    first_content: float = 120.0
    idle: float = 120.0

    def content(self, target: Target, chat: Chat) -> float:
        """Until the first content; where the target has no time of its own, a model that thinks has five times as long."""
        if target.first_content_timeout is not None:
            return target.first_content_timeout
        thinks = target.model_info.reasoning or chat.get("reasoning_effort") not in (None, "none")
        return self.first_content * 5 if thinks else self.first_content


class RequestKind(NamedTuple):
    """A kind of request that is answered as a whole."""

    vendor_request: Callable[[Adapter, TargetRequest], VendorRequest]
    answer: Callable[[Adapter, TargetRequest, Json], Json]


class UpstreamCaller:
    """Asks targets. `admit(target)` raises UpstreamLimited while the target's own limits are used up."""

    def __init__(self, transport: Transport, timeouts: Timeouts, admit: Callable[[Target], None]) -> None:
        self._transport, self._timeouts, self._admit = transport, timeouts, admit

    def fetch(self, call: Call, target: Target, attempt: TargetLease, kind: RequestKind) -> Json:
        """The whole answer of one attempt, which is over then. Raises GatewayError."""
        adapter, request = ADAPTERS[target.provider.vendor.dialect], call.request_for(target)
        with attempt:
            exchange = self._open(call, target, attempt, kind.vendor_request(adapter, request), PLAIN_HEADERS)
            with closing(exchange), _Blamed(target):
                deque(exchange.wait_for_headers(), 0)
                told = kind.answer(adapter, request, _json(exchange, target, adapter))
            attempt.record_latency(streams=False)
        return told

    def stream(self, call: Call, target: Target, attempt: TargetLease) -> Stream:
        """
        The chunks of one attempt, which is over with them: from the first with content on, and PAUSE.

        Raises GatewayError, also for a stream that ends before all of its choices have.
        """
        adapter, request = ADAPTERS[target.provider.vendor.dialect], call.request_for(target)
        with attempt:
            exchange = self._open(call, target, attempt, adapter.vendor_request(request), STREAM_HEADERS)
            with closing(exchange), _Blamed(target):
                yield from exchange.wait_for_headers()
                if exchange.status == 200 and "application/json" not in exchange.headers.get("content-type", ""):
                    yield from _honest(adapter.chunks(request, adapter.events(exchange.blocks())))
                else:
                    yield from _as_chunks(adapter.completion(request, _json(exchange, target, adapter)))

    def first_content_received(self, call: Call, target: Target) -> None:
        """The first content of a stream is there: from now on, its silences are bounded."""
        idle_timeout = self._timeouts.idle if target.idle_timeout is None else target.idle_timeout
        call.watch.content_started(*self._bounds(call, target), idle_timeout)

    def _open(
        self, call: Call, target: Target, attempt: TargetLease, wanted: VendorRequest, headers: dict[str, str]
    ) -> Exchange:
        """Send a request; the exchange is closed with the call at the latest."""
        call.dropped, call.attempt_started = wanted.dropped, time.monotonic()
        if call.strict and wanted.dropped:
            name, field = target.provider.name, wanted.dropped[0]
            raise Untranslatable(f"{name} cannot be told {field} of this request.", param=field)
        self._admit(target)
        provider = target.provider
        credentials = ADAPTERS[provider.vendor.dialect].credentials(provider.key) if provider.key else {}
        watch = call.watch
        watch.idle_timeout, watch.connect_timeout = (
            math.inf,
            math.inf if target.connect_timeout is None else target.connect_timeout,
        )
        watch.deadline, watch.deadline_kind = self._bounds(call, target)
        attempt.short_deadline = call.deadline - call.attempt_started < self._timeouts.total / 2
        if headers is STREAM_HEADERS:
            content_by = call.attempt_started + self._timeouts.content(target, call.chat)
            if content_by < watch.deadline:
                watch.deadline, watch.deadline_kind = content_by, FIRST_CONTENT
        try:
            exchange = self._transport.open(
                provider.base_url + wanted.path,
                {**headers, **wanted.headers, **credentials},
                dumps(wanted.body),
                watch,
            )
        except requests.RequestException as error:
            raise transport_error(error, provider.name) from error
        call.closers.append(exchange.close)
        return exchange

    def _bounds(self, call: Call, target: Target) -> tuple[float, str]:
        """When all of an attempt's answer must be there, and what is late if it is not."""
        if target.timeout is None or call.attempt_started + target.timeout >= call.deadline:
            return call.deadline, TOTAL
        return call.attempt_started + target.timeout, TARGET


def failed(call: Call, target: Target, error: GatewayError) -> None:
    """Write a failed attempt into the trail of its call; a credential of ours that was refused is ours to mend."""
    call.failed(target, error)
    if isinstance(error, UpstreamCredentials):
        where = {"provider": target.provider.name, "base_url": target.provider.base_url}
        structlog.get_logger().error("credential_refused", request_id=call.id, status=error.upstream_status, **where)


def _chat_request(adapter: Adapter, request: TargetRequest) -> VendorRequest:
    return adapter.vendor_request(request)


def _completion(adapter: Adapter, request: TargetRequest, data: Json) -> Completion:
    return adapter.completion(request, data)


def _embeddings_request(adapter: Adapter, request: TargetRequest) -> VendorRequest:
    if adapter.embeddings_request is None:
        raise Untranslatable(f"{request.vendor.name} has no embeddings.", param="model")
    return adapter.embeddings_request(request)


CHAT = RequestKind(_chat_request, _completion)
EMBEDDINGS = RequestKind(_embeddings_request, lambda _adapter, _ask, data: data)


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
            raise transport_error(error, self._name) from error
        if isinstance(error, AttributeError | LookupError | TypeError | ValueError):
            structlog.get_logger().error("invalid_response", provider=self._name, **error_location(error))
            message = f"{self._name} answered with something that makes no sense."
            raise UpstreamFailed(message, upstream_status="invalid_response") from error


def _json(exchange: Exchange, target: Target, adapter: Adapter) -> Json:
    """The object in the body of a 200. Raises UpstreamFault for any other answer."""
    name = target.provider.name
    body = exchange.read_body()
    try:
        data = loads(body)
    except ValueError as error:
        if exchange.status == 200:
            raise UpstreamFailed(
                f"{name} answered with something that is no JSON.", upstream_status="invalid_response"
            ) from error
        data = body.decode("utf-8", "replace")
    if exchange.status != 200:
        said = {"retry_after": retry_after(exchange.headers), **adapter.error(exchange.status, data)}
        raise upstream_error(said.pop("status", exchange.status), **said)
    if not isinstance(data, dict):
        raise UpstreamFailed(
            f"{name} answered with something that is no completion.", upstream_status="invalid_response"
        )
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
    first_content_received, finished = set[int](), set[int]()
    held: list[Chunk] | None = []
    try:
        for chunk in chunks:
            if chunk is PAUSE:
                yield chunk
                continue
            for choice in chunk["choices"]:
                (finished if choice.get("finish_reason") else first_content_received).add(choice["index"])
            if held is None:
                yield chunk
                continue
            held.append(chunk)
            if _has_content(chunk):
                yield from held
                held = None
    except requests.RequestException:
        if not finished or first_content_received - finished:
            raise
    if not finished or first_content_received - finished:
        raise UpstreamFailed("The upstream ended its stream without a finish_reason.", upstream_status="truncated")


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
