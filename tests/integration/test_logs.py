"""The log has one line for each request, with what an operator needs and without any content or key."""

import json
import secrets
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from functools import partial

import pytest
import requests

from tests.support import servers
from tests.support.environment import KEY, OTHER_KEY, UPSTREAM_KEY
from tests.support.http_client import chat_request, get, post
from tests.support.scripted_upstream import (
    DONE,
    RESET,
    ROLE,
    STOP,
    USAGE,
    completion,
    json_response,
    sse_response,
    text_chunk,
)
from tests.support.servers import Server, wait_until


def post_logged(gateway, body, **headers):
    """Return the response to a request and its log line."""
    request_id = f"log-{secrets.token_hex(8)}"
    response = post(gateway, body, **{"X-Request-Id": request_id, **headers})
    return response, gateway.request_log(request_id)


@pytest.mark.parametrize("stream", [False, True])
def test_a_log_line_has_the_model_the_attempts_the_usage_and_the_duration(gateway, scripted_upstream, stream):
    model = scripted_upstream.add_model(
        sse_response(ROLE, text_chunk("Hello"), STOP, USAGE, DONE) if stream else json_response(completion())
    )
    _, line = post_logged(gateway, chat_request(f"openai/{model}", stream=stream))
    assert line["model"] == f"openai/{model}"
    assert line["served"] == "up-1"
    assert line["provider"] == "openai"
    assert [(attempt["target"], attempt["status"]) for attempt in line["attempts"]] == [(f"openai/{model}", "200")]
    assert line["status"] == 200
    assert line["outcome"] == "completed"
    assert line["stream"] is stream
    assert (line["prompt_tokens"], line["completion_tokens"]) == (5, 2)
    assert KEY.startswith(line["key"].rstrip("…."))
    assert 3 <= len(line["key"]) <= 12
    assert 0 < line["first_content_seconds"] <= line["seconds"] < 10
    assert (line["method"], line["path"], line["level"]) == ("POST", "/v1/chat/completions", "info")
    datetime.fromisoformat(line["timestamp"])


def test_a_request_that_calls_no_model_has_a_log_line(gateway):
    get(gateway, "/v1/models", **{"X-Request-Id": "log-models"})
    line = gateway.request_log("log-models")
    assert (line["status"], line["path"], line["method"]) == (200, "/v1/models", "GET")


@pytest.mark.parametrize("stream", [False, True])
def test_a_log_line_names_the_failure_of_the_upstream(gateway, scripted_upstream, stream):
    model = scripted_upstream.add_model(json_response({"error": {"message": "No."}}, 500))
    response, line = post_logged(gateway, chat_request(f"openai/{model}", stream=stream))
    assert response.status_code == 502
    assert (line["status"], line["outcome"], line["code"]) == (502, "failed", "upstream_error")
    assert line["error"] == "UpstreamFailed"
    assert [attempt["status"] for attempt in line["attempts"]] == ["500", "500"]


def test_a_truncated_stream_is_logged_as_failed(gateway, scripted_upstream):
    _, line = post_logged(
        gateway,
        chat_request(
            "openai/" + scripted_upstream.add_model(sse_response(ROLE, text_chunk("Hel"), RESET)), stream=True
        ),
    )
    assert line["outcome"] == "failed"
    assert line["error"] == "UpstreamFailed"


def test_a_log_line_names_the_invalid_field(gateway):
    response, line = post_logged(gateway, {**chat_request(), "temperature": 9})
    assert response.status_code == line["status"] == 400
    assert (line["error"], line["param"]) == ("InvalidRequest", "temperature")


def test_a_wrong_key_is_not_logged(gateway):
    response, line = post_logged(gateway, chat_request(), Authorization="Bearer sk-another-client")
    assert response.status_code == line["status"]
    assert response.status_code in (401, 429)
    assert "key" not in line
    assert "another-client" not in json.dumps(line)


def test_every_line_of_standard_output_is_json(gateway):
    get(gateway, "/health")
    lines = gateway.stdout().splitlines()
    assert lines
    for line in lines:
        assert isinstance(json.loads(line), dict)


