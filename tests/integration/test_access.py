"""Who may ask, how often, from where; and what is answered to those who may not."""

import pytest
import requests

from tests.support.environment import KEY, LIMIT, OTHER_KEY
from tests.support.http_client import CHAT, chat, error, get, post

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
LIMITS = [f"x-ratelimit-{what}-requests" for what in ("limit", "remaining", "reset")]


@pytest.mark.parametrize("path", [CHAT, "/v1/embeddings", "/v1/models", "/v1/models/echo"])
@pytest.mark.parametrize(
    "shown",
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
def test_without_a_valid_key_it_is_a_401(gateway, path, shown):
    ask = requests.get if "models" in path else requests.post
    answer = ask(gateway.url + path, headers=shown, timeout=10)
    if answer.status_code == 429:  # this address has shown too many wrong keys by now
        assert shown
        return
    said = error(answer, 401)
    assert (said["type"], said["code"]) == ("invalid_request_error", "invalid_api_key")


@pytest.mark.parametrize(
    "shown",
    [
        {"Authorization": f"Bearer {KEY}"},
        {"Authorization": f"bearer  {KEY} "},
        {"Authorization": f"Bearer {OTHER_KEY}"},
        {"x-api-key": KEY},
        {"X-Api-Key": OTHER_KEY},
    ],
    ids=str,
)
def test_a_valid_key_passes(gateway, shown):
    answer = requests.post(gateway.url + CHAT, json=chat(), headers=shown, timeout=10)
    assert answer.status_code == 200


def test_the_key_is_asked_for_before_the_body_is_read(gateway):
    answer = requests.post(gateway.url + CHAT, data=b"{", headers={"Content-Type": "application/json"}, timeout=10)
    error(answer, 401)


def test_wrong_keys_are_limited_by_address_and_a_valid_one_still_passes(limited):
    statuses = []
    for n in range(30):
        headers = {
            "Authorization": f"Bearer sk-guess-{n}",
            "X-Forwarded-For": f"10.0.0.{n}",
            "Forwarded": f"for=10.0.0.{n}",
        }
        answer = requests.get(f"{limited.url}/v1/models", headers=headers, timeout=10)
        statuses.append(answer.status_code)
    assert statuses[0] == 401
    assert statuses[-1] == 429
    said = error(answer, 429)
    assert said["code"] == "rate_limit_exceeded"
    assert 1 <= int(answer.headers["retry-after"]) <= 3600
    assert get(limited, "/v1/models", Authorization=f"Bearer {OTHER_KEY}").status_code == 200


@pytest.mark.parametrize("path", [CHAT, "/v1/models", "/v1/embeddings"])
def test_options_needs_no_key(gateway, path):
    asks = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type, x-stainless-os",
    }
    answer = requests.options(gateway.url + path, headers=asks, timeout=10)
    assert answer.status_code in (200, 204)
    assert answer.headers["access-control-allow-origin"] in ("*", "https://app.example")
    allowed = answer.headers["access-control-allow-headers"].lower()
    assert "authorization" in allowed
    assert "x-stainless-os" in allowed


@pytest.mark.parametrize("body", [chat(), chat(stream=True), {}, b"{"])
def test_a_page_of_another_origin_may_read_the_headers_of_answers_and_of_errors(gateway, body):
    answer = post(gateway, body, Origin="https://app.example")
    assert answer.headers["access-control-allow-origin"] in ("*", "https://app.example")
    exposed = {name.strip().lower() for name in answer.headers["access-control-expose-headers"].split(",")}
    assert exposed >= EXPOSED


def test_a_page_may_read_a_401_too(gateway):
    answer = requests.post(gateway.url + CHAT, json=chat(), headers={"Origin": "https://app.example"}, timeout=10)
    assert answer.status_code == 401
    assert answer.headers["access-control-allow-origin"]


def test_a_key_has_its_limit_with_headers_on_success_and_past_it(limited):
    answers = [post(limited, chat(stream=n % 2 == 1)) for n in range(LIMIT + 1)]
    assert [answer.status_code for answer in answers] == [200] * LIMIT + [429]
    assert [int(answer.headers[LIMITS[1]]) for answer in answers] == [*range(LIMIT)[::-1], 0]
    assert all(answer.headers[LIMITS[0]] == str(LIMIT) for answer in answers)
    assert all(answer.headers[LIMITS[2]].endswith("s") for answer in answers)
    assert not any("retry-after" in answer.headers for answer in answers[:-1])
    last = answers[-1]
    said = error(last, 429)
    assert (said["type"], said["code"]) == ("requests", "rate_limit_exceeded")
    assert 1 <= int(last.headers["retry-after"]) <= 3600
    assert abs(int(last.headers["retry-after-ms"]) - 1000 * int(last.headers["retry-after"])) <= 1000
    other = get(limited, "/v1/models", Authorization=f"Bearer {OTHER_KEY}")
    assert other.status_code == 200
    assert get(limited, "/health").status_code == 200


def test_an_address_has_its_limit_where_the_gateway_is_open(behind_proxy):
    def ask(address):
        return post(behind_proxy, chat(), **{"X-Forwarded-For": address})

    assert [ask("203.0.113.7").status_code for _ in range(LIMIT + 1)] == [200] * LIMIT + [429]
    assert ask("203.0.113.8").status_code == 200
    assert ask("198.51.100.1, 203.0.113.7").status_code == 429  # what the client wrote itself is not believed


def test_a_request_id_is_minted_and_differs(gateway):
    first, second = (get(gateway, "/health").headers["x-request-id"] for _ in range(2))
    assert first
    assert first != second


@pytest.mark.parametrize("path", ["/health", "/v1/models", "/nowhere", "/openapi.json"])
def test_a_well_formed_request_id_is_kept(gateway, path):
    answer = get(gateway, path, **{"X-Request-Id": "req_Abc-123.4:5"})
    assert answer.headers["x-request-id"] == "req_Abc-123.4:5"


@pytest.mark.parametrize("ident", ["", "a b", "x" * 1000, '"quoted"', "<b>", "caf\xe9"])
def test_an_ill_formed_request_id_is_replaced(gateway, ident):
    told = get(gateway, "/health", **{"X-Request-Id": ident}).headers["x-request-id"]
    assert told
    assert told != ident


def test_a_stream_has_its_request_id_too(gateway):
    assert post(gateway, chat(stream=True), **{"X-Request-Id": "req-stream"}).headers["x-request-id"] == "req-stream"


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/", "/v1/chat", "/v1/chat/completions/", "/v1/completions", "/v2/models", "//", "/%00"]
)
def test_an_unknown_url_is_a_404(gateway, path):
    said = error(post(gateway, chat(), path), 404)
    assert (said["type"], said["code"], said["param"]) == ("invalid_request_error", None, None)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", [CHAT, "/v1/embeddings"])
def test_another_method_is_a_405(gateway, method, path):
    answer = requests.request(method, gateway.url + path, headers=gateway.headers, timeout=10)
    said = error(answer, 405)
    assert (said["type"], said["code"]) == ("invalid_request_error", None)
    assert "POST" in answer.headers["allow"]


def test_posting_to_the_models_is_a_405(gateway):
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
def test_a_validation_error_names_the_path(gateway, change, param):
    said = error(post(gateway, {**chat(), **change}), 400)
    assert (said["type"], said["param"]) == ("invalid_request_error", param)
