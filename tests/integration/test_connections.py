"""HTTP connections to the worker: keep-alive, pipelining, HTTP/1.0, HEAD, large bodies and slow clients."""

import http.client
import json
import socket
import time
from contextlib import closing

from tests.support.http_client import CHAT, chat_request, read_response, request_head, send_request
from tests.support.scripted_upstream import DONE, ROLE, STOP, anthropic_message, json_response, sse_response, text_chunk

LARGE = "word " * 400_000


def request_bytes(server, content="hello", **fields):
    body = json.dumps(chat_request(content=content, **fields)).encode()
    return request_head(server, **{"Content-Length": str(len(body))}) + body


def read_all(client):
    return b"".join(iter(lambda: client.recv(65536), b""))


def test_a_connection_serves_plain_and_streamed_requests_in_turn(echo_gateway):
    with closing(http.client.HTTPConnection("127.0.0.1", echo_gateway.port, timeout=30)) as connection:
        sockets = set()
        for stream in (False, True, False, True):
            headers = {"Content-Type": "application/json", **echo_gateway.headers}
            connection.request("POST", CHAT, json.dumps(chat_request(stream=stream)), headers)
            sockets.add(connection.sock.getsockname())
            with connection.getresponse() as response:
                body = response.read()
            assert response.status == 200
            assert response.headers["connection"] == "keep-alive"
            assert body.endswith(b"data: [DONE]\n\n") if stream else json.loads(body)["choices"]
    assert len(sockets) == 1


def test_pipelined_requests_get_their_responses_in_order(echo_gateway):
    with socket.create_connection(("127.0.0.1", echo_gateway.port), timeout=30) as client:
        client.sendall(
            request_bytes(echo_gateway, "first")
            + request_bytes(echo_gateway, "second", stream=True)
            + request_bytes(echo_gateway, "third")
        )
        received = b""
        while received.count(b"HTTP/1.1 200 OK\r\n") < 3 or b"third" not in received.rpartition(b"HTTP/1.1")[2]:
            received += client.recv(65536)
    responses = received.split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert all(word in body for word, body in zip((b"first", b"second", b"third"), responses, strict=True))
    assert b"data: [DONE]\n\n\r\n0\r\n\r\n" in responses[1]


def test_a_response_to_http_1_0_is_not_chunked_and_closes_the_connection(echo_gateway):
    for stream in (False, True):
        with socket.create_connection(("127.0.0.1", echo_gateway.port), timeout=30) as client:
            client.sendall(request_bytes(echo_gateway, stream=stream).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
            head, _, body = read_all(client).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.0 200 OK")
        assert b"transfer-encoding" not in head.lower()
        assert b"Connection: close" in head
        assert body.endswith(b"data: [DONE]\n\n") if stream else json.loads(body)["choices"]


def test_a_request_with_connection_close_closes_the_connection(echo_gateway):
    with send_request(echo_gateway, chat_request(), Connection="close") as client:
        head, _, body = read_all(client).partition(b"\r\n\r\n")
    assert b"Connection: close" in head
    assert json.loads(body)["choices"]


def test_a_head_request_gets_headers_with_a_date_and_no_body(echo_gateway):
    with socket.create_connection(("127.0.0.1", echo_gateway.port), timeout=30) as client:
        client.sendall(b"HEAD /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        head, _, body = read_all(client).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert body == b""
    date = next(line for line in head.split(b"\r\n") if line.startswith(b"Date: ")).decode()[6:]
    assert abs(time.mktime(time.strptime(date, "%a, %d %b %Y %H:%M:%S GMT")) - time.mktime(time.gmtime())) < 60


def test_a_large_request_and_response_pass_through_to_a_slow_client(gateway, scripted_upstream):
    model = "anthropic/" + scripted_upstream.add_model(json_response(anthropic_message(LARGE)))
    with closing(socket.socket()) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # the response has to wait for its reader
        client.settimeout(60)
        client.connect(("127.0.0.1", gateway.port))
        data = request_bytes(gateway, LARGE, model=model)
        for start in range(0, len(data), 1 << 18):
            client.sendall(data[start : start + (1 << 18)])
            time.sleep(0.01)
        time.sleep(0.5)
        status, body = read_response(client)
    assert status == 200
    assert json.loads(body)["choices"][0]["message"]["content"] == LARGE


def test_a_large_stream_arrives_completely(gateway, scripted_upstream):
    words = [f"word {number} " * 100 for number in range(3000)]
    model = "openai/" + scripted_upstream.add_model(sse_response(ROLE, *map(text_chunk, words), STOP, DONE))
    with send_request(gateway, chat_request(model, stream=True)) as client:
        time.sleep(0.5)
        status, body = read_response(client)
    assert status == 200
    frames = [json.loads(line[6:]) for line in body.split(b"\n\n")[:-2]]
    contents = [choice["delta"].get("content") or "" for frame in frames for choice in frame["choices"]]
    assert "".join(contents) == "".join(words)
    assert body.endswith(b"data: [DONE]\n\n")