def test_no_prompt_key_or_upstream_content_is_ever_logged(gateway, scripted_upstream):
    secret = f"s3cr3t-{secrets.token_hex(8)}"
    wrong_key = f"sk-{secret}"
    error_body = {"error": {"message": f"{secret} {UPSTREAM_KEY}", "type": secret, "code": secret, "param": secret}}
    scripts = [
        json_response(completion(secret)),
        sse_response(ROLE, text_chunk(secret), STOP, DONE),
        sse_response(ROLE, text_chunk(secret), RESET),
        sse_response(ROLE, text_chunk(secret), error_body),
        sse_response(ROLE, text_chunk("x"), f"data: {secret}\n\n".encode()),
        *(json_response(error_body, status) for status in (400, 401, 404, 429, 500, 529)),
        json_response(secret.encode(), 500),
        json_response(secret.encode(), 200),
        json_response([secret], 200),
        json_response({"choices": secret}, 200),
        json_response({"choices": [{"message": secret}]}, 200),
        json_response({"choices": [{"message": {"content": [secret]}}]}, 200),
        sse_response({"choices": [{"delta": secret}]}),
        sse_response({"choices": secret}),
        [f"{secret}\r\n\r\n".encode()],
    ]
    chat_requests = [
        chat_request(f"{provider}/{scripted_upstream.add_model(script)}", secret, stream=stream, user=secret)
        for script in scripts
        for provider in ("openai", "anthropic")
        for stream in (False, True)
    ]
    with ThreadPoolExecutor(16) as pool:
        assert len(list(pool.map(partial(post, gateway), chat_requests))) == len(chat_requests)
    invalid_bodies = [
        f'{{"model": "echo", "{secret}'.encode(),
        chat_request("echo", secret, temperature=secret),
        chat_request("echo", secret, metadata={secret: 7}),
        chat_request("echo", secret, response_format={"type": secret}),
        {"model": "echo", "messages": [{"role": secret, "content": secret}]},
        {"model": "echo", "messages": [{"role": "user", "content": [{"type": secret}]}]},
        {"model": "echo", "messages": secret},
        chat_request("anthropic/x", secret, seed=7),
        [secret],
    ]
    for body in invalid_bodies:
        post(gateway, body, **{"x-gateway-strict": "true"})
    post(gateway, {"model": "echo", "input": secret}, "/v1/embeddings")
    for headers in (
        {"Authorization": f"Bearer {wrong_key}"},
        {"x-api-key": wrong_key, "Authorization": ""},
        {"Authorization": f"Basic {secret}"},
        {"Cookie": secret, "X-Forwarded-For": secret, "X-Request-Id": f"{secret} {secret}"},
    ):
        post(gateway, chat_request("echo", secret), **headers)
    requests.get(f"{gateway.url}/v1/models?key={secret}", timeout=10)
    get(gateway, "/health", **{"X-Request-Id": "log-last"})
    gateway.request_log("log-last")
    output = gateway.output()
    assert secret not in output, [line for line in output.splitlines() if secret in line][:3]
    for key in (KEY, OTHER_KEY, UPSTREAM_KEY):
        assert key not in output
    assert "Bearer" not in output
    assert "Traceback" not in output


@pytest.mark.parametrize("stream", [False, True])
def test_a_closed_standard_output_holds_no_slot(tmp_path, worker_class, stream):
    port = servers.free_port()
    environ = {"HOST": "127.0.0.1", "PORT": str(port), "GATEWAY_WORKER_CLASS": worker_class, "GATEWAY_ECHO_PACE": "0"}
    small_limits = {"GATEWAY_CONNECTIONS": "100", "GATEWAY_THREADS": "6"}
    process = servers.start_gunicorn(
        tmp_path, {**environ, **small_limits}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    server = Server(port, process, tmp_path)
    with servers.terminating(process):
        assert wait_until(lambda: is_reachable(server), 30)
        process.stdout.close()
        for _ in range(12):
            response = post(server, chat_request(stream=stream))
            assert response.status_code == 200
        assert wait_until(lambda: get(server, "/health/ready").json()["calls"]["held"] == 0)


def is_reachable(server):
    with suppress(requests.ConnectionError):
        return get(server, "/health/live").ok


MALFORMED_HEADS = [
    f"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization : Bearer {KEY}\r\n\r\n",
    f"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization Bearer {KEY}\r\n\r\n",
    f"GET / HTTP/1.1\r\nHost: localhost\r\nX: y\r\n Bearer {KEY}\r\n\r\n",
    f"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\x01\r\n\r\n",
    f"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: {KEY}\r\n\r\n",
    f"GET / HTTP/1.1\r\nHost: localhost\r\nExpect: {KEY}\r\n\r\n",
    f"Authorization: Bearer {KEY}\r\n\r\n",
    f"{KEY} / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    f"GET / {KEY}\r\nHost: localhost\r\n\r\n",
    f"PROXY {KEY}\r\n\r\n",
    f"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}",
    f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{KEY}\r\n",
]


def test_a_key_in_a_malformed_request_is_in_no_line_of_the_log(tmp_path, worker_class):
    environ = {
        "GATEWAY_WORKER_CLASS": worker_class,
        "VALID_API_KEYS": KEY,
        "LOG_LEVEL": "debug",
        "LOG_FORMAT": "console",
    }
    with servers.run_gateway(tmp_path, **environ) as server:
        for head in MALFORMED_HEADS:
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
                client.sendall(head.encode())
                client.shutdown(socket.SHUT_WR)
                while client.recv(65536):
                    pass
        get(server, "/%0d%0aforged%1b%5b31m", **{"X-Request-Id": "after-all"})
        assert wait_until(lambda: "after-all" in server.output())
        assert KEY not in server.output()
        assert KEY[3:] not in server.output()
        assert "\x1b" not in server.output()
        assert not [line for line in server.stdout().splitlines() if line.startswith("forged")]
        assert r"/\r\nforged\x1b[31m" in server.stdout()
        assert "Invalid request from ip=127.0.0.1: Invalid" in server.stderr()
