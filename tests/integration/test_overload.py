"""More calls than a worker may hold: the others get a 503 at once, and health checks still pass."""

import concurrent.futures

import pytest
import requests

from tests.support import servers
from tests.support.http_client import CHAT, chat_request


@pytest.fixture(scope="module")
def small_gateway(folder):
    environ = {"GATEWAY_WORKER_CLASS": "gthread", "GATEWAY_THREADS": "5", "GATEWAY_ECHO_PACE": "0.1"}
    with servers.run_gateway(folder / "small", **environ) as server:
        yield server


def test_calls_beyond_the_limit_get_a_503_and_health_checks_pass(small_gateway):
    def start(_):
        response = requests.post(small_gateway.url + CHAT, json=chat_request(stream=True), stream=True, timeout=30)
        return response, response.status_code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(start, range(8)))
        assert requests.get(small_gateway.url + "/health", timeout=5).ok
        assert sorted(status for _, status in responses)[:3] == [200, 200, 200]
        rejected = [response for response, status in responses if status != 200]
        assert len(rejected) >= 3
        assert all(response.json()["error"]["code"] == "overloaded" for response in rejected)
        assert all(response.headers["Retry-After"] == "1" for response in rejected)
        for response, status in responses:
            assert status != 200 or response.text.endswith("data: [DONE]\n\n")
    assert requests.post(small_gateway.url + CHAT, json=chat_request(), timeout=30).ok


def test_a_slot_is_released_whatever_the_outcome_of_its_call(small_gateway):
    for _ in range(10):
        assert requests.post(small_gateway.url + CHAT, json=chat_request("nobody/x"), timeout=30).status_code == 404
        with requests.post(
            small_gateway.url + CHAT, json=chat_request(stream=True), stream=True, timeout=30
        ) as response:
            next(response.iter_content(10))
        too_large = chat_request(
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "x", "schema": {"type": "string", "minLength": 10**9}},
            }
        )
        assert requests.post(small_gateway.url + CHAT, json=too_large, timeout=30).status_code == 400
    assert servers.wait_until(lambda: requests.post(small_gateway.url + CHAT, json=chat_request(), timeout=30).ok)
