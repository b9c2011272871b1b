"""API keys, rate limits, CORS, request ids, and the errors of requests that reach no model."""

import pytest
import requests

from tests.support.environment import HOURLY_LIMIT, KEY, OTHER_KEY
from tests.support.http_client import CHAT, chat_request, expect_error, get, post

EXPOSED = {
    "x-request-id",
    "retry-after",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
    "x-gateway-provider",
    "x-gateway-model",
    "x-gateway-attempts",
    "x-gateway-dropped-params",
}
LIMITS = [f"x-ratelimit-{name}-requests" for name in ("limit", "remaining", "reset")]


@pytest.mark.parametrize("path", [CHAT, "/v1/embeddings", "/v1/models", "/v1/models/echo"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": KEY},
        {"Authorization": "Bearer sk-wrong"},
        {"Authorization": f"Bearer {KEY[:-1]}"},
        {"Authorization": f"Bearer {KEY}x"},
        {"Authorization": f"Bearer {KEY},{OTHER_KEY}"},
        {"Authorization": "Bearer caf\xe9"},
        {"x-api-key": "sk-wrong"},
        {"x-api-key": ""},
    ],
    ids=str,
)
def test_a_request_without_a_valid_key_is_a_401(gateway, path, headers):
    send = requests.get if "models" in path else requests.post
    response = send(gateway.url + path, headers=headers, timeout=10)
    if response.status_code == 429:  # this address has sent too many wrong keys by now
        assert headers
        return
    error = expect_error(response, 401)
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_api_key")


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {KEY}"},
        {"Authorization": f"bearer  {KEY} "},
        {"Authorization": f"Bearer {OTHER_KEY}"},
        {"x-api-key": KEY},
        {"X-Api-Key": OTHER_KEY},
    ],
    ids=str,
)
def test_a_valid_key_passes(gateway, headers):
    response = requests.post(gateway.url + CHAT, json=chat_request(), headers=headers, timeout=10)
    assert response.status_code == 200


def test_the_key_is_checked_before_the_body_is_read(gateway):
    response = requests.post(gateway.url + CHAT, data=b"{", headers={"Content-Type": "application/json"}, timeout=10)
    expect_error(response, 401)


def test_wrong_keys_are_limited_by_address_and_a_valid_key_still_passes(rate_limited_gateway):
    statuses = []
    for number in range(30):
        headers = {
            "Authorization": f"Bearer sk-guess-{number}",
            "X-Forwarded-For": f"10.0.0.{number}",
            "Forwarded": f"for=10.0.0.{number}",
        }
        response = requests.get(f"{rate_limited_gateway.url}/v1/models", headers=headers, timeout=10)
        statuses.append(response.status_code)
    assert statuses[0] == 401
    assert statuses[-1] == 429
    error = expect_error(response, 429)
    assert error["code"] == "rate_limit_exceeded"
    assert 1 <= int(response.headers["retry-after"]) <= 3600
    assert get(rate_limited_gateway, "/v1/models", Authorization=f"Bearer {OTHER_KEY}").status_code == 200


@pytest.mark.parametrize("path", [CHAT, "/v1/models", "/v1/embeddings"])
def test_a_preflight_request_needs_no_key(gateway, path):
    headers = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type, x-stainless-os",
    }
    response = requests.options(gateway.url + path, headers=headers, timeout=10)
    assert response.status_code in (200, 204)
    assert response.headers["access-control-allow-origin"] in ("*", "https://app.example")
    allowed = response.headers["access-control-allow-headers"].lower()
    assert "authorization" in allowed
    assert "x-stainless-os" in allowed


@pytest.mark.parametrize("body", [chat_request(), chat_request(stream=True), {}, b"{"])
def test_a_page_of_another_origin_may_read_the_headers_of_responses_and_errors(gateway, body):
    response = post(gateway, body, Origin="https://app.example")
    assert response.headers["access-control-allow-origin"] in ("*", "https://app.example")
    exposed = {name.strip().lower() for name in response.headers["access-control-expose-headers"].split(",")}
    assert exposed >= EXPOSED


def test_a_page_of_another_origin_may_read_a_401(gateway):
    response = requests.post(
        gateway.url + CHAT, json=chat_request(), headers={"Origin": "https://app.example"}, timeout=10
    )
    assert response.status_code == 401
    assert response.headers["access-control-allow-origin"]


