"""
An upstream server whose responses a test scripts.

A test adds a script and requests the model name that it gets back. A script is a sequence of steps: bytes are sent as
they are, a number is a pause in seconds, RESET closes the connection with a TCP reset, and the end of the script closes
it normally. Further scripts for the same name are for the calls that follow; the last one repeats.
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
SENT, ABORTED = "sent", "aborted"
LAST_CHUNK = b"0\r\n\r\n"


@dataclass
class ReceivedCall:
    """A call that arrived. `outcome`: None until it ends, SENT, or ABORTED if the client closed the connection first."""

    path: str
    headers: dict[str, str]
    body: bytes
    outcome: str | None = None
    started_at: float = field(default_factory=time.monotonic)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class ScriptedUpstream(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.scripts: dict[str, list[list[Any]]] = {}
        self.calls: dict[str, list[ReceivedCall]] = defaultdict(list)
        self.counter = itertools.count()
        # GET requests, by which the gateway probes a provider.
        self.probes = 0

    @property
    def url(self) -> str:
        scheme = "https" if isinstance(self.socket, ssl.SSLSocket) else "http"
        return f"{scheme}://127.0.0.1:{self.server_port}"

    def add_model(self, *scripts: list[Any]) -> str:
        """Return the name of a new model that responds by these scripts, one for each call."""
        name = f"scripted-{next(self.counter)}"
        self.scripts[name] = list(scripts)
        return name

    def handle_error(self, *_: Any) -> None:
        """Print nothing when a client disconnects during its request."""


class Handler(BaseHTTPRequestHandler):
    server: ScriptedUpstream
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.server.probes += 1
        # Anthropic refuses a request without its version, whatever it asks for.
        refused = "x-api-key" in self.headers and "anthropic-version" not in self.headers
        error = {"type": "error", "error": {"type": "invalid_request_error", "message": "anthropic-version: required"}}
        response = json_response(error, 400) if refused else json_response({"object": "list", "data": []})
        self.wfile.write(b"".join(response))
        self.close_connection = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        call = ReceivedCall(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        name = call.json["model"]
        calls, scripts = self.server.calls[name], self.server.scripts[name]
        calls.append(call)
        try:
            for step in scripts[min(len(calls), len(scripts)) - 1]:
                self.play(step)
                if step is RESET:  # the socket closes with its last reader, so a further step would still be sent
                    break
            call.outcome = SENT
        except OSError:
            call.outcome = ABORTED
        self.close_connection = True

    def play(self, step: Any) -> None:
        if step is RESET:
            # SO_LINGER with a timeout of 0 makes close() send a reset (socket(7)).
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif isinstance(step, bytes):
            self.wait_for_disconnect(0)
            self.wfile.write(step)
        else:
            self.wait_for_disconnect(step)

    def wait_for_disconnect(self, seconds: float) -> None:
        """Wait for `seconds`. Raise BrokenPipeError as soon as the client closes the connection."""
        flags = 0 if isinstance(self.connection, ssl.SSLSocket) else socket.MSG_PEEK  # SSLSocket.recv takes no flags
        if select.select([self.connection], [], [], seconds)[0] and not self.connection.recv(1, flags):
            raise BrokenPipeError


@contextmanager
def run_scripted_upstream(tls: ssl.SSLContext | None = None) -> Iterator[ScriptedUpstream]:
    """Run the upstream; over TLS if there is a context with a certificate."""
    with ScriptedUpstream() as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class PlainHttpServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 256


class PlainHttpHandler(socketserver.BaseRequestHandler):
    """Responds with plain HTTP to everything, even to a TLS ClientHello."""

    def handle(self) -> None:
        self.request.recv(65536)
        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


@contextmanager
def failing_origins() -> Iterator[dict[str, str]]:
    """Yield origins where a call fails before its request is sent, by the name of the failure."""
    with ExitStack() as stack:
        refusing, full, silent = (stack.enter_context(socket.socket()) for _ in range(3))
        for listener in (refusing, full, silent):
            listener.bind(("127.0.0.1", 0))
        full.listen(0)
        silent.listen(256)  # the kernel accepts connections, the process never does
        for _ in range(3):  # enough to fill the accept queue: Linux then drops every further SYN
            pending = stack.enter_context(socket.socket())
            pending.setblocking(False)
            pending.connect_ex(full.getsockname())
        plain_http = stack.enter_context(PlainHttpServer(("127.0.0.1", 0), PlainHttpHandler))
        thread = threading.Thread(target=plain_http.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        stack.callback(thread.join)
        stack.callback(plain_http.shutdown)
        yield {
            "connection-refused": f"http://127.0.0.1:{refusing.getsockname()[1]}",
            "connect-timeout": f"http://127.0.0.1:{full.getsockname()[1]}",
            "tls-timeout": f"https://127.0.0.1:{silent.getsockname()[1]}",
            "tls-error": f"https://127.0.0.1:{plain_http.server_address[1]}",
            "unknown-host": "http://unknown.invalid",
        }


def response_head(status: int = 200, content_type: str = "application/json", **headers: Any) -> bytes:
    """Return the status line and the header section; `content_length=5` becomes `content-length: 5`."""
    lines = [f"HTTP/1.1 {status} Reason", f"Content-Type: {content_type}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def json_response(data: Any, status: int = 200, **headers: Any) -> list[Any]:
    """Script a plain response: a value as JSON, or bytes as they are."""
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    return [response_head(status, content_length=len(body), **headers) + body]


def sse_response(*steps: Any, last: bytes = LAST_CHUNK) -> list[Any]:
    """Script a chunked response of events: dicts become `data:` frames, every other step stays as it is."""
    head = response_head(200, "text/event-stream", transfer_encoding="chunked")
    return [head, *(_http_chunk(step) for step in steps), last]


def _http_chunk(step: Any) -> Any:
    if isinstance(step, dict):
        step = b"data: %b\n\n" % json.dumps(step).encode()
    return b"%x\r\n%b\r\n" % (len(step), step) if isinstance(step, bytes) else step


DONE = b"data: [DONE]\n\n"


def chunk(
    delta: dict[str, Any] | None = None, finish_reason: str | None = None, index: int = 0, **fields: Any
) -> dict[str, Any]:
    """Return a chunk in OpenAI's dialect."""
    choice = {"index": index, "delta": delta or {}, "finish_reason": finish_reason}
    base = {"id": "chatcmpl-up", "object": "chat.completion.chunk", "created": 1, "model": "up-1"}
    return {**base, "choices": [choice], **fields}


def text_chunk(content: str, **fields: Any) -> dict[str, Any]:
    return chunk({"content": content}, **fields)


ROLE = chunk({"role": "assistant", "content": ""})
STOP = chunk(finish_reason="stop")
USAGE = {**STOP, "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}}


def completion(content: str = "Hello", **fields: Any) -> dict[str, Any]:
    """Return a plain response in OpenAI's dialect."""
    message = {"role": "assistant", "content": content, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    base = {"id": "chatcmpl-up", "object": "chat.completion", "created": 1, "model": "up-1"}
    return {**base, "choices": [choice], "usage": usage, **fields}


def anthropic_message(text: str = "Hello", **fields: Any) -> dict[str, Any]:
    """Return a plain response in Anthropic's dialect."""
    base = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-up"}
    usage = {"input_tokens": 5, "output_tokens": 2}
    content = [{"type": "text", "text": text}]
    return {**base, "content": content, "stop_reason": "end_turn", "stop_sequence": None, "usage": usage, **fields}
