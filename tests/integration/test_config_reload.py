"""SIGHUP under load: the gateway reads its configuration again, and no request fails."""

import json
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support import servers
from tests.support.environment import provider_urls
from tests.support.http_client import CHAT, chat_request, post
from tests.support.scripted_upstream import (
    DONE,
    ROLE,
    STOP,
    ScriptedUpstream,
    completion,
    json_response,
    sse_response,
    text_chunk,
)
from tests.support.servers import START_TIMEOUT, Server, wait_until

BEFORE, AFTER = "Before the reload.", "After the reload."
GRACE_PERIOD = 40
BATCH = 40  # responses of all clients together
MODELS = """
model_list:
  - {{model_name: in-the-file, litellm_params: {{model: "openai/{model}", timeout: {timeout}}}}}
"""
INVALID_SETTINGS = ("model_list[0].litellm_params.timeout", "MODEL_MAP")
CONFIG_KEPT = "The configuration before it stays in force."


@dataclass(frozen=True)
class ConfiguredGateway:
    """A gateway with one model in its YAML file, with plain responses, and one in `.env`, with streams."""

    server: Server
    scripted_upstream: ScriptedUpstream
    folder: Path

    def configure(self, content: str) -> None:
        """Write a configuration in which both models respond with `content`."""
        plain = self.scripted_upstream.add_model(json_response(completion(content)))
        streamed = self.scripted_upstream.add_model(paced_stream(content))
        self.file.write_text(MODELS.format(model=plain, timeout=60))
        self.env.write_text(f"MODEL_MAP=in-the-environment=openai/{streamed}\n")

    def misconfigure(self) -> None:
        """Write an invalid value into the file and into `.env`."""
        self.file.write_text(MODELS.format(model="gpt-4o", timeout="soon"))
        self.env.write_text("MODEL_MAP=in-the-environment=nobody/x\n")

    def reload(self) -> None:
        self.server.process.send_signal(signal.SIGHUP)

    @property
    def file(self) -> Path:
        return self.folder / "models.yaml"

    @property
    def env(self) -> Path:
        return self.folder / "empty" / ".env"


@dataclass(frozen=True)
class PausedScript:
    """A script that pauses after some steps until the test sets the event."""

    steps: list[Any]
    pause_at: int
    resume: threading.Event

    def __iter__(self) -> Iterator[Any]:
        yield from self.steps[: self.pause_at]
        self.resume.wait(START_TIMEOUT)
        yield from self.steps[self.pause_at :]


@pytest.fixture
def configured_gateway(tmp_path, scripted_upstream, worker_class):
    """A gateway whose models respond with BEFORE."""
    environ = {
        **provider_urls(scripted_upstream.url),
        "GATEWAY_WORKER_CLASS": worker_class,
        "GATEWAY_CONFIG": str(tmp_path / "models.yaml"),
        "GRACEFUL_TIMEOUT": str(GRACE_PERIOD),
    }
    (tmp_path / "empty").mkdir()
    ConfiguredGateway(None, scripted_upstream, tmp_path).configure(BEFORE)
    with servers.run_gateway(tmp_path, **environ) as server:
        yield ConfiguredGateway(server, scripted_upstream, tmp_path)


def paced_stream(content: str) -> list[Any]:
    """Script a stream that sends a word every 20 ms."""
    return sse_response(
        ROLE, *(step for word in content.split(" ") for step in (text_chunk(f"{word} "), 0.02)), STOP, DONE
    )


def response_text(response: requests.Response) -> str:
    """Return the text of a response, plain or streamed, after a check that it is complete."""
    assert response.status_code == 200, response.text
    if response.headers["content-type"] == "application/json":
        return response.json()["choices"][0]["message"]["content"]
    *frames, last = response.text.removesuffix("\n\n").split("\n\n")
    assert last == "data: [DONE]", response.text
    choices = [json.loads(frame.removeprefix("data: "))["choices"][0] for frame in frames]
    assert choices[-1]["finish_reason"] == "stop"
    return "".join(choice["delta"].get("content") or "" for choice in choices).strip()


