"""The servers that the integration tests share: one of each a worker class, started when first asked for."""

import json
import os
from contextlib import ExitStack
from pathlib import Path

import pytest
from openai import OpenAI

from tests.support import servers
from tests.support.environment import BODY_TIMEOUT, KEY, LIMIT, OTHER_KEY, provider_urls
from tests.support.scripted_upstream import upstream as scripted

PAIRS = """
model_list:
  - {model_name: "pair/*", litellm_params: {model: "openai/*"}}
  - {model_name: "pair/*", litellm_params: {model: "anthropic/*"}}
  - {model_name: "impatient/*", litellm_params: {model: "openai/*", timeout: 1}}
"""
"""Two targets of one name, and a target that may take a second."""
FALLBACK = """
model_list:
  - {model_name: fallback, litellm_params: {model: "openai/RECORDING+status=529"}}
  - {model_name: fallback, litellm_params: {model: "anthropic/RECORDING"}}
"""


@pytest.fixture(scope="session")
def shared():
    """The folder with the recordings and the tutorial."""
    if not os.environ.get("SHARED"):
        pytest.skip("SHARED names no folder")
    return Path(os.environ["SHARED"]).resolve()


@pytest.fixture(scope="session", params=servers.WORKER_CLASSES)
def worker_class(request):
    return request.param


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="session")
def upstream():
    with scripted() as server:
        yield server


@pytest.fixture(scope="session")
def echo(worker_class, folder):
    """A gateway as it is with nothing configured."""
    with servers.gateway(folder / f"echo-{worker_class}", GATEWAY_WORKER_CLASS=worker_class) as server:
        yield server


@pytest.fixture(scope="session")
def gateways(folder, upstream):
    """A gateway of each worker class, behind keys, in front of the scripted upstream; it writes all that it ever logs."""
    config = folder / "pairs.yaml"
    config.write_text(PAIRS)
    environ = {
        **provider_urls(upstream.url),
        "GATEWAY_CONFIG": str(config),
        "GATEWAY_ECHO": "1",
        "VALID_API_KEYS": f"{KEY},{OTHER_KEY}",
        "BODY_TIMEOUT": str(BODY_TIMEOUT),
        "RETRY_MAX_ATTEMPTS": "2",
        "LOG_LEVEL": "debug",
    }
    with ExitStack() as stack:
        yield {
            kind: stack.enter_context(
                servers.gateway(folder / f"scripted-{kind}", **environ, GATEWAY_WORKER_CLASS=kind)
            )
            for kind in servers.WORKER_CLASSES
        }


@pytest.fixture(scope="session")
def gateway(worker_class, gateways):
    return gateways[worker_class]


@pytest.fixture(scope="session")
def limited(worker_class, folder):
    """A gateway that lets a key ask LIMIT times an hour."""
    with servers.gateway(
        folder / f"limited-{worker_class}",
        GATEWAY_WORKER_CLASS=worker_class,
        VALID_API_KEYS=f"{KEY},{OTHER_KEY}",
        RATE_LIMIT=f"{LIMIT} per hour",
    ) as server:
        yield server


@pytest.fixture(scope="session")
def behind_proxy(worker_class, folder):
    """An open gateway that lets an address ask LIMIT times an hour, and believes the one proxy in front of it."""
    with servers.gateway(
        folder / f"proxied-{worker_class}",
        GATEWAY_WORKER_CLASS=worker_class,
        RATE_LIMIT=f"{LIMIT} per hour",
        TRUSTED_PROXIES="1",
    ) as server:
        yield server


@pytest.fixture(scope="session")
def replay(shared, folder):
    place = folder / "replay"
    place.mkdir()
    with servers.replaying(place, shared) as server:
        yield server


@pytest.fixture(scope="session")
def recordings(shared):
    """The recordings by id, of the dialects that are served."""
    names = ("openai-chat", "anthropic-messages")
    written = "".join((shared / "traffic" / f"{name}.jsonl").read_text(encoding="utf-8") for name in names)
    return {one["id"]: one for one in map(json.loads, written.split("\n")[:-1])}


@pytest.fixture(scope="session")
def pick(recordings):
    """The ids of a provider's recordings that have all these tags."""

    def picked(provider, *tags, but=("suspect-handmade",)):
        found = [
            name
            for name, one in recordings.items()
            if one["provider"] == provider and set(tags) <= set(one["tags"]) and not set(but) & set(one["tags"])
        ]
        assert found, f"no recording of {provider} has the tags {tags}"
        return found

    return picked


@pytest.fixture(scope="session")
def replayed(worker_class, folder, replay, pick):
    """A gateway in front of the recordings."""
    model = pick("anthropic", "nonstream", "finish:stop")[0]
    config = folder / f"fallback-{worker_class}.yaml"
    config.write_text(FALLBACK.replace("RECORDING", model))
    with servers.gateway(
        folder / f"replayed-{worker_class}",
        **provider_urls(replay.url),
        GATEWAY_WORKER_CLASS=worker_class,
        GATEWAY_CONFIG=str(config),
        RETRY_MAX_ATTEMPTS="2",
        BREAKER="off",  # the same recordings fail again and again
    ) as server:
        yield server


def sdk(server):
    return OpenAI(base_url=f"{server.url}/v1", api_key=server.key or "unneeded", max_retries=0, timeout=60)


@pytest.fixture(scope="session")
def to_echo(echo):
    with sdk(echo) as client:
        yield client


@pytest.fixture(scope="session")
def to_gateway(gateway):
    with sdk(gateway) as client:
        yield client


@pytest.fixture(scope="session")
def to_replayed(replayed):
    with sdk(replayed) as client:
        yield client
