"""A transport that is data: what each attempt gets from its upstream."""

import json
from collections.abc import Iterable, Iterator

from gateway.catalog.targets import Provider, Target
from gateway.catalog.vendors import VENDORS
from gateway.health.target_health import HealthRegistry
from gateway.routing.attempt import Timeouts
from gateway.routing.call import Call
from gateway.routing.router import Router
from gateway.stream_events import PAUSE, Pause
from gateway.transport.failures import TransportFailure

SECRET = "sk-upstream-secret"


def target(vendor="openai", model="gpt-x", **options) -> Target:
    return Target(Provider(VENDORS[vendor], f"https://{vendor}.example", SECRET), model, **options)


class FakeExchange:
    """An exchange; an exception among its `blocks` is raised in its turn. `waits`: pauses before the headers."""

    def __init__(self, status=200, blocks: Iterable = (), headers=None, waits=0):
        self.status, self._blocks, self.waits, self.closed = status, list(blocks), waits, False
        self.headers = {"content-type": "text/event-stream", **(headers or {})}

    def wait_for_headers(self) -> Iterator[Pause]:
        yield from [PAUSE] * self.waits

    def blocks(self):
        for block in self._blocks:
            if isinstance(block, Exception):
                raise block
            yield block

    def read_body(self) -> bytes:
        return b"".join(block for block in self.blocks() if not isinstance(block, Pause))

    def close(self) -> None:
        self.closed = True


def plain(data, status=200, **headers) -> FakeExchange:
    return FakeExchange(status, [json.dumps(data).encode()], {"content-type": "application/json", **headers})


def sse(*values) -> FakeExchange:
    """A stream of JSON values; strings are sent as they are."""
    frames = [
        item
        if not isinstance(item, dict | str)
        else b"data: %b\n\n" % (item if isinstance(item, str) else json.dumps(item)).encode()
        for item in values
    ]
    return FakeExchange(200, frames)


def chunk(content=None, finish=None, index=0, **delta):
    told = {**delta, **({"content": content} if content is not None else {})}
    choice = {"index": index, "delta": told, "finish_reason": finish}
    return {"id": "up", "object": "chat.completion.chunk", "created": 5, "model": "served", "choices": [choice]}


USAGE = {
    "id": "up",
    "object": "chat.completion.chunk",
    "created": 5,
    "model": "served",
    "choices": [],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}
COMPLETION = {
    "id": "up",
    "object": "chat.completion",
    "created": 5,
    "model": "served",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}


class FakeTransport:
    """Hands out exchanges in order and records the requests; an exception among them is raised."""

    def __init__(self, *exchanges):
        self.exchanges, self.opened, self.requests = list(exchanges), [], []

    def open(self, url, headers, body, wait):
        self.requests.append({"url": url, "headers": headers, "body": json.loads(body), "wait": wait})
        exchange = self.exchanges.pop(0)
        if isinstance(exchange, Exception):
            raise exchange
        self.opened.append(exchange)
        return exchange


class FakeUpstreams:
    """A router over a fake transport; `waits` are the seconds that it slept, `tokens` what it counted."""

    def __init__(self, *exchanges, attempts=1, admit=lambda _: None):
        self.transport, self.waits, self.tokens = FakeTransport(*exchanges), [], []
        self.router = Router(
            self.transport,
            attempts=attempts,
            timeouts=Timeouts(total=60),
            health_registry=HealthRegistry(),
            admit=admit,
            record_tokens=lambda target, tokens: self.tokens.append((target.provider.name, tokens)),
            sleep=self.waits.append,
        )


def call(*targets, strict=False, **chat) -> Call:
    requests = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], **chat}
    return Call(id="r1", chat=requests, targets=targets or (target(),), created=1700000000, strict=strict)


RESET = TransportFailure("Connection reset by peer")
