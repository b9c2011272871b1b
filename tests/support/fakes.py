"""A transport that is data: what each attempt is answered with."""

import json
from collections.abc import Iterable, Iterator

from gateway.catalog.vendors import VENDORS, Provider, Target
from gateway.health.target_health import HealthRegistry
from gateway.routing.attempt import Timeouts
from gateway.routing.call import Call
from gateway.routing.router import Router
from gateway.stream_events import PAUSE, Pause
from gateway.transport.failures import TransportFailure

SECRET = "sk-upstream-secret"


def target(vendor="openai", model="gpt-x", **options) -> Target:
    return Target(Provider(VENDORS[vendor], f"https://{vendor}.example", SECRET), model, **options)


class Answer:
    """An exchange; of `blocks`, an exception is raised where it stands. `waits`: pauses before the head."""

    def __init__(self, status=200, blocks: Iterable = (), headers=None, waits=0):
        self.status, self._blocks, self._waits, self.closed = status, list(blocks), waits, False
        self.headers = {"content-type": "text/event-stream", **(headers or {})}

    def wait_for_headers(self) -> Iterator[Pause]:
        yield from [PAUSE] * self._waits

    def blocks(self):
        for block in self._blocks:
            if isinstance(block, Exception):
                raise block
            yield block

    def read_body(self) -> bytes:
        return b"".join(block for block in self.blocks() if not isinstance(block, Pause))

    def close(self) -> None:
        self.closed = True


def plain(data, status=200, **headers) -> Answer:
    return Answer(status, [json.dumps(data).encode()], {"content-type": "application/json", **headers})


def sse(*said) -> Answer:
    """A stream of JSON values; strings are sent as they are."""
    frames = [
        one
        if not isinstance(one, dict | str)
        else b"data: %b\n\n" % (one if isinstance(one, str) else json.dumps(one)).encode()
        for one in said
    ]
    return Answer(200, frames)


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
    """Gives out answers in order, and keeps what was asked; an exception among them is raised."""

    def __init__(self, *answers):
        self.answers, self.given, self.asked = list(answers), [], []

    def open(self, url, headers, body, watch):
        self.asked.append({"url": url, "headers": headers, "body": json.loads(body), "watch": watch})
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        self.given.append(answer)
        return answer


class Room:
    """A router over a fake transport; `slept` are the waits that it wanted, `spent` the tokens it counted."""

    def __init__(self, *answers, attempts=1, admit=lambda _: None):
        self.transport, self.slept, self.record_tokens = FakeTransport(*answers), [], []
        self.router = Router(
            self.transport,
            attempts=attempts,
            timeouts=Timeouts(total=60),
            health_registry=HealthRegistry(),
            admit=admit,
            record_tokens=lambda target, tokens: self.record_tokens.append((target.provider.name, tokens)),
            sleep=self.slept.append,
        )


def call(*targets, strict=False, **chat) -> Call:
    asked = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], **chat}
    return Call(id="r1", chat=asked, targets=targets or (target(),), created=1700000000, strict=strict)


RESET = TransportFailure("Connection reset by peer")
