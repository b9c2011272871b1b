"""The upstream of the built-in model: an OpenAI-compatible server without a socket."""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import requests
from requests.adapters import BaseAdapter

from gateway.echo import model
from gateway.errors import ClientDisconnected
from gateway.json_codec import dumps, loads
from gateway.openai_types import Chunk
from gateway.stream_events import PAUSE, Pause
from gateway.transport.client_watch import CLIENT_CHECK_INTERVAL
from gateway.transport.upstream_wait import DeadlinePassed, UpstreamWait

# Chunks without a pace after which others of this thread get their turn.
CHUNKS_AT_ONCE = 32


class EchoAdapter(BaseAdapter):
    """Serves `echo://`; `pace` is in seconds per word."""

    def __init__(self, pace: float, sleep: Callable[[float], None]) -> None:
        super().__init__()
        self._pace, self._sleep, self._count = pace, sleep, itertools.count()

    def open(
        self, _method: str, url: str, _headers: Mapping[str, str], body: bytes, wait: UpstreamWait
    ) -> "EchoExchange":
        try:
            return self._respond(url, loads(body), wait)
        except model.Refused as refused:
            error = {
                "message": str(refused),
                "type": "invalid_request_error",
                "param": refused.param,
                "code": None,
            }
            return EchoExchange(dumps({"error": error}), status=400)

    def _respond(self, url: str, request: Any, wait: UpstreamWait) -> "EchoExchange":
        if url.endswith("/embeddings"):
            return EchoExchange(dumps(model.embeddings(request)))
        ident, created = f"chatcmpl-echo-{next(self._count)}", int(time.time())
        if not request.get("stream"):
            return EchoExchange(dumps(model.completion(request, ident, created)))
        chunks = model.chunks(request, ident, created)
        first = next(chunks)  # raises Refused while the response can still be an error
        return EchoExchange(b"", self._paced(itertools.chain((first,), chunks), wait))

    def send(self, *_args: Any, **_options: Any) -> requests.Response:
        raise requests.ConnectionError("echo has no address")

    def close(self) -> None:
        pass

    def _paced(self, chunks: Iterable[Chunk], wait: UpstreamWait) -> Iterator[bytes | Pause]:
        """The frames of a stream, each made when it is due. Raises as `UpstreamWait.receive` does."""
        watch = wait.watch
        for n, chunk in enumerate(chunks):
            now = time.monotonic()
            if now >= wait.deadline:
                raise DeadlinePassed(wait.deadline_kind)
            if wait.cancelled:
                raise ClientDisconnected("another attempt was first")
            watch.raise_if_shutting_down(now)
            if now - watch.checked_at >= CLIENT_CHECK_INTERVAL:
                watch.checked_at = now
                watch.check_connected()
            yield b"data: %b\n\n" % dumps(chunk)
            if self._pace or not n % CHUNKS_AT_ONCE:
                self._sleep(min(self._pace, max(0.0, wait.deadline - now)))
            if time.monotonic() >= watch.yield_at:
                yield PAUSE
        yield b"data: [DONE]\n\n"


class EchoExchange:
    """An Exchange whose response is there from the start."""

    def __init__(self, body: bytes, blocks: Iterable[bytes | Pause] = (), status: int = 200) -> None:
        self.status = status
        self.headers: Mapping[str, str] = {"content-type": "application/json" if body else "text/event-stream"}
        self._body, self._blocks = body, iter(blocks)

    def wait_for_headers(self) -> Iterator[Pause]:
        return iter(())

    def blocks(self) -> Iterator[bytes | Pause]:
        return self._blocks

    def read_body(self) -> bytes:
        return self._body

    def close(self) -> None:
        pass
