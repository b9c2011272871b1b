"""The workloads, one row each, and the requests that they send."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

SUSTAINED_LEVELS = (1, 8, 32, 64, 128, 256, 512)  # concurrent streams; the result is the highest level sustained
GATEWAYS = ("ours", "nginx", "litellm", "portkey")
WITH_DIRECT = ("direct", *GATEWAYS)


@dataclass(frozen=True)
class Workload:
    """
    `kind`: requests (responses of 400 bytes to bodies of `size` KB), streams (of `chunks`, `gap` ms apart), held (the
    same, with one stream per connection and memory measured) or sustained.
    """

    name: str
    kind: str
    connections: int = 0
    size: int = 1
    chunks: int = 0
    gap: int = 0
    dialect: str = "openai"
    targets: tuple[str, ...] = GATEWAYS

    @property
    def model(self) -> str:
        return "bench-plain" if self.kind == "requests" else f"bench-stream-{self.chunks}-{self.gap}"


def translated(name: str, kind: str, **fields: int) -> Workload:
    """Return a workload that the gateway translates to another dialect; no other target runs it."""
    return Workload(name, kind, dialect="anthropic", targets=("ours",), **fields)


WORKLOADS = (
    Workload("held-500", "held", connections=500, chunks=100, gap=100),
    translated("anthropic-held-500", "held", connections=500, chunks=100, gap=100),
    Workload("held-3000", "held", connections=3000, chunks=100, gap=100, targets=("ours", "nginx")),
    Workload("1kb-32", "requests", connections=32, targets=WITH_DIRECT),
    Workload("1kb-1", "requests", connections=1, targets=WITH_DIRECT),
    Workload("20kb-32", "requests", connections=32, size=20, targets=WITH_DIRECT),
    Workload("20kb-1", "requests", connections=1, size=20, targets=WITH_DIRECT),
    translated("anthropic-1kb-32", "requests", connections=32),
    Workload("burst-16", "streams", connections=16, chunks=200, gap=0),
    translated("anthropic-burst-16", "streams", connections=16, chunks=200, gap=0),
    Workload("paced-16", "streams", connections=16, chunks=100, gap=5),
    translated("anthropic-paced-16", "streams", connections=16, chunks=100, gap=5),
    Workload("paced-64", "streams", connections=64, chunks=100, gap=5),
    translated("anthropic-paced-64", "streams", connections=64, chunks=100, gap=5),
    Workload("sustained", "sustained", chunks=64, gap=20),
    translated("anthropic-sustained", "sustained", chunks=64, gap=20),
)

PROSE = 'The "quick" brown fox jumps over the lazy dog; then it reads\non, line by line, as conversations do. '


def chat(model: str, size: int, *, stream: bool) -> bytes:
    """Return a chat request of about `size` KB: a system message and a dialogue of one turn for 1 KB, of nine for more."""
    count = 2 if size == 1 else 10
    text_size = size * 1024 - len(dialogue(model, "", count, stream=stream))
    message_size = text_size * 97 // 100 // count  # JSON escapes some characters
    return dialogue(model, (PROSE * (message_size // len(PROSE) + 1))[:message_size], count, stream=stream)


def dialogue(model: str, content: str, count: int, *, stream: bool) -> bytes:
    roles = ("system", *("user", "assistant") * count)[:count]
    messages = [{"role": role, "content": content} for role in roles]
    stream_field = {"stream": True} if stream else {}
    return json.dumps(
        {"model": model, "messages": messages, "temperature": 0.7, "max_tokens": 500, **stream_field}
    ).encode()


def http_request(port: int, path: str, headers: dict[str, str], body: bytes) -> bytes:
    """Return the bytes of a POST like that of an SDK, with fewer headers."""
    lines: Iterator[str] = (f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{''.join(lines)}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body
