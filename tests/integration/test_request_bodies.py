"""Invalid request bodies: each gets a 4xx with an error body, and no worker hangs."""

import json
import socket
import time
from contextlib import suppress

import pytest

from tests.support.environment import BODY_TIMEOUT
from tests.support.http_client import (
    CHAT,
    chat_request,
    expect_error,
    expect_error_body,
    get,
    post,
    read_response,
    request_head,
    send_bytes,
)

VALID = json.dumps(chat_request()).encode()
DEPTH = 10_000
INVALID = {
    "empty": b"",
    "whitespace": b"  \n",
    "not JSON": b"model=echo",
    "truncated": VALID[:-5],
    "two values": VALID + VALID,
    "single quotes": VALID.replace(b'"', b"'"),
    "trailing comma": b'{"model": "echo", "messages": [],}',
    "null": b"null",
    "number": b"7",
    "string": b'"hello"',
    "list": b"[" + VALID + b"]",
    "nested lists": b"[" * DEPTH + b"]" * DEPTH,
    "nested lists, unclosed": b"[" * DEPTH,
    "nested objects": b'{"a":' * DEPTH + b"1" + b"}" * DEPTH,
    "nested lists in a field": VALID[:-1] + b', "x": ' + b"[" * DEPTH + b"]" * DEPTH + b"}",
    "nested objects in metadata": VALID[:-1] + b', "metadata": ' + b'{"a":' * DEPTH + b"1" + b"}" * DEPTH + b"}",
    "nested lists beside a long integer": VALID[:-1]
    + b', "n_": 123456789012345678901, "x": '
    + b"[" * 500
    + b"]" * 500
    + b"}",
    "NaN": VALID[:-1] + b', "temperature": NaN}',
    "Infinity": VALID[:-1] + b', "temperature": Infinity}',
    "-Infinity": VALID[:-1] + b', "x": -Infinity}',
    "NaN beside a long integer": VALID[:-1] + b', "x": [123456789012345678901, NaN]}',
    "1e999": VALID[:-1] + b', "temperature": 1e999}',
    "-1e999": VALID[:-1] + b', "x": {"y": [-1e999]}}',
    "1e999 beside a long integer": VALID[:-1] + b', "x": [123456789012345678901, 1e999]}',
    "invalid UTF-8": VALID.replace(b"hello", b"\xff\xfe"),
    "truncated UTF-8": VALID.replace(b"hello", b"\xe2\x82"),
    "overlong UTF-8": VALID.replace(b"hello", b"\xc0\xaf"),
    "UTF-16": VALID.decode().encode("utf-16"),
    "surrogate in UTF-8": VALID.replace(b"hello", b"\xed\xa0\x80"),
    "lone high surrogate": VALID.replace(b"hello", b"\\ud83d"),
    "lone low surrogate": VALID.replace(b"hello", b"\\udc00 x"),
    "surrogates in the wrong order": VALID.replace(b"hello", b"\\udc00\\ud83d"),
    "surrogate in a name": VALID[:-1] + b', "\\ud83d": 1}',
    "lone surrogate beside a long integer": VALID[:-1] + b', "x": [123456789012345678901, "\\ud83d"]}',
    "NUL byte": VALID.replace(b"hello", b"\x00"),
    "5000 digits in n": VALID[:-1] + b', "n": ' + b"9" * 5000 + b"}",
    "long integer as model": VALID.replace(b'"echo"', b"9" * 30),
    "long integer as role": VALID.replace(b'"user"', b"9" * 30),
}


@pytest.mark.parametrize("case", INVALID)
def test_an_invalid_chat_body_is_a_400(gateway, case):
    error = expect_error(post(gateway, INVALID[case]), 400)
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize("case", INVALID)
def test_an_invalid_embeddings_body_is_a_400(gateway, case):
    expect_error(post(gateway, INVALID[case], "/v1/embeddings"), 400)


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "json", "\xe9"]
)
def test_a_content_type_other_than_json_is_a_415(gateway, content_type):
    error = expect_error(post(gateway, VALID, **{"Content-Type": content_type}), 415)
    assert error["type"] == "invalid_request_error"
    assert error["code"] is None


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "Application/JSON", "application/vnd.x+json"]
)
def test_every_json_content_type_is_accepted(gateway, content_type):
    assert post(gateway, VALID, **{"Content-Type": content_type}).status_code == 200


def test_a_compressed_body_is_a_415(gateway):
    expect_error(post(gateway, VALID, **{"Content-Encoding": "gzip"}), 415)


@pytest.mark.parametrize("megabytes", [21, 25, 45])
def test_a_body_that_is_too_large_is_a_413_that_the_client_can_read(gateway, megabytes):
    body = VALID.replace(b"hello", b"x" * (megabytes << 20))
    error = expect_error(post(gateway, body), 413)
    assert error["code"] == "request_too_large"
    assert get(gateway, "/health").status_code == 200


