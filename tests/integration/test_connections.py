"""Connections as clients use them: kept, pipelined, of HTTP/1.0, with large and slow bodies. The worker answers as HTTP says."""

import http.client
import json
import socket
import time
from contextlib import closing

from tests.support.http_client import CHAT, answer, chat, opened, request_head
from tests.support.scripted_upstream import DONE, ROLE, STOP, message, plain, streamed, text

LARGE = "word " * 400_000


def asked(server, said="hello", **more):
    body = json.dumps(chat(said=said, **more)).encode()
    return request_head(server, **{"Content-Length": str(len(body))}) + body


def read_to_the_end(client):
    return b"".join(iter(lambda: client.recv(65536), b""))


def test_a_kept_connection_takes_plain_and_streamed_requests_in_turn(echo):
    with closing(http.client.HTTPConnection("127.0.0.1", echo.port, timeout=30)) as connection:
        sockets = set()
        for streamed in (False, True, False, True):
            told = {"Content-Type": "application/json", **echo.headers}
            connection.request("POST", CHAT, json.dumps(chat(stream=streamed)), told)
            sockets.add(connection.sock.getsockname())
            with connection.getresponse() as response:
                body = response.read()
            assert response.status == 200
            assert response.headers["connection"] == "keep-alive"
            assert body.endswith(b"data: [DONE]\n\n") if streamed else json.loads(body)["choices"]
    assert len(sockets) == 1


def test_pipelined_requests_are_answered_in_their_order(echo):
    with socket.create_connection(("127.0.0.1", echo.port), timeout=30) as client:
        client.sendall(asked(echo, "first") + asked(echo, "second", stream=True) + asked(echo, "third"))
        heard = b""
        while heard.count(b"HTTP/1.1 200 OK\r\n") < 3 or b"third" not in heard.rpartition(b"HTTP/1.1")[2]:
            heard += client.recv(65536)
    answers = heard.split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert [word in said for word, said in zip((b"first", b"second", b"third"), answers, strict=True)] == [True] * 3
    assert b"data: [DONE]\n\n\r\n0\r\n\r\n" in answers[1]


def test_http_1_0_gets_no_chunks_and_a_closed_connection(echo):
    for streaming in (False, True):
        with socket.create_connection(("127.0.0.1", echo.port), timeout=30) as client:
            client.sendall(asked(echo, stream=streaming).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
            head, _, body = read_to_the_end(client).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.0 200 OK")
        assert b"transfer-encoding" not in head.lower()
        assert b"Connection: close" in head
        assert body.endswith(b"data: [DONE]\n\n") if streaming else json.loads(body)["choices"]


def test_a_client_that_asks_for_the_end_gets_it(echo):
    with opened(echo, chat(), Connection="close") as client:
        head, _, body = read_to_the_end(client).partition(b"\r\n\r\n")
    assert b"Connection: close" in head
    assert json.loads(body)["choices"]


def test_head_and_date(echo):
    with socket.create_connection(("127.0.0.1", echo.port), timeout=30) as client:
        client.sendall(b"HEAD /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        head, _, body = read_to_the_end(client).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert body == b""
    date = next(line for line in head.split(b"\r\n") if line.startswith(b"Date: ")).decode()[6:]
    assert abs(time.mktime(time.strptime(date, "%a, %d %b %Y %H:%M:%S GMT")) - time.mktime(time.gmtime())) < 60


def test_a_large_body_goes_there_and_back_to_a_slow_client(gateway, upstream):
    model = "anthropic/" + upstream.model(plain(message(LARGE)))
    with closing(socket.socket()) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # so that the answer has to wait for its reader
        client.settimeout(60)
        client.connect(("127.0.0.1", gateway.port))
        sent = asked(gateway, LARGE, model=model)
        for at in range(0, len(sent), 1 << 18):
            client.sendall(sent[at : at + (1 << 18)])
            time.sleep(0.01)
        time.sleep(0.5)
        status, body = answer(client)
    assert status == 200
    assert json.loads(body)["choices"][0]["message"]["content"] == LARGE


def test_a_large_stream_comes_whole(gateway, upstream):
    words = [f"word {n} " * 100 for n in range(3000)]
    model = "openai/" + upstream.model(streamed(ROLE, *map(text, words), STOP, DONE))
    with opened(gateway, chat(model, stream=True)) as client:
        time.sleep(0.5)
        status, body = answer(client)
    assert status == 200
    frames = [json.loads(line[6:]) for line in body.split(b"\n\n")[:-2]]
    said = [choice["delta"].get("content") or "" for frame in frames for choice in frame["choices"]]
    assert "".join(said) == "".join(words)
    assert body.endswith(b"data: [DONE]\n\n")
