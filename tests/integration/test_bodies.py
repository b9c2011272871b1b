"""Request bodies that are wrong in every way: a clear 4xx, never a 500, never a worker that hangs."""

import json
import socket
import time
from contextlib import suppress

import pytest

from tests.support.environment import BODY_TIMEOUT
from tests.support.http_client import CHAT, answer, chat, enveloped, error, get, post, request_head, spoken

GOOD = json.dumps(chat()).encode()
DEEP = 10_000
BAD = {
    "empty": b"",
    "blank": b"  \n",
    "no JSON": b"model=echo",
    "cut": GOOD[:-5],
    "two values": GOOD + GOOD,
    "single quotes": GOOD.replace(b'"', b"'"),
    "a comma too many": b'{"model": "echo", "messages": [],}',
    "null": b"null",
    "a number": b"7",
    "a string": b'"hello"',
    "a list": b"[" + GOOD + b"]",
    "deep lists": b"[" * DEEP + b"]" * DEEP,
    "deep lists that never end": b"[" * DEEP,
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "depth in a field": GOOD[:-1] + b', "x": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "depth in metadata": GOOD[:-1] + b', "metadata": ' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
    "depth beside a long integer": GOOD[:-1] + b', "n_": 123456789012345678901, "x": ' + b"[" * 500 + b"]" * 500 + b"}",
    "NaN": GOOD[:-1] + b', "temperature": NaN}',
    "Infinity": GOOD[:-1] + b', "temperature": Infinity}',
    "-Infinity": GOOD[:-1] + b', "x": -Infinity}',
    "NaN beside a long integer": GOOD[:-1] + b', "x": [123456789012345678901, NaN]}',
    "1e999": GOOD[:-1] + b', "temperature": 1e999}',
    "-1e999": GOOD[:-1] + b', "x": {"y": [-1e999]}}',
    "1e999 beside a long integer": GOOD[:-1] + b', "x": [123456789012345678901, 1e999]}',
    "bad UTF-8": GOOD.replace(b"hello", b"\xff\xfe"),
    "cut UTF-8": GOOD.replace(b"hello", b"\xe2\x82"),
    "overlong UTF-8": GOOD.replace(b"hello", b"\xc0\xaf"),
    "UTF-16": GOOD.decode().encode("utf-16"),
    "a surrogate in UTF-8": GOOD.replace(b"hello", b"\xed\xa0\x80"),
    "a lone high surrogate": GOOD.replace(b"hello", b"\\ud83d"),
    "a lone low surrogate": GOOD.replace(b"hello", b"\\udc00 x"),
    "surrogates in the wrong order": GOOD.replace(b"hello", b"\\udc00\\ud83d"),
    "a surrogate in a name": GOOD[:-1] + b', "\\ud83d": 1}',
    "a lone surrogate beside a long integer": GOOD[:-1] + b', "x": [123456789012345678901, "\\ud83d"]}',
    "a zero byte": GOOD.replace(b"hello", b"\x00"),
    "an integer of 5000 digits as n": GOOD[:-1] + b', "n": ' + b"9" * 5000 + b"}",
    "a long integer as model": GOOD.replace(b'"echo"', b"9" * 30),
    "a long integer as a role": GOOD.replace(b'"user"', b"9" * 30),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_body_is_a_400(gateway, case):
    said = error(post(gateway, BAD[case]), 400)
    assert said["type"] == "invalid_request_error"


@pytest.mark.parametrize("case", BAD)
def test_a_bad_body_of_embeddings_is_a_400(gateway, case):
    error(post(gateway, BAD[case], "/v1/embeddings"), 400)


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "json", "\xe9"]
)
def test_another_content_type_is_a_415(gateway, kind):
    said = error(post(gateway, GOOD, **{"Content-Type": kind}), 415)
    assert said["type"] == "invalid_request_error"
    assert said["code"] is None


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON", "application/vnd.x+json"])
def test_every_way_to_say_json_is_taken(gateway, kind):
    assert post(gateway, GOOD, **{"Content-Type": kind}).status_code == 200


def test_a_compressed_body_is_refused(gateway):
    error(post(gateway, GOOD, **{"Content-Encoding": "gzip"}), 415)


@pytest.mark.parametrize("megabytes", [21, 25, 45])
def test_a_body_that_is_too_large_is_a_413_that_the_client_can_read(gateway, megabytes):
    body = GOOD.replace(b"hello", b"x" * (megabytes << 20))
    said = error(post(gateway, body), 413)
    assert said["code"] == "request_too_large"
    assert get(gateway, "/health").status_code == 200