@contextmanager
def running_clients(server: Server) -> Iterator[list[str]]:
    """Run clients that call both models, on new and on persistent connections; yield the texts received so far."""
    texts: list[str] = []
    stop = threading.Event()

    def call_repeatedly(send: Callable[..., requests.Response], model: str) -> None:
        body = chat_request(model, stream=model == "in-the-environment")
        while not stop.is_set():
            texts.append(response_text(send(server.url + CHAT, json=body, timeout=60)))

    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(6))
        clients = [
            pool.submit(call_repeatedly, send, model)
            for model in ("in-the-file", "in-the-environment")
            for send in (requests.post, requests.post, stack.enter_context(requests.Session()).post)
        ]
        stack.callback(stop.set)
        assert wait_until(lambda: len(texts) >= BATCH, START_TIMEOUT), [client for client in clients if client.done()]
        yield texts
    for client in clients:
        client.result()


def next_batch(texts: list[str]) -> list[str]:
    """Wait for more responses and return their texts."""
    count = len(texts)
    assert wait_until(lambda: len(texts) >= count + BATCH, START_TIMEOUT), "the clients receive no more responses"
    return texts[count:]


def started_workers(server: Server) -> int:
    return server.stderr().count("Booting worker")


def exited_workers(server: Server) -> int:
    return server.stderr().count("Worker exiting")


def test_a_new_configuration_takes_effect_under_load_and_no_request_fails(configured_gateway, scripted_upstream):
    server, resume = configured_gateway.server, threading.Event()
    paused_models = {
        True: scripted_upstream.add_model(PausedScript(paced_stream(BEFORE), 3, resume)),
        False: scripted_upstream.add_model(PausedScript(json_response(completion(BEFORE)), 0, resume)),
    }
    with ThreadPoolExecutor(len(paused_models)) as pool, running_clients(server) as texts:
        calls = [
            pool.submit(lambda body: response_text(post(server, body)), chat_request(f"openai/{model}", stream=stream))
            for stream, model in paused_models.items()
        ]
        assert wait_until(
            lambda: all(scripted_upstream.calls[model] for model in paused_models.values()), START_TIMEOUT
        )
        configured_gateway.configure(AFTER)
        configured_gateway.reload()
        assert wait_until(lambda: texts[-1] == AFTER, START_TIMEOUT), server.stderr()
        next_batch(texts)
        assert not any(call.done() for call in calls), "calls that started before the reload continue"
        assert not exited_workers(server)
        resume.set()
        assert [call.result() for call in calls] == [BEFORE, BEFORE]
        assert wait_until(lambda: exited_workers(server), START_TIMEOUT), server.stderr()
        next_batch(texts)
        assert set(next_batch(texts)) == {AFTER}
    assert set(texts) == {BEFORE, AFTER}
    assert started_workers(server) == 2


def test_an_invalid_configuration_is_reported_and_the_previous_configuration_stays_in_force(configured_gateway):
    server = configured_gateway.server
    with running_clients(server) as texts:
        configured_gateway.misconfigure()
        configured_gateway.reload()
        assert wait_until(lambda: CONFIG_KEPT in server.stderr(), START_TIMEOUT), server.stderr()
        assert all(name in server.stderr() for name in INVALID_SETTINGS), server.stderr()
        assert wait_until(lambda: exited_workers(server) == 1, START_TIMEOUT), server.stderr()
        next_batch(texts)
        assert set(texts) == {BEFORE}
        configured_gateway.configure(AFTER)
        configured_gateway.reload()
        assert wait_until(lambda: exited_workers(server) == 2, START_TIMEOUT), server.stderr()
        next_batch(texts)
        assert set(next_batch(texts)) == {AFTER}
    assert started_workers(server) == 3
    assert server.stderr().count(CONFIG_KEPT) == 1