def test_responses_have_rate_limit_headers_below_and_above_a_keys_limit(rate_limited_gateway):
    responses = [post(rate_limited_gateway, chat_request(stream=number % 2 == 1)) for number in range(HOURLY_LIMIT + 1)]
    assert [response.status_code for response in responses] == [200] * HOURLY_LIMIT + [429]
    assert [int(response.headers[LIMITS[1]]) for response in responses] == [*range(HOURLY_LIMIT)[::-1], 0]
    assert all(response.headers[LIMITS[0]] == str(HOURLY_LIMIT) for response in responses)
    assert all(response.headers[LIMITS[2]].endswith("s") for response in responses)
    assert not any("retry-after" in response.headers for response in responses[:-1])
    last = responses[-1]
    error = expect_error(last, 429)
    assert (error["type"], error["code"]) == ("requests", "rate_limit_exceeded")
    assert 1 <= int(last.headers["retry-after"]) <= 3600
    assert abs(int(last.headers["retry-after-ms"]) - 1000 * int(last.headers["retry-after"])) <= 1000
    other = get(rate_limited_gateway, "/v1/models", Authorization=f"Bearer {OTHER_KEY}")
    assert other.status_code == 200
    assert get(rate_limited_gateway, "/health").status_code == 200


def test_a_gateway_without_keys_limits_each_address(proxied_gateway):
    def post_from(address):
        return post(proxied_gateway, chat_request(), **{"X-Forwarded-For": address})

    assert [post_from("203.0.113.7").status_code for _ in range(HOURLY_LIMIT + 1)] == [200] * HOURLY_LIMIT + [429]
    assert post_from("203.0.113.8").status_code == 200
    assert post_from("198.51.100.1, 203.0.113.7").status_code == 429  # the part that the client wrote itself is ignored


def test_each_request_gets_a_unique_id(gateway):
    first, second = (get(gateway, "/health").headers["x-request-id"] for _ in range(2))
    assert first
    assert first != second


@pytest.mark.parametrize("path", ["/health", "/v1/models", "/nowhere", "/openapi.json"])
def test_a_well_formed_request_id_is_returned(gateway, path):
    response = get(gateway, path, **{"X-Request-Id": "req_Abc-123.4:5"})
    assert response.headers["x-request-id"] == "req_Abc-123.4:5"


@pytest.mark.parametrize("request_id", ["", "a b", "x" * 1000, '"quoted"', "<b>", "caf\xe9"])
def test_an_ill_formed_request_id_is_replaced(gateway, request_id):
    returned = get(gateway, "/health", **{"X-Request-Id": request_id}).headers["x-request-id"]
    assert returned
    assert returned != request_id


def test_a_stream_returns_its_request_id(gateway):
    assert (
        post(gateway, chat_request(stream=True), **{"X-Request-Id": "req-stream"}).headers["x-request-id"]
        == "req-stream"
    )


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/", "/v1/chat", "/v1/chat/completions/", "/v1/completions", "/v2/models", "//", "/%00"]
)
def test_an_unknown_url_is_a_404(gateway, path):
    error = expect_error(post(gateway, chat_request(), path), 404)
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", None, None)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", [CHAT, "/v1/embeddings"])
def test_a_method_other_than_post_is_a_405(gateway, method, path):
    response = requests.request(method, gateway.url + path, headers=gateway.headers, timeout=10)
    error = expect_error(response, 405)
    assert (error["type"], error["code"]) == ("invalid_request_error", None)
    assert "POST" in response.headers["allow"]


def test_a_post_to_the_models_is_answered_with_allow_get(gateway):
    assert "GET" in post(gateway, {}, "/v1/models").headers["allow"]


@pytest.mark.parametrize(
    "change, param",
    [
        ({"messages": []}, "messages"),
        ({"model": None}, "model"),
        ({"temperature": 3}, "temperature"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "wizard", "content": "b"}]}, "messages[1].role"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": 7}}]}]},
            "messages[0].content[0].image_url.url",
        ),
        ({"temperature": "0.5"}, "temperature"),
        ({"stream": "yes"}, "stream"),
    ],
)
def test_a_validation_error_names_the_path_of_the_field(gateway, change, param):
    error = expect_error(post(gateway, {**chat_request(), **change}), 400)
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
