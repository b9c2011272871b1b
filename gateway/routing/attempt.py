"""One try at one target, from its request to the end of its response."""

import math
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple

import structlog

from gateway.catalog.targets import Target
from gateway.dialects import ADAPTERS
from gateway.dialects.contract import Adapter, TargetRequest, VendorRequest
from gateway.errors import (
    GatewayError,
    Untranslatable,
    UpstreamCredentials,
    UpstreamFault,
)
from gateway.health.target_health import TargetLease
from gateway.json_codec import dumps
from gateway.openai_types import Chat, Chunk, Completion, Json
from gateway.routing.call import Call
from gateway.routing.response_checks import (
    bounded_beginning,
    complete_stream,
    completion_as_chunks,
    data_size,
    json_object,
)
from gateway.routing.upstream_errors import map_upstream_errors
from gateway.stream_events import PAUSE, Pause
from gateway.transport.exchange import Exchange
from gateway.transport.http_transport import Transport
from gateway.transport.upstream_wait import FIRST_CONTENT, TARGET, TOTAL, UpstreamWait

# `identity`: a compressed stream would arrive in bursts, and what is passed on would have to be unpacked.
JSON_HEADERS = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "identity"}
STREAM_HEADERS = JSON_HEADERS | {"Accept": "text/event-stream"}
# The share of the configured timeout from which on an attempt counts as having had all of it.
FULL_TIME = 0.99
# A reasoning model may think for minutes before its first content.
REASONING_FACTOR = 5

ChunkStream = Generator[Chunk | Pause, None, None]


class Timeouts(NamedTuple):
    """Seconds that a call may take in total, until a stream's first content, and between its events."""

    total: float = 600.0
    first_content: float = 120.0
    idle: float = 120.0

    def until_content(self, target: Target, chat: Chat) -> float:
        """Seconds until the first content; more for reasoning, unless the target has a timeout of its own."""
        if target.first_content_timeout is not None:
            return target.first_content_timeout
        reasons = target.model_info.reasoning or chat.get("reasoning_effort") not in (None, "none")
        return self.first_content * REASONING_FACTOR if reasons else self.first_content

    def between_events(self, target: Target) -> float:
        """Seconds between two events of a stream, once its first content has arrived."""
        return self.idle if target.idle_timeout is None else target.idle_timeout


class StreamLimits(NamedTuple):
    """Bytes that one event of a stream may have, and all events together before the first content."""

    event: int = 8 << 20
    before_content: int = 1 << 20


class HttpRequest(NamedTuple):
    """A request as it goes upstream."""

    url: str
    headers: Mapping[str, str]
    body: bytes


class RequestKind(NamedTuple):
    """A kind of request that has a plain response: how an adapter translates it, and the response to it."""

    vendor_request: Callable[[Adapter, TargetRequest], VendorRequest]
    response: Callable[[Adapter, TargetRequest, Json], Json]


@dataclass(frozen=True, slots=True)
class UpstreamCaller:
    """What all attempts share. `admit(target)` raises UpstreamLimited while the target's own limits are used up."""

    transport: Transport
    timeouts: Timeouts
    admit: Callable[[Target], None]
    limits: StreamLimits

    def attempt(self, call: Call, target: Target, lease: TargetLease) -> "UpstreamAttempt":
        """An attempt that watches the client while it waits for the upstream."""
        return UpstreamAttempt(self, call, target, lease, UpstreamWait(call.watch), registers_close=True)

    def hedged_attempt(self, call: Call, target: Target, lease: TargetLease, wait: UpstreamWait) -> "UpstreamAttempt":
        """An attempt beside another, in a thread of its own, which closes it."""
        return UpstreamAttempt(self, call, target, lease, wait, registers_close=False)