def test_a_chunked_body_that_is_too_large_is_a_413_too(gateway):
    piece = b"100000\r\n" + b"x" * (1 << 20) + b"\r\n"
    sent = request_head(gateway, **{"Transfer-Encoding": "chunked"}) + piece * 25 + b"0\r\n\r\n"
    status, body = spoken(gateway, sent)
    assert status == 413
    assert enveloped(json.loads(body))["code"] == "request_too_large"


def test_a_body_below_the_limit_is_taken(gateway):
    body = GOOD.replace(b"hello", b"x" * (19 << 20))
    assert post(gateway, body[:-1] + b', "max_tokens": 5}').status_code == 200


@pytest.mark.parametrize(
    "headers", [{"Content-Length": "200"}, {"Transfer-Encoding": "chunked"}], ids=["length", "chunked"]
)
def test_a_body_that_never_comes_is_a_408(gateway, headers):
    began = time.monotonic()
    status, body = spoken(gateway, request_head(gateway, **headers))
    assert status == 408
    assert enveloped(json.loads(body))["code"] == "request_timeout"
    assert BODY_TIMEOUT - 0.5 < time.monotonic() - began < 20


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_trickles_is_a_408(gateway, chunked):
    headers = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": "1000"}
    piece = b"1\r\n \r\n" if chunked else b" "
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=0.25) as client:
        client.sendall(request_head(gateway, **headers))
        until = time.monotonic() + 20
        heard = b""
        while not heard and time.monotonic() < until:
            with suppress(BrokenPipeError, ConnectionResetError):
                client.sendall(piece)
            with suppress(TimeoutError):
                heard = client.recv(65536)
    assert heard.startswith(b"HTTP/1.1 408 ")
    assert get(gateway, "/health").status_code == 200


@pytest.mark.parametrize("sent", [0, 10])
def test_a_client_that_leaves_in_mid_body_hangs_nothing(gateway, sent):
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
        client.sendall(request_head(gateway, **{"Content-Length": str(len(GOOD))}) + GOOD[:sent])
    assert get(gateway, "/health").status_code == 200


def test_a_client_that_closes_its_side_in_mid_body_is_told(gateway):
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
        client.sendall(request_head(gateway, **{"Content-Length": str(len(GOOD))}) + GOOD[:10])
        client.shutdown(socket.SHUT_WR)
        status, body = answer(client)
    assert status == 400
    enveloped(json.loads(body))


def test_a_chunked_body_is_taken(gateway):
    pieces = b"".join(b"%x\r\n%b\r\n" % (len(GOOD[at : at + 7]), GOOD[at : at + 7]) for at in range(0, len(GOOD), 7))
    status, body = spoken(gateway, request_head(gateway, **{"Transfer-Encoding": "chunked"}) + pieces + b"0\r\n\r\n")
    assert status == 200
    assert json.loads(body)["model"] == "echo"


@pytest.mark.parametrize(
    "broken",
    [b"zz\r\n{}\r\n0\r\n\r\n", b"-5\r\nhello\r\n0\r\n\r\n", b"5\r\nhelloXX5\r\nworld\r\n0\r\n\r\n", b"\r\n\r\n"],
    ids=["no number", "negative", "no line end", "no size"],
)
def test_a_broken_chunked_body_is_a_400(gateway, broken):
    status, body = spoken(gateway, request_head(gateway, **{"Transfer-Encoding": "chunked"}) + broken)
    assert status == 400
    enveloped(json.loads(body))
    assert get(gateway, "/health").status_code == 200


def test_a_body_after_100_continue_is_taken(gateway):
    head = request_head(gateway, **{"Content-Length": str(len(GOOD)), "Expect": "100-continue"})
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
        client.sendall(head)
        assert client.recv(100).startswith(b"HTTP/1.1 100")
        client.sendall(GOOD)
        assert client.recv(100).startswith(b"HTTP/1.1 200")


def test_the_connection_is_good_for_another_request_after_a_refusal(gateway):
    bad = request_head(gateway, **{"Content-Length": "3"}) + b"{,}"
    good = request_head(gateway, **{"Content-Length": str(len(GOOD))}) + GOOD
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
        for sent, status in ((bad, 400), (good, 200), (bad, 400)):
            client.sendall(sent)
            assert answer(client)[0] == status


def test_the_worker_is_well_after_all_this(gateway):
    assert get(gateway, "/health").status_code == 200
    assert post(gateway, GOOD, CHAT).status_code == 200
