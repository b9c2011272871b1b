"""SIGHUP while clients ask all the time: the configuration is read again, and none of them notices more than that."""

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
from tests.support.http_client import CHAT, chat, post
from tests.support.scripted_upstream import DONE, ROLE, STOP, Upstream, completion, plain, streamed, text
from tests.support.servers import PATIENCE, Server, eventually

BEFORE, AFTER = "Before the reload.", "After the reload."
GRACE = 40
MANY = 40
"""Answers, of all clients together."""
MODELS = """
model_list:
  - {{model_name: in-the-file, litellm_params: {{model: "openai/{model}", timeout: {timeout}}}}}
"""
FAULTS = ("model_list[0].litellm_params.timeout", "MODEL_MAP")
KEPT = "The configuration before it stays in force."


@dataclass(frozen=True)
class Configured:
    """A gateway that knows one name by its YAML file, whose answers are plain, and one by `.env`, whose are streams."""

    server: Server
    upstream: Upstream
    folder: Path

    def says(self, said: str) -> None:
        """What both names lead to from the next reload on."""
        self.file.write_text(MODELS.format(model=self.upstream.model(plain(completion(said))), timeout=60))
        self.env.write_text(f"MODEL_MAP=in-the-environment=openai/{self.upstream.model(paced(said))}\n")

    def wrong(self) -> None:
        """Make a fault in each."""
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
class Held:
    """A script that stops after some steps until the test opens the gate."""

    steps: list[Any]
    stop: int
    gate: threading.Event

    def __iter__(self) -> Iterator[Any]:
        yield from self.steps[: self.stop]
        self.gate.wait(PATIENCE)
        yield from self.steps[self.stop :]


@pytest.fixture
def configured(tmp_path, upstream, worker_class):
    """A gateway that says BEFORE."""
    environ = {
        **provider_urls(upstream.url),
        "GATEWAY_WORKER_CLASS": worker_class,
        "GATEWAY_CONFIG": str(tmp_path / "models.yaml"),
        "GRACEFUL_TIMEOUT": str(GRACE),
    }
    (tmp_path / "empty").mkdir()
    Configured(None, upstream, tmp_path).says(BEFORE)
    with servers.gateway(tmp_path, **environ) as server:
        yield Configured(server, upstream, tmp_path)


def paced(said: str) -> list[Any]:
    """A stream of these words, which takes a moment."""
    return streamed(ROLE, *(step for word in said.split(" ") for step in (text(f"{word} "), 0.02)), STOP, DONE)


def told(answer: requests.Response) -> str:
    """The text of an answer, plain or streamed, that is a success and whole."""
    assert answer.status_code == 200, answer.text
    if answer.headers["content-type"] == "application/json":
        return answer.json()["choices"][0]["message"]["content"]
    *frames, last = answer.text.removesuffix("\n\n").split("\n\n")
    assert last == "data: [DONE]", answer.text
    deltas = [json.loads(frame.removeprefix("data: "))["choices"][0] for frame in frames]
    assert deltas[-1]["finish_reason"] == "stop"
    return "".join(choice["delta"].get("content") or "" for choice in deltas).strip()


@contextmanager
def asking(server: Server) -> Iterator[list[str]]:
    """Clients that ask all the time, for both kinds, on new connections and on kept ones. What they have heard so far."""
    heard: list[str] = []
    over = threading.Event()

    def ask(send: Callable[..., requests.Response], model: str) -> None:
        body = chat(model, stream=model == "in-the-environment")
        while not over.is_set():
            heard.append(told(send(server.url + CHAT, json=body, timeout=60)))

    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(6))
        clients = [
            pool.submit(ask, send, model)
            for model in ("in-the-file", "in-the-environment")
            for send in (requests.post, requests.post, stack.enter_context(requests.Session()).post)
        ]
        stack.callback(over.set)
        assert eventually(lambda: len(heard) >= MANY, PATIENCE), [client for client in clients if client.done()]
        yield heard
    for client in clients:
        client.result()


def more(heard: list[str]) -> list[str]:
    """What is heard next."""
    known = len(heard)
    assert eventually(lambda: len(heard) >= known + MANY, PATIENCE), "nobody is answered any more"
    return heard[known:]


def reported(server: Server) -> str:
    """What the server says of itself, without a line a request."""
    return (server.folder / "err").read_text()


def begun(server: Server) -> int:
    """How many workers there have been."""
    return reported(server).count("Booting worker")


def ended(server: Server) -> int:
    return reported(server).count("Worker exiting")


def test_a_new_configuration_comes_into_force_under_load_and_no_request_fails(configured, upstream):
    server, gate = configured.server, threading.Event()
    lasting = {
        True: upstream.model(Held(paced(BEFORE), 3, gate)),
        False: upstream.model(Held(plain(completion(BEFORE)), 0, gate)),
    }
    with ThreadPoolExecutor(len(lasting)) as pool, asking(server) as heard:
        calls = [
            pool.submit(lambda body: told(post(server, body)), chat(f"openai/{model}", stream=kind))
            for kind, model in lasting.items()
        ]
        assert eventually(lambda: all(upstream.calls[model] for model in lasting.values()), PATIENCE)
        configured.says(AFTER)
        configured.reload()
        assert eventually(lambda: heard[-1] == AFTER, PATIENCE), reported(server)
        more(heard)
        assert not any(call.done() for call in calls), "those that began before the reload last over it"
        assert not ended(server)
        gate.set()
        assert [call.result() for call in calls] == [BEFORE, BEFORE]
        assert eventually(lambda: ended(server), PATIENCE), reported(server)
        more(heard)
        assert set(more(heard)) == {AFTER}
    assert set(heard) == {BEFORE, AFTER}
    assert begun(server) == 2


def test_a_wrong_configuration_is_reported_and_the_one_before_it_stays_in_force(configured):
    server = configured.server
    with asking(server) as heard:
        configured.wrong()
        configured.reload()
        assert eventually(lambda: KEPT in reported(server), PATIENCE), reported(server)
        assert all(fault in reported(server) for fault in FAULTS), reported(server)
        assert eventually(lambda: ended(server) == 1, PATIENCE), reported(server)
        more(heard)
        assert set(heard) == {BEFORE}
        configured.says(AFTER)
        configured.reload()
        assert eventually(lambda: ended(server) == 2, PATIENCE), reported(server)
        more(heard)
        assert set(more(heard)) == {AFTER}
    assert begun(server) == 3
    assert reported(server).count(KEPT) == 1
