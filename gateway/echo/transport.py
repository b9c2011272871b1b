"""The upstream of the built-in model: an OpenAI-compatible server without a socket."""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import requests
from requests.adapters import BaseAdapter

from gateway.echo import model
from gateway.json_codec import dumps, loads
from gateway.stream_events import PAUSE, Pause
from gateway.transport.client_watch import ClientWatch
from gateway.transport.upstream_wait import UpstreamWait


class EchoAdapter(BaseAdapter):
    """Serves `echo://`; `pace` is in seconds per word."""

    def __init__(self, pace: float, sleep: Callable[[float], None]) -> None:
        super().__init__()
        self._pace, self._sleep, self._count = pace, sleep, itertools.count()

    def open(
        self, _method: str, url: str, _headers: Mapping[str, str], body: bytes, wait: UpstreamWait
    ) -> "EchoExchange":
        try:
            return self._respond(url, loads(body), wait.watch)
        except model.Refused as refused:
            error = {
                "message": str(refused),
                "type": "invalid_request_error",
                "param": refused.param,
                "code": None,
            }
            return EchoExchange(dumps({"error": error}), status=400)

    def _respond(self, url: str, request: Any, watch: ClientWatch) -> "EchoExchange":
        if url.endswith("/embeddings"):
            return EchoExchange(dumps(model.embeddings(request)))
        ident, created = f"chatcmpl-echo-{next(self._count)}", int(time.time())
        if not request.get("stream"):
            return EchoExchange(dumps(model.completion(request, ident, created)))
        frames = [b"data: " + dumps(chunk) + b"\n\n" for chunk in model.chunks(request, ident, created)]
        return EchoExchange(b"", self._paced([*frames, b"data: [DONE]\n\n"], watch))

    def send(self, *_args: Any, **_options: Any) -> requests.Response:
        raise requests.ConnectionError("echo has no address")

    def close(self) -> None:
        pass

    def _paced(self, frames: list[bytes], watch: ClientWatch) -> Iterator[bytes | Pause]:
        for frame in frames:
            watch.raise_if_shutting_down(time.monotonic())
            yield frame
            if self._pace:
                self._sleep(self._pace)
            if time.monotonic() >= watch.yield_at:
                yield PAUSE


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
