"""
An upstream that says what a test tells it to.

A test gives it a script and asks the gateway for the model name that it gets back. A script is a sequence of steps:
bytes are sent as they are, a number is so many seconds of silence, RESET ends the connection as a dying peer does, and
the end of the script closes it. Another script for the same name is for the next call; the last one is for all others.
"""

import itertools
import json
import select
import socket
import socketserver
import ssl
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

RESET = object()
LAST = b"0\r\n\r\n"


@dataclass
class Asked:
    """A call that came; `end` is `sent` or `client-gone`, None while it lasts."""

    path: str
    headers: dict[str, str]
    body: bytes
    end: str | None = None
    began: float = field(default_factory=time.monotonic)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Upstream(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.scripts: dict[str, list[list[Any]]] = {}
        self.calls: dict[str, list[Asked]] = defaultdict(list)
        self.count = itertools.count()

    @property
    def url(self) -> str:
        scheme = "https" if isinstance(self.socket, ssl.SSLSocket) else "http"
        return f"{scheme}://127.0.0.1:{self.server_port}"

    def model(self, *scripts: list[Any]) -> str:
        """The name of a model that answers by these scripts, one a call."""
        name = f"scripted-{next(self.count)}"
        self.scripts[name] = list(scripts)
        return name

    def handle_error(self, *_: Any) -> None:
        """A client that left in mid-request is none of our business."""


class Handler(BaseHTTPRequestHandler):
    server: Upstream
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.wfile.write(b"".join(plain({"object": "list", "data": []})))
        self.close_connection = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        asked = Asked(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        name = asked.json["model"]
        calls, scripts = self.server.calls[name], self.server.scripts[name]
        calls.append(asked)
        try:
            for step in scripts[min(len(calls), len(scripts)) - 1]:
                self.play(step)
                if step is RESET:  # it is closed when its reader is, too: what would still be said, would still be sent
                    break
            asked.end = "sent"
        except OSError:
            asked.end = "client-gone"
        self.close_connection = True

    def play(self, step: Any) -> None:
        if step is RESET:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif isinstance(step, bytes):
            self.look(0)
            self.wfile.write(step)
        else:
            self.look(step)

    def look(self, seconds: float) -> None:
        """Wait. Raises BrokenPipeError as soon as the client has gone."""
        flags = 0 if isinstance(self.connection, ssl.SSLSocket) else socket.MSG_PEEK  # TLS takes none
        if select.select([self.connection], [], [], seconds)[0] and not self.connection.recv(1, flags):
            raise BrokenPipeError


@contextmanager
def upstream(tls: ssl.SSLContext | None = None) -> Iterator[Upstream]:
    """Over TLS where there is a context with a certificate."""
    with Upstream() as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class Many(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 256


class PlainSpeaker(socketserver.BaseRequestHandler):
    """Answers whatever comes, and be it the beginning of TLS, in plain HTTP."""

    def handle(self) -> None:
        self.request.recv(65536)
        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


@contextmanager
def unreachable() -> Iterator[dict[str, str]]:
    """Origins where it fails before a request is sent, by what is wrong with them."""
    with ExitStack() as stack:
        closed, deaf, mute = (stack.enter_context(socket.socket()) for _ in range(3))
        for listener in (closed, deaf, mute):
            listener.bind(("127.0.0.1", 0))
        deaf.listen(0)
        mute.listen(256)  # the kernel accepts for it, and there it ends
        for _ in range(3):  # as many as fill its queue: it drops what else comes
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(deaf.getsockname())
        speaker = stack.enter_context(Many(("127.0.0.1", 0), PlainSpeaker))
        thread = threading.Thread(target=speaker.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        stack.callback(thread.join)
        stack.callback(speaker.shutdown)
        yield {
            "closed": f"http://127.0.0.1:{closed.getsockname()[1]}",
            "deaf": f"http://127.0.0.1:{deaf.getsockname()[1]}",
            "mute": f"https://127.0.0.1:{mute.getsockname()[1]}",
            "plain-speaking": f"https://127.0.0.1:{speaker.server_address[1]}",
            "nowhere": "http://nowhere.invalid",
        }


def head(status: int = 200, kind: str = "application/json", **headers: Any) -> bytes:
    lines = [f"HTTP/1.1 {status} So", f"Content-Type: {kind}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def plain(data: Any, status: int = 200, **headers: Any) -> list[Any]:
    """A whole answer."""
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    return [head(status, content_length=len(body), **headers) + body]


def streamed(*steps: Any, last: bytes = LAST) -> list[Any]:
    """A chunked answer of events: dicts are `data:` frames, bytes are sent as they are; what else a script may have."""
    return [head(200, "text/event-stream", transfer_encoding="chunked"), *(_framed(step) for step in steps), last]


def _framed(step: Any) -> Any:
    if isinstance(step, dict):
        step = b"data: %b\n\n" % json.dumps(step).encode()
    return b"%x\r\n%b\r\n" % (len(step), step) if isinstance(step, bytes) else step


DONE = b"data: [DONE]\n\n"


def chunk(
    delta: dict[str, Any] | None = None, finish: str | None = None, index: int = 0, **more: Any
) -> dict[str, Any]:
    """A chunk of OpenAI's dialect."""
    choice = {"index": index, "delta": delta or {}, "finish_reason": finish}
    frame = {"id": "chatcmpl-up", "object": "chat.completion.chunk", "created": 1, "model": "up-1"}
    return {**frame, "choices": [choice], **more}


def text(said: str, **more: Any) -> dict[str, Any]:
    return chunk({"content": said}, **more)


ROLE = chunk({"role": "assistant", "content": ""})
STOP = chunk(finish="stop")
USAGE = {**STOP, "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}}


def completion(said: str = "Hello", **more: Any) -> dict[str, Any]:
    """A whole completion of OpenAI's dialect."""
    message = {"role": "assistant", "content": said, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    used = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    frame = {"id": "chatcmpl-up", "object": "chat.completion", "created": 1, "model": "up-1"}
    return {**frame, "choices": [choice], "usage": used, **more}


def message(said: str = "Hello", **more: Any) -> dict[str, Any]:
    """A whole message of Anthropic's dialect."""
    frame = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-up"}
    used = {"input_tokens": 5, "output_tokens": 2}
    content = [{"type": "text", "text": said}]
    return {**frame, "content": content, "stop_reason": "end_turn", "stop_sequence": None, "usage": used, **more}
