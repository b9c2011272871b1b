"""What a client sees on the wire."""

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
ENVELOPE = {"message", "type", "param", "code"}


def chat(model: str = "echo", said: str = "hello", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": said}], **more}


def post(server: Server, body: Any, path: str = CHAT, **headers: str) -> requests.Response:
    """POST JSON, or bytes as they are."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    told = {"Content-Type": "application/json", **server.headers, **headers}
    return requests.post(server.url + path, data=sent, headers=told, timeout=60)


def get(server: Server, path: str, **headers: str) -> requests.Response:
    return requests.get(server.url + path, headers={**server.headers, **headers}, timeout=60)


def error(response: requests.Response, status: int) -> dict[str, Any]:
    """The error of a response, after a look at its status and envelope."""
    assert response.status_code == status, (response.status_code, response.text)
    assert response.headers["content-type"].startswith("application/json")
    assert response.headers["x-request-id"]
    return enveloped(response.json())


def enveloped(data: Any) -> dict[str, Any]:
    assert set(data) == {"error"}
    said = data["error"]
    assert set(said) == ENVELOPE
    assert isinstance(said["message"], str)
    assert said["message"]
    assert isinstance(said["type"], str)
    assert all(said[name] is None or isinstance(said[name], str) for name in ("param", "code"))
    return said


@dataclass
class Stream:
    """A streamed answer. `heard` are (seconds since the request, line without its end) as they came."""

    status: int
    headers: http.client.HTTPMessage
    heard: list[tuple[float, bytes]] = field(default_factory=list)

    @property
    def lines(self) -> list[bytes]:
        return [line for _, line in self.heard]

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
        """The error in its last frame, where a stream that began late has its trail too."""
        return enveloped({name: value for name, value in self.frames[-1].items() if name != "gateway"})

    @property
    def choices(self) -> list[dict[str, Any]]:
        return [choice for frame in self.chunks for choice in frame["choices"]]

    @property
    def text(self) -> str:
        return "".join(choice["delta"].get("content") or "" for choice in self.choices)

    @property
    def finishes(self) -> list[str]:
        return [choice["finish_reason"] for choice in self.choices if choice["finish_reason"]]


def stream(server: Server, body: dict[str, Any], **headers: str) -> Stream:
    """Ask for a stream, and hear it to its end."""
    told = {"Content-Type": "application/json", **server.headers, **headers}
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        began = time.monotonic()
        connection.request("POST", CHAT, json.dumps({**body, "stream": True}), told)
        with connection.getresponse() as response:
            streamed = Stream(response.status, response.headers)
            for line in response:
                streamed.heard.append((time.monotonic() - began, line.removesuffix(b"\n")))
    return streamed


def opened(server: Server, body: dict[str, Any], **headers: str) -> socket.socket:
    """A socket on which a request was sent."""
    sent = json.dumps(body).encode()
    client = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    client.sendall(request_head(server, **{"Content-Length": str(len(sent))}, **headers) + sent)
    return client


def request_head(server: Server, **headers: str) -> bytes:
    told = {"Host": f"127.0.0.1:{server.port}", "Content-Type": "application/json", **server.headers, **headers}
    return "\r\n".join(
        [f"POST {CHAT} HTTP/1.1", *(f"{name}: {value}" for name, value in told.items()), "", ""]
    ).encode()


def answer(client: socket.socket) -> tuple[int, bytes]:
    """Status and body of what a socket has to say."""
    with closing(http.client.HTTPResponse(client)) as response:
        response.begin()
        return response.status, response.read()


def spoken(server: Server, sent: bytes) -> tuple[int, bytes]:
    """Status and body of the answer to these bytes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        with suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(sent)
        return answer(client)