class UpstreamAttempt:
    """
    One try of `call` at `target`; `wait` has its time bounds. It is over, and the target's health knows how it ended,
    when `fetch` returns, when the stream is exhausted or closed, or when either raises.

    It alone writes what the call says of attempts: `attempts`, `dropped`, `served_by`, `served_model`, `first_content`.
    """

    __slots__ = (
        "_adapter",
        "_caller",
        "_registers_close",
        "call",
        "content_started",
        "dropped",
        "lease",
        "started",
        "target",
        "wait",
    )

    def __init__(
        self,
        caller: UpstreamCaller,
        call: Call,
        target: Target,
        lease: TargetLease,
        wait: UpstreamWait,
        *,
        registers_close: bool,
    ) -> None:
        self._caller, self._registers_close = caller, registers_close
        self._adapter = ADAPTERS[target.provider.vendor.dialect]
        self.call, self.target, self.lease, self.wait = call, target, lease, wait
        self.started = time.monotonic()
        self.dropped: tuple[str, ...] = ()
        self.content_started = False

    def fetch(self, kind: RequestKind) -> Json:
        """The plain response. Raises GatewayError."""
        adapter, request = self._adapter, self.call.request_for(self.target)
        with self.lease:
            http_request = self._prepare(kind.vendor_request(adapter, request), streams=False)
            with map_upstream_errors(self.target), closing(self._open(http_request)) as exchange:
                deque(exchange.wait_for_headers(), 0)
                response = kind.response(adapter, request, json_object(exchange, adapter, self.target.provider.name))
            self.lease.record_latency(streams=False)
        return response

    def stream(self) -> ChunkStream:
        """
        The chunks from the first with content on, and PAUSE.

        Raises GatewayError, also for a stream that ends before all of its choices have.
        """
        adapter, request = self._adapter, self.call.request_for(self.target)
        with self.lease:
            http_request = self._prepare(adapter.vendor_request(request), streams=True)
            with map_upstream_errors(self.target), closing(self._open(http_request)) as exchange:
                yield from exchange.wait_for_headers()
                if exchange.status == 200 and "application/json" not in exchange.headers.get("content-type", ""):
                    limits = self._caller.limits
                    # Comments and empty events are in the blocks alone, the first content, of any size, at their end.
                    all_bytes = limits.before_content + limits.event
                    blocks = bounded_beginning(exchange.blocks(), len, all_bytes, lambda: self.content_started)
                    events = adapter.events(blocks, limits.event)
                    events = bounded_beginning(events, data_size, limits.before_content, lambda: self.content_started)
                    chunks = complete_stream(adapter.chunks(request, events))
                else:
                    completion = json_object(exchange, adapter, self.target.provider.name)
                    chunks = completion_as_chunks(adapter.completion(request, completion))
                for chunk in chunks:
                    if chunk is not PAUSE:
                        self.content_started = True
                        self._bound_idle_time()
                        yield chunk
                        break
                    yield chunk
                yield from chunks

    def record_response(self, response: Json) -> None:
        """The first content, or the whole response, is there, and the client gets it."""
        call = self.call
        self._record("200")
        call.served_by, call.served_model, call.first_content = self.target, response.get("model"), time.monotonic()

    def record_failure(self, error: GatewayError) -> None:
        """The attempt failed; a refused credential is logged, since only the gateway's owner can replace it."""
        if isinstance(error, UpstreamFault):
            self._record(str(error.upstream_status))
        else:
            self.call.dropped = self.dropped
        if isinstance(error, UpstreamCredentials):
            provider = self.target.provider
            structlog.get_logger().error(
                "credential_refused",
                request_id=self.call.id,
                status=error.upstream_status,
                provider=provider.name,
                base_url=provider.base_url,
            )

    def record_cancelled(self) -> None:
        """Another attempt answered first; the upstream counts the prompt all the same."""
        self.call.cancelled_targets.append(self.target)
        self._record("cancelled")

    def _record(self, status: str) -> None:
        self.call.dropped = self.dropped
        self.call.record_attempt(self.target, status, time.monotonic() - self.started)

    def _prepare(self, request: VendorRequest, *, streams: bool) -> HttpRequest:
        """The request as it is sent, and the bounds of its time. Raises GatewayError; what else fails is our own fault."""
        call, target, wait, timeouts = self.call, self.target, self.wait, self._caller.timeouts
        provider = target.provider
        self.dropped = request.dropped
        if call.strict and request.dropped:
            field = request.dropped[0]
            raise Untranslatable(f"{provider.name} does not support {field} of this request.", param=field)
        self._caller.admit(target)
        wait.idle_timeout = math.inf
        wait.connect_timeout = math.inf if target.connect_timeout is None else target.connect_timeout
        wait.deadline, wait.deadline_kind = self._deadline()
        self.lease.caller = call.caller
        # A deadline of the client's own, or what earlier attempts have left of the time, says nothing about the target.
        self.lease.short_deadline = call.deadline - self.started < timeouts.total * FULL_TIME
        if streams:
            content_deadline = self.started + timeouts.until_content(target, call.chat)
            if content_deadline < wait.deadline:
                wait.deadline, wait.deadline_kind = content_deadline, FIRST_CONTENT
        credentials = self._adapter.credentials(provider.key) if provider.key else {}
        accepted = STREAM_HEADERS if streams else JSON_HEADERS
        headers = {**accepted, **self._adapter.base_headers, **request.headers, **credentials}
        return HttpRequest(provider.base_url + request.path, headers, dumps(request.body))

    def _open(self, request: HttpRequest) -> Exchange:
        """Send a request; the exchange is closed with the call at the latest. Raises TransportFailure."""
        exchange = self._caller.transport.open(*request, self.wait)
        if self._registers_close:
            self.call.closers.append(exchange.close)
        return exchange

    def _bound_idle_time(self) -> None:
        """The first content is there: from now on the time between events is bounded."""
        self.wait.content_started(*self._deadline(), self._caller.timeouts.between_events(self.target))

    def _deadline(self) -> tuple[float, str]:
        """When all of the response must be there, and the word for having missed that."""
        timeout, deadline = self.target.timeout, self.call.deadline
        if timeout is None or self.started + timeout >= deadline:
            return deadline, TOTAL
        return self.started + timeout, TARGET


def _chat_request(adapter: Adapter, request: TargetRequest) -> VendorRequest:
    return adapter.vendor_request(request)


def _completion(adapter: Adapter, request: TargetRequest, body: Json) -> Completion:
    return adapter.completion(request, body)


def _embeddings_request(adapter: Adapter, request: TargetRequest) -> VendorRequest:
    if adapter.embeddings_request is None:
        raise Untranslatable(f"{request.vendor.name} has no embeddings.", param="model")
    return adapter.embeddings_request(request)


CHAT = RequestKind(_chat_request, _completion)
EMBEDDINGS = RequestKind(_embeddings_request, lambda _adapter, _request, body: body)
