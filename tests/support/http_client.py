"""An HTTP client that shows what arrives on the wire."""

import http.client
import json
import socket
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any

import requests

from tests.support.servers import Server

CHAT = "/v1/chat/completions"
ERROR_FIELDS = {"message", "type", "param", "code"}


def chat_request(model: str = "echo", content: str = "hello", **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": content}], **fields}


def post(server: Server, body: Any, path: str = CHAT, **headers: str) -> requests.Response:
    """POST a value as JSON, or bytes as they are."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **server.headers, **headers}
    return requests.post(server.url + path, data=data, headers=headers, timeout=60)


def get(server: Server, path: str, **headers: str) -> requests.Response:
    return requests.get(server.url + path, headers={**server.headers, **headers}, timeout=60)


def expect_error(response: requests.Response, status: int) -> dict[str, Any]:
    """Return the `error` object of a response, after a check of its status, headers and fields."""
    assert response.status_code == status, (response.status_code, response.text)
    assert response.headers["content-type"].startswith("application/json")
    assert response.headers["x-request-id"]
    return expect_error_body(response.json())


def expect_error_body(body: Any) -> dict[str, Any]:
    """Return the `error` object of a JSON body, after a check of its fields and their types."""
    assert set(body) == {"error"}
    error = body["error"]
    assert set(error) == ERROR_FIELDS
    assert isinstance(error["message"], str)
    assert error["message"]
    assert isinstance(error["type"], str)
    assert all(error[name] is None or isinstance(error[name], str) for name in ("param", "code"))
    return error


@dataclass
class StreamedResponse:
    """A response of server-sent events. `timed_lines`: (seconds since the request, line without its newline)."""

    status: int
    headers: http.client.HTTPMessage
    timed_lines: list[tuple[float, bytes]] = field(default_factory=list)

    @property
    def lines(self) -> list[bytes]:
        return [line for _, line in self.timed_lines]

    @property
    def data(self) -> list[bytes]:
        return [line.removeprefix(b"data: ") for line in self.lines if line.startswith(b"data: ")]

    @property
    def frames(self) -> list[dict[str, Any]]:
        return [json.loads(data) for data in self.data if data != b"[DONE]"]

    @property
    def chunks(self) -> list[dict[str, Any]]:
        return [frame for frame in self.frames if "error" not in frame]

    @property
    def done(self) -> bool:
        return self.data[-1:] == [b"[DONE]"]

    @property
    def error(self) -> dict[str, Any]:
        """The error in the last frame. A stream that started with pings has its `gateway` fields there too."""
        return expect_error_body({name: value for name, value in self.frames[-1].items() if name != "gateway"})

    @property
    def choices(self) -> list[dict[str, Any]]:
        return [choice for frame in self.chunks for choice in frame["choices"]]

    @property
    def text(self) -> str:
        return "".join(choice["delta"].get("content") or "" for choice in self.choices)

    @property
    def finish_reasons(self) -> list[str]:
        return [choice["finish_reason"] for choice in self.choices if choice["finish_reason"]]


def post_stream(server: Server, body: dict[str, Any], **headers: str) -> StreamedResponse:
    """Request a stream, and read it to its end."""
    headers = {"Content-Type": "application/json", **server.headers, **headers}
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        start = time.monotonic()
        connection.request("POST", CHAT, json.dumps({**body, "stream": True}), headers)
        with connection.getresponse() as response:
            streamed = StreamedResponse(response.status, response.headers)
            for line in response:
                streamed.timed_lines.append((time.monotonic() - start, line.removesuffix(b"\n")))
    return streamed


def send_request(server: Server, body: dict[str, Any], **headers: str) -> socket.socket:
    """Return a socket on which the request was sent; the response is unread."""
    data = json.dumps(body).encode()
    client = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    client.sendall(request_head(server, **{"Content-Length": str(len(data))}, **headers) + data)
    return client


def request_head(server: Server, **headers: str) -> bytes:
    """Return the request line and the header section, with the empty line that ends them."""
    headers = {"Host": f"127.0.0.1:{server.port}", "Content-Type": "application/json", **server.headers, **headers}
    lines = [f"POST {CHAT} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def read_response(client: socket.socket) -> tuple[int, bytes]:
    """Read a response from a socket; return its status and body."""
    with closing(http.client.HTTPResponse(client)) as response:
        response.begin()
        return response.status, response.read()


def send_bytes(server: Server, data: bytes) -> tuple[int, bytes]:
    """Send these bytes on a new connection; return the status and body of the response."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        # A server that rejects a request early closes before it has read all of it.
        with suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(data)
        return read_response(client)
