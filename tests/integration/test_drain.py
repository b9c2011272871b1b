"""SIGTERM: what can end in time ends, what cannot is told so, and each has its log line."""

import concurrent.futures
import signal
import time

import pytest
import requests

from tests.support import servers
from tests.support.environment import provider_urls
from tests.support.http_client import CHAT, chat
from tests.support.scripted_upstream import ROLE, STOP, streamed, text

FOREVER = 40.0
GRACE = 6


@pytest.fixture
def ending(folder, upstream, worker_class):
    environ = {"GATEWAY_WORKER_CLASS": worker_class, "GRACEFUL_TIMEOUT": str(GRACE), **provider_urls(upstream.url)}
    with servers.gateway(folder / f"ending-{worker_class}", **environ) as server:
        yield server


def test_every_call_ends_in_done_or_in_an_error_and_has_its_line(ending, upstream):
    scripts = {
        "soon": streamed(ROLE, text("Hel"), 2.0, text("lo"), STOP),
        "silent": streamed(ROLE, text("Hel"), FOREVER, text("lo"), STOP),
        "chatty": streamed(ROLE, *(step for n in range(400) for step in (text(f"{n} "), 0.1)), STOP),
        "plain": [FOREVER],
    }

    models = {name: upstream.model(script) for name, script in scripts.items()}

    def ask(name):
        body = chat(f"openai/{models[name]}", stream=name != "plain")
        answer = requests.post(ending.url + CHAT, json=body, headers={"X-Request-Id": f"drain-{name}"}, timeout=60)
        return answer.status_code, answer.text

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        asked = {name: pool.submit(ask, name) for name in scripts}
        assert servers.eventually(lambda: all(upstream.calls[model] for model in models.values()), 10)
        time.sleep(0.5)
        ending.process.send_signal(signal.SIGTERM)
        answers = {name: future.result() for name, future in asked.items()}
    assert answers["soon"][1].endswith("data: [DONE]\n\n")
    for name in ("silent", "chatty"):
        status, told = answers[name]
        last = told.strip().split("\n\n")[-1]
        assert status == 200
        assert '"code":"unavailable"' in last
        assert "[DONE]" not in told
    assert answers["plain"][0] == 503
    assert '"unavailable"' in answers["plain"][1]
    lines = {name: ending.log(f"drain-{name}") for name in scripts}
    assert {name: line["outcome"] for name, line in lines.items()} == {
        "soon": "completed",
        "silent": "failed",
        "chatty": "failed",
        "plain": "failed",
    }
    assert ending.process.wait(10) == 0
