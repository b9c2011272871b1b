"""Requests that the HTTP server rejects before any view: their errors have the same JSON body."""

import json
import socket

import pytest

MALFORMED = {
    "invalid request line": (b"HELLO\r\n\r\n", 400),
    "Content-Length and Transfer-Encoding": (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
    ),
    "negative Content-Length": (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\n", 400),
    "long path": (b"GET /v1/models/" + b"m" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    "long header": (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", 431),
    "TLS ClientHello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 32 + b"\r\n\r\n", 400),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_the_error_is_json_with_a_request_id_and_quotes_nothing_of_the_request(echo_gateway, case):
    data, status = MALFORMED[case]
    with socket.create_connection(("127.0.0.1", echo_gateway.port), timeout=10) as connection:
        connection.sendall(data)
        response = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = response.partition(b"\r\n\r\n")
    assert int(head.split()[1]) == status
    assert b"x-request-id: " in head
    assert json.loads(body)["error"].keys() == {"message", "type", "param", "code"}
    assert b"HELLO" not in response