def test_a_chunked_body_that_is_too_large_is_a_413(gateway):
    chunk = b"100000\r\n" + b"x" * (1 << 20) + b"\r\n"
    data = request_head(gateway, **{"Transfer-Encoding": "chunked"}) + chunk * 25 + b"0\r\n\r\n"
    status, body = send_bytes(gateway, data)
    assert status == 413
    assert expect_error_body(json.loads(body))["code"] == "request_too_large"


def test_a_body_below_the_limit_is_accepted(gateway):
    body = VALID.replace(b"hello", b"x" * (19 << 20))
    assert post(gateway, body[:-1] + b', "max_tokens": 5}').status_code == 200


@pytest.mark.parametrize(
    "headers", [{"Content-Length": "200"}, {"Transfer-Encoding": "chunked"}], ids=["length", "chunked"]
)
def test_a_body_that_never_arrives_is_a_408(gateway, headers):
    start = time.monotonic()
    status, body = send_bytes(gateway, request_head(gateway, **headers))
    assert status == 408
    assert expect_error_body(json.loads(body))["code"] == "request_timeout"
    assert BODY_TIMEOUT - 0.5 < time.monotonic() - start < 20


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_arrives_too_slowly_is_a_408(gateway, chunked):
    headers = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": "1000"}
    chunk = b"1\r\n \r\n" if chunked else b" "
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=0.25) as client:
        client.sendall(request_head(gateway, **headers))
        deadline = time.monotonic() + 20
        response = b""
        while not response and time.monotonic() < deadline:
            with suppress(BrokenPipeError, ConnectionResetError):
                client.sendall(chunk)
            with suppress(TimeoutError):
                response = client.recv(65536)
    assert response.startswith(b"HTTP/1.1 408 ")
    assert get(gateway, "/health").status_code == 200


@pytest.mark.parametrize("length", [0, 10])
def test_a_client_that_disconnects_inside_its_body_blocks_no_worker(gateway, length):
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
        client.sendall(request_head(gateway, **{"Content-Length": str(len(VALID))}) + VALID[:length])
    assert get(gateway, "/health").status_code == 200


def test_a_client_that_half_closes_inside_its_body_gets_a_400(gateway):
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
        client.sendall(request_head(gateway, **{"Content-Length": str(len(VALID))}) + VALID[:10])
        client.shutdown(socket.SHUT_WR)
        status, body = read_response(client)
    assert status == 400
    expect_error_body(json.loads(body))


def test_a_chunked_body_is_accepted(gateway):
    pieces = b"".join(b"%x\r\n%b\r\n" % (len(VALID[at : at + 7]), VALID[at : at + 7]) for at in range(0, len(VALID), 7))
    status, body = send_bytes(
        gateway, request_head(gateway, **{"Transfer-Encoding": "chunked"}) + pieces + b"0\r\n\r\n"
    )
    assert status == 200
    assert json.loads(body)["model"] == "echo"


@pytest.mark.parametrize(
    "chunks",
    [b"zz\r\n{}\r\n0\r\n\r\n", b"-5\r\nhello\r\n0\r\n\r\n", b"5\r\nhelloXX5\r\nworld\r\n0\r\n\r\n", b"\r\n\r\n"],
    ids=["invalid size", "negative size", "missing line end", "missing size"],
)
def test_an_invalid_chunked_body_is_a_400(gateway, chunks):
    status, body = send_bytes(gateway, request_head(gateway, **{"Transfer-Encoding": "chunked"}) + chunks)
    assert status == 400
    expect_error_body(json.loads(body))
    assert get(gateway, "/health").status_code == 200


def test_a_body_after_100_continue_is_accepted(gateway):
    head = request_head(gateway, **{"Content-Length": str(len(VALID)), "Expect": "100-continue"})
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
        client.sendall(head)
        assert client.recv(100).startswith(b"HTTP/1.1 100")
        client.sendall(VALID)
        assert client.recv(100).startswith(b"HTTP/1.1 200")


def test_a_connection_serves_another_request_after_a_rejected_body(gateway):
    invalid = request_head(gateway, **{"Content-Length": "3"}) + b"{,}"
    valid = request_head(gateway, **{"Content-Length": str(len(VALID))}) + VALID
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
        for data, status in ((invalid, 400), (valid, 200), (invalid, 400)):
            client.sendall(data)
            assert read_response(client)[0] == status


def test_the_worker_still_responds_after_all_invalid_bodies(gateway):
    assert get(gateway, "/health").status_code == 200
    assert post(gateway, VALID, CHAT).status_code == 200
