"""One line a request, with all that an operator needs and nothing that a client or an upstream said."""

import json
import secrets
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from functools import partial

import pytest
import requests

from tests.support import servers
from tests.support.environment import KEY, OTHER_KEY, UPSTREAM_KEY
from tests.support.http_client import chat, get, post
from tests.support.scripted_upstream import DONE, RESET, ROLE, STOP, USAGE, completion, plain, streamed, text
from tests.support.servers import Server, eventually


def logged(gateway, body, **headers):
    """The answer to a request, and its line in the log."""
    ident = f"log-{secrets.token_hex(8)}"
    answer = post(gateway, body, **{"X-Request-Id": ident, **headers})
    return answer, gateway.log(ident)


@pytest.mark.parametrize("streams", [False, True])
def test_a_line_says_what_was_asked_what_answered_and_what_it_took(gateway, upstream, streams):
    model = upstream.model(streamed(ROLE, text("Hello"), STOP, USAGE, DONE) if streams else plain(completion()))
    _, line = logged(gateway, chat(f"openai/{model}", stream=streams))
    assert line["model"] == f"openai/{model}"
    assert line["served"] == "up-1"
    assert line["provider"] == "openai"
    assert [(one["target"], one["status"]) for one in line["attempts"]] == [(f"openai/{model}", "200")]
    assert line["status"] == 200
    assert line["outcome"] == "completed"
    assert line["stream"] is streams
    assert (line["prompt_tokens"], line["completion_tokens"]) == (5, 2)
    assert KEY.startswith(line["key"].rstrip("…."))
    assert 3 <= len(line["key"]) <= 12
    assert 0 < line["first_content_seconds"] <= line["seconds"] < 10
    assert (line["method"], line["path"], line["level"]) == ("POST", "/v1/chat/completions", "info")
    datetime.fromisoformat(line["timestamp"])


def test_a_request_that_is_no_call_has_a_line_too(gateway):
    get(gateway, "/v1/models", **{"X-Request-Id": "log-models"})
    line = gateway.log("log-models")
    assert (line["status"], line["path"], line["method"]) == (200, "/v1/models", "GET")


@pytest.mark.parametrize("streams", [False, True])
def test_a_failure_of_the_upstream_is_named(gateway, upstream, streams):
    model = upstream.model(plain({"error": {"message": "No."}}, 500))
    answer, line = logged(gateway, chat(f"openai/{model}", stream=streams))
    assert answer.status_code == 502
    assert (line["status"], line["outcome"], line["code"]) == (502, "failed", "upstream_error")
    assert line["error"] == "UpstreamFailed"
    assert [one["status"] for one in line["attempts"]] == ["500", "500"]


def test_a_stream_that_broke_off_is_a_failure(gateway, upstream):
    _, line = logged(gateway, chat("openai/" + upstream.model(streamed(ROLE, text("Hel"), RESET)), stream=True))
    assert line["outcome"] == "failed"
    assert line["error"] == "UpstreamFailed"


def test_a_refused_request_is_named_by_its_path(gateway):
    answer, line = logged(gateway, {**chat(), "temperature": 9})
    assert answer.status_code == line["status"] == 400
    assert (line["error"], line["param"]) == ("InvalidRequest", "temperature")


def test_a_wrong_key_is_logged_without_it(gateway):
    answer, line = logged(gateway, chat(), Authorization="Bearer sk-another-client")
    assert answer.status_code == line["status"]
    assert answer.status_code in (401, 429)
    assert "key" not in line
    assert "another-client" not in json.dumps(line)


def test_every_line_of_the_output_is_json(gateway):
    get(gateway, "/health")
    lines = gateway.out().splitlines()
    assert lines
    for line in lines:
        assert isinstance(json.loads(line), dict)


def test_no_prompt_key_or_word_of_an_upstream_is_ever_written(gateway, upstream):
    secret = f"s3cr3t-{secrets.token_hex(8)}"
    wrong_key = f"sk-{secret}"
    said = {"error": {"message": f"{secret} {UPSTREAM_KEY}", "type": secret, "code": secret, "param": secret}}
    scripts = [
        plain(completion(secret)),
        streamed(ROLE, text(secret), STOP, DONE),
        streamed(ROLE, text(secret), RESET),
        streamed(ROLE, text(secret), said),
        streamed(ROLE, text("x"), f"data: {secret}\n\n".encode()),
        *(plain(said, status) for status in (400, 401, 404, 429, 500, 529)),
        plain(secret.encode(), 500),
        plain(secret.encode(), 200),
        plain([secret], 200),
        plain({"choices": secret}, 200),
        plain({"choices": [{"message": secret}]}, 200),
        plain({"choices": [{"message": {"content": [secret]}}]}, 200),
        streamed({"choices": [{"delta": secret}]}),
        streamed({"choices": secret}),
        [f"{secret}\r\n\r\n".encode()],
    ]
    asked = [
        chat(f"{provider}/{upstream.model(script)}", secret, stream=streams, user=secret)
        for script in scripts
        for provider in ("openai", "anthropic")
        for streams in (False, True)
    ]
    with ThreadPoolExecutor(16) as pool:
        assert len(list(pool.map(partial(post, gateway), asked))) == len(asked)
    bad = [
        f'{{"model": "echo", "{secret}'.encode(),
        chat("echo", secret, temperature=secret),
        chat("echo", secret, metadata={secret: 7}),
        chat("echo", secret, response_format={"type": secret}),
        {"model": "echo", "messages": [{"role": secret, "content": secret}]},
        {"model": "echo", "messages": [{"role": "user", "content": [{"type": secret}]}]},
        {"model": "echo", "messages": secret},
        chat("anthropic/x", secret, seed=7),
        [secret],
    ]
    for body in bad:
        post(gateway, body, **{"x-gateway-strict": "true"})
    post(gateway, {"model": "echo", "input": secret}, "/v1/embeddings")
    for headers in (
        {"Authorization": f"Bearer {wrong_key}"},
        {"x-api-key": wrong_key, "Authorization": ""},
        {"Authorization": f"Basic {secret}"},
        {"Cookie": secret, "X-Forwarded-For": secret, "X-Request-Id": f"{secret} {secret}"},
    ):
        post(gateway, chat("echo", secret), **headers)
    requests.get(f"{gateway.url}/v1/models?key={secret}", timeout=10)
    get(gateway, "/health", **{"X-Request-Id": "log-last"})
    gateway.log("log-last")
    written = gateway.said()
    assert secret not in written, [line for line in written.splitlines() if secret in line][:3]
    for key in (KEY, OTHER_KEY, UPSTREAM_KEY):
        assert key not in written
    assert "Bearer" not in written
    assert "Traceback" not in written


@pytest.mark.parametrize("streams", [False, True])
def test_a_log_that_nobody_takes_costs_no_slot(tmp_path, worker_class, streams):
    port = servers.free_port()
    told = {"HOST": "127.0.0.1", "PORT": str(port), "GATEWAY_WORKER_CLASS": worker_class, "GATEWAY_ECHO_PACE": "0"}
    few = {"GATEWAY_CONNECTIONS": "100", "GATEWAY_THREADS": "6"}
    process = servers.gunicorn(tmp_path, {**told, **few}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    server = Server(port, process, tmp_path)
    with servers.ended(process):
        assert eventually(lambda: reachable(server), 30)
        process.stdout.close()
        for _ in range(12):
            answer = post(server, chat(stream=streams))
            assert answer.status_code == 200
        assert eventually(lambda: get(server, "/health/ready").json()["calls"]["held"] == 0)


def reachable(server):
    with suppress(requests.ConnectionError):
        return get(server, "/health/live").ok
