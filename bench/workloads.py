"""What is asked of each target, one row each, and the requests that ask it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

SUSTAINED = (1, 8, 32, 64, 128, 256, 512)
"""So many streams at once; the highest that a target sustains is its figure."""

EVERY = ("ours", "nginx", "litellm", "portkey")
DIRECT = ("direct", *EVERY)


@dataclass(frozen=True)
class Workload:
    """
    `kind`: requests (answers of 400 bytes to bodies of `size` KB), streams (of `chunks`, `gap` ms apart), held (the
    same, each connection once, memory measured) or sustained. `at_once`: connections.
    """

    name: str
    kind: str
    at_once: int = 0
    size: int = 1
    chunks: int = 0
    gap: int = 0
    dialect: str = "openai"
    targets: tuple[str, ...] = EVERY

    @property
    def model(self) -> str:
        return "bench-plain" if self.kind == "requests" else f"bench-stream-{self.chunks}-{self.gap}"


def translated(name: str, kind: str, **fields: int) -> Workload:
    """A workload that ours has to translate; nobody else is asked."""
    return Workload(name, kind, dialect="anthropic", targets=("ours",), **fields)


WORKLOADS = (
    Workload("held-500", "held", at_once=500, chunks=100, gap=100),
    translated("anthropic-held-500", "held", at_once=500, chunks=100, gap=100),
    Workload("held-3000", "held", at_once=3000, chunks=100, gap=100, targets=("ours", "nginx")),
    Workload("1kb-32", "requests", at_once=32, targets=DIRECT),
    Workload("1kb-1", "requests", at_once=1, targets=DIRECT),
    Workload("20kb-32", "requests", at_once=32, size=20, targets=DIRECT),
    Workload("20kb-1", "requests", at_once=1, size=20, targets=DIRECT),
    translated("anthropic-1kb-32", "requests", at_once=32),
    Workload("burst-16", "streams", at_once=16, chunks=200, gap=0),
    translated("anthropic-burst-16", "streams", at_once=16, chunks=200, gap=0),
    Workload("paced-16", "streams", at_once=16, chunks=100, gap=5),
    translated("anthropic-paced-16", "streams", at_once=16, chunks=100, gap=5),
    Workload("paced-64", "streams", at_once=64, chunks=100, gap=5),
    translated("anthropic-paced-64", "streams", at_once=64, chunks=100, gap=5),
    Workload("sustained", "sustained", chunks=64, gap=20),
    translated("anthropic-sustained", "sustained", chunks=64, gap=20),
)

PROSE = 'The "quick" brown fox jumps over the lazy dog; then it reads\non, line by line, as conversations do. '


def chat(model: str, size: int, *, stream: bool) -> bytes:
    """A chat of about `size` KB: a system message and a dialogue, of one turn for 1 KB and of nine for more."""
    count = 2 if size == 1 else 10
    room = size * 1024 - len(dialogue(model, "", count, stream=stream))
    share = room * 97 // 100 // count  # JSON escapes some of it
    return dialogue(model, (PROSE * (share // len(PROSE) + 1))[:share], count, stream=stream)


def dialogue(model: str, said: str, count: int, *, stream: bool) -> bytes:
    roles = ("system", *("user", "assistant") * count)[:count]
    messages = [{"role": role, "content": said} for role in roles]
    more = {"stream": True} if stream else {}
    return json.dumps({"model": model, "messages": messages, "temperature": 0.7, "max_tokens": 500, **more}).encode()


def http_request(port: int, path: str, headers: dict[str, str], body: bytes) -> bytes:
    """The bytes of a POST, as an SDK's are but for some headers."""
    lines: Iterator[str] = (f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{''.join(lines)}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body
