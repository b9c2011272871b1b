"""More calls than a worker can hold: the rest is told so at once, and health is answered."""

import concurrent.futures

import pytest
import requests

from tests.support import servers
from tests.support.http_client import CHAT, chat


@pytest.fixture(scope="module")
def small(folder):
    environ = {"GATEWAY_WORKER_CLASS": "gthread", "GATEWAY_THREADS": "5", "GATEWAY_ECHO_PACE": "0.1"}
    with servers.gateway(folder / "small", **environ) as server:
        yield server


def test_calls_beyond_the_limit_are_a_503_and_health_is_answered_beside_them(small):
    def begun(_):
        answer = requests.post(small.url + CHAT, json=chat(stream=True), stream=True, timeout=30)
        return answer, answer.status_code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(begun, range(8)))
        assert requests.get(small.url + "/health", timeout=5).ok
        assert sorted(status for _, status in answers)[:3] == [200, 200, 200]
        refused = [answer for answer, status in answers if status != 200]
        assert len(refused) >= 3
        assert all(answer.json()["error"]["code"] == "overloaded" for answer in refused)
        assert all(answer.headers["Retry-After"] == "1" for answer in refused)
        for answer, status in answers:
            assert status != 200 or answer.text.endswith("data: [DONE]\n\n")
    assert requests.post(small.url + CHAT, json=chat(), timeout=30).ok


def test_a_place_is_free_again_whatever_became_of_its_call(small):
    for _ in range(10):
        assert requests.post(small.url + CHAT, json=chat("nobody/x"), timeout=30).status_code == 404
        with requests.post(small.url + CHAT, json=chat(stream=True), stream=True, timeout=30) as answer:
            next(answer.iter_content(10))
        too_much = chat(
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "x", "schema": {"type": "string", "minLength": 10**9}},
            }
        )
        assert requests.post(small.url + CHAT, json=too_much, timeout=30).status_code == 400
    assert servers.eventually(lambda: requests.post(small.url + CHAT, json=chat(), timeout=30).ok)
