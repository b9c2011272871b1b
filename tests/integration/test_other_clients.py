"""What one client brings about at an upstream is not what the others meet: gunicorn, sockets, both worker classes."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tests.support.environment import KEY, OTHER_KEY
from tests.support.http_client import chat_request, expect_error, post, post_stream
from tests.support.scripted_upstream import (
    DONE,
    chunk,
    completion,
    json_response,
    response_head,
    sse_response,
    text_chunk,
)
from tests.support.servers import run_gateway
from tests.support.socket_upstream import Upstream

GOOD = json_response(completion())
PAGE = b"<!DOCTYPE html><html><title>Attention Required! | Cloudflare</title></html>"
REFUSALS = {
    "a firewall's page": (
        [response_head(403, "text/html", content_length=len(PAGE)) + PAGE],
        502,
        "upstream_blocked",
    ),
    "a moderated request": (
        json_response({"error": {"message": "Your input was flagged by moderation: SECRET OF A", "code": 403}}, 403),
        400,
        "content_policy_violation",
    ),
    "a request that costs too much": (
        json_response(
            {"error": {"message": "This request requires more credits, or fewer max_tokens. SECRET OF A"}}, 402
        ),
        502,
        "upstream_error",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_of_one_request_is_met_by_nobody_else(gateway, scripted_upstream, name):
    refusal, status, code = REFUSALS[name]
    model = "openai/" + scripted_upstream.add_model(refusal, refusal, GOOD)
    for _ in range(2):
        refused = post(gateway, chat_request(model, "SECRET OF A"))
        assert expect_error(refused, status)["code"] == code
        assert refused.headers.get("x-should-retry") == ("false" if status == 502 else None)
    other = post(gateway, chat_request(model), Authorization=f"Bearer {OTHER_KEY}")
    assert other.status_code == 200
    assert "SECRET" not in other.text


def test_a_target_rests_when_two_keys_are_refused_and_the_message_quotes_none_of_them(gateway, scripted_upstream):
    refusal = json_response({"error": {"message": "Forbidden: SECRET OF A"}}, 403)
    model = "openai/" + scripted_upstream.add_model(refusal, refusal, GOOD)
    for key in (KEY, OTHER_KEY):
        assert post(gateway, chat_request(model), Authorization=f"Bearer {key}").status_code == 502
    third = expect_error(post(gateway, chat_request(model)), 502)
    assert third["code"] == "upstream_credentials"
    assert "SECRET" not in third["message"]


def test_short_deadlines_of_one_client_open_no_breaker(gateway, scripted_upstream):
    slow = [0.5, *GOOD]
    model = "openai/" + scripted_upstream.add_model(*[slow] * 8, GOOD)
    with ThreadPoolExecutor(8) as pool:
        late = pool.map(lambda _: post(gateway, chat_request(model), **{"x-gateway-timeout": "0.1"}), range(8))
    assert {response.status_code for response in late} == {504}
    assert post(gateway, chat_request(model)).status_code == 200


def test_a_brief_rate_limit_is_waited_for_by_the_other_callers(gateway, scripted_upstream):
    limited = json_response({"error": {"message": "busy"}}, 429, retry_after=1)
    model = "openai/" + scripted_upstream.add_model(limited, *[GOOD] * 12)
    with ThreadPoolExecutor(12) as pool:
        statuses = [
            response.status_code for response in pool.map(lambda _: post(gateway, chat_request(model)), range(12))
        ]
    assert statuses == [200] * 12


def http_response(content):
    body = json.dumps(completion(content)).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


@pytest.mark.parametrize(
    "surplus", [http_response("SECRET OF A"), b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", b"x"]
)
def test_what_an_upstream_sends_late_reaches_no_other_client(worker_class, tmp_path, surplus):
    late = threading.Event()

    def script(connection, number):
        connection.sendall(http_response("Hello"))
        if number == 1:
            connection.sendall(surplus)
            late.set()

    with closing(Upstream(script)) as upstream:
        settings = {"OPENAI_BASE_URL": upstream.url.removesuffix("/x"), "OPENAI_API_KEY": "sk-upstream"}
        with run_gateway(tmp_path, GATEWAY_WORKER_CLASS=worker_class, RETRY_MAX_ATTEMPTS="1", **settings) as server:
            for _ in range(3):
                answer = post(server, chat_request("openai/m"))
                assert answer.json()["choices"][0]["message"]["content"] == "Hello"
                assert late.wait(5)
    assert upstream.connections == 2


FLOODS = {
    "comments": b": keep-alive\n\n" * 4000,
    "empty events": b"data:\n\n" * 4000,
    "empty deltas": b'data: {"id":"c","choices":[{"index":0,"delta":{}}]}\n\n' * 500,
}


@pytest.mark.parametrize("name", FLOODS)
def test_an_upstream_that_floods_ends_at_the_deadline_and_delays_no_other_stream(gateway, scripted_upstream, name):
    flood = sse_response(*[FLOODS[name]] * 3000)
    attacked = "openai/" + scripted_upstream.add_model(flood)
    steady = "openai/" + scripted_upstream.add_model(
        sse_response(
            chunk({"role": "assistant"}),
            *[part for _ in range(10) for part in (text_chunk("a"), 0.1)],
            chunk(finish="stop"),
            DONE,
        )
    )
    with ThreadPoolExecutor(2) as pool:
        ended = pool.submit(post, gateway, chat_request(attacked, stream=True), **{"x-gateway-timeout": "1.5"})
        other = pool.submit(post_stream, gateway, chat_request(steady))
        assert other.result().text == "a" * 10
        assert ended.result().status_code in (502, 504)
