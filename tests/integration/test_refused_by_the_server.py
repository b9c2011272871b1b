"""What the server itself refuses, before any view: in the same envelope."""

import json
import socket

import pytest

REFUSED = {
    "a line that is no request": (b"HELLO\r\n\r\n", 400),
    "two lengths": (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    "a negative length": (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\n", 400),
    "a long path": (b"GET /v1/models/" + b"m" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    "a long header": (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", 431),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 32 + b"\r\n\r\n", 400),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_json_with_an_id_and_quotes_nothing(echo, case):
    wire, status = REFUSED[case]
    with socket.create_connection(("127.0.0.1", echo.port), timeout=10) as connection:
        connection.sendall(wire)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert int(head.split()[1]) == status
    assert b"x-request-id: " in head
    assert json.loads(body)["error"].keys() == {"message", "type", "param", "code"}
    assert b"HELLO" not in answer
