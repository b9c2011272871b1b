"""SIGTERM: calls that finish within the grace period complete, all others get an error, and each has its log line."""

import concurrent.futures
import signal

import pytest
import requests

from tests.support import servers
from tests.support.environment import provider_urls
from tests.support.http_client import CHAT, chat_request
from tests.support.scripted_upstream import ROLE, STOP, sse_response, text_chunk

LONG_SILENCE = 40.0
GRACE_PERIOD = 6


@pytest.fixture
def gateway(folder, scripted_upstream, worker_class):
    environ = {
        "GATEWAY_WORKER_CLASS": worker_class,
        "GRACEFUL_TIMEOUT": str(GRACE_PERIOD),
        **provider_urls(scripted_upstream.url),
    }
    with servers.run_gateway(folder / f"shutdown-{worker_class}", **environ) as server:
        yield server


def test_every_call_in_flight_completes_or_gets_an_error_and_has_a_log_line(gateway, scripted_upstream):
    scripts = {
        "short": sse_response(ROLE, text_chunk("Hel"), 2.0, text_chunk("lo"), STOP),
        "silent": sse_response(ROLE, text_chunk("Hel"), LONG_SILENCE, text_chunk("lo"), STOP),
        "continuous": sse_response(
            ROLE, *(step for number in range(400) for step in (text_chunk(f"{number} "), 0.1)), STOP
        ),
        "plain": [LONG_SILENCE],
    }

    models = {name: scripted_upstream.add_model(script) for name, script in scripts.items()}

    begun = set()

    def call(name):
        body = chat_request(f"openai/{models[name]}", stream=name != "plain")
        headers = {"X-Request-Id": f"shutdown-{name}"}
        with requests.post(gateway.url + CHAT, json=body, headers=headers, timeout=60, stream=True) as response:
            received = b""
            for data in response.iter_content(None):
                received += data
                begun.add(name)
        return response.status_code, received.decode()

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        futures = {name: pool.submit(call, name) for name in scripts}
        assert servers.wait_until(lambda: len(begun) == 3 and scripted_upstream.calls[models["plain"]], 10)
        gateway.process.send_signal(signal.SIGTERM)
        responses = {name: future.result() for name, future in futures.items()}
    assert responses["short"][1].endswith("data: [DONE]\n\n")
    for name in ("silent", "continuous"):
        status, body = responses[name]
        last_event = body.strip().split("\n\n")[-1]
        assert status == 200
        assert '"code":"unavailable"' in last_event
        assert "[DONE]" not in body
    assert responses["plain"][0] == 503
    assert '"unavailable"' in responses["plain"][1]
    lines = {name: gateway.request_log(f"shutdown-{name}") for name in scripts}
    assert {name: line["outcome"] for name, line in lines.items()} == {
        "short": "completed",
        "silent": "failed",
        "continuous": "failed",
        "plain": "failed",
    }
    assert gateway.process.wait(10) == 0
