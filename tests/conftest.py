"""The servers that the integration tests share: started on first use, one for each worker class."""

import json
import os
from contextlib import ExitStack
from pathlib import Path

import pytest
from openai import OpenAI

from tests.support import servers
from tests.support.environment import BODY_TIMEOUT, HOURLY_LIMIT, KEY, OTHER_KEY, provider_urls
from tests.support.scripted_upstream import run_scripted_upstream

# A name with two targets, and a target with a timeout of 1 s.
TWO_TARGETS = """
model_list:
  - {model_name: "pair/*", litellm_params: {model: "openai/*"}}
  - {model_name: "pair/*", litellm_params: {model: "anthropic/*"}}
  - {model_name: "short-timeout/*", litellm_params: {model: "openai/*", timeout: 1}}
"""
FALLBACK = """
model_list:
  - {model_name: fallback, litellm_params: {model: "openai/RECORDING+status=529"}}
  - {model_name: fallback, litellm_params: {model: "anthropic/RECORDING"}}
"""


@pytest.fixture(scope="session")
def shared_folder():
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
def scripted_upstream():
    with run_scripted_upstream() as server:
        yield server


@pytest.fixture(scope="session")
def echo_gateway(worker_class, folder):
    """A gateway with nothing configured."""
    with servers.run_gateway(folder / f"echo-{worker_class}", GATEWAY_WORKER_CLASS=worker_class) as server:
        yield server


@pytest.fixture(scope="session")
def gateways(folder, scripted_upstream):
    """By worker class: a gateway that requires keys and logs everything, in front of the scripted upstream."""
    config = folder / "two-targets.yaml"
    config.write_text(TWO_TARGETS)
    environ = {
        **provider_urls(scripted_upstream.url),
        "GATEWAY_CONFIG": str(config),
        "GATEWAY_ECHO": "1",
        "VALID_API_KEYS": f"{KEY},{OTHER_KEY}",
        "BODY_TIMEOUT": str(BODY_TIMEOUT),
        "RETRY_MAX_ATTEMPTS": "2",
        "LOG_LEVEL": "debug",
    }
    with ExitStack() as stack:
        yield {
            worker_class: stack.enter_context(
                servers.run_gateway(folder / f"scripted-{worker_class}", **environ, GATEWAY_WORKER_CLASS=worker_class)
            )
            for worker_class in servers.WORKER_CLASSES
        }


@pytest.fixture(scope="session")
def gateway(worker_class, gateways):
    return gateways[worker_class]


@pytest.fixture(scope="session")
def rate_limited_gateway(worker_class, folder):
    """A gateway that limits each key to HOURLY_LIMIT requests an hour."""
    with servers.run_gateway(
        folder / f"limited-{worker_class}",
        GATEWAY_WORKER_CLASS=worker_class,
        VALID_API_KEYS=f"{KEY},{OTHER_KEY}",
        RATE_LIMIT=f"{HOURLY_LIMIT} per hour",
    ) as server:
        yield server


@pytest.fixture(scope="session")
def proxied_gateway(worker_class, folder):
    """A gateway without keys that limits each address to HOURLY_LIMIT requests an hour and trusts one proxy."""
    with servers.run_gateway(
        folder / f"proxied-{worker_class}",
        GATEWAY_WORKER_CLASS=worker_class,
        RATE_LIMIT=f"{HOURLY_LIMIT} per hour",
        TRUSTED_PROXIES="1",
    ) as server:
        yield server


@pytest.fixture(scope="session")
def replay_server(shared_folder, folder):
    replay_folder = folder / "replay"
    replay_folder.mkdir()
    with servers.run_replay_server(replay_folder, shared_folder) as server:
        yield server


@pytest.fixture(scope="session")
def recordings(shared_folder):
    """The recordings of the supported dialects, by id."""
    files = [shared_folder / "traffic" / f"{name}.jsonl" for name in ("openai-chat", "anthropic-messages")]
    lines = "".join(file.read_text(encoding="utf-8") for file in files).split("\n")[:-1]
    return {recording["id"]: recording for recording in map(json.loads, lines)}


@pytest.fixture(scope="session")
def recording_ids(recordings):
    """A function that returns the ids of a provider's recordings with all of these tags and none of the excluded."""

    def matching_ids(provider, *tags, excluding=("suspect-handmade",)):
        ids = [
            recording_id
            for recording_id, recording in recordings.items()
            if recording["provider"] == provider
            and set(tags) <= set(recording["tags"])
            and not set(excluding) & set(recording["tags"])
        ]
        assert ids, f"no recording of {provider} has the tags {tags}"
        return ids

    return matching_ids


@pytest.fixture(scope="session")
def replayed_gateway(worker_class, folder, replay_server, recording_ids):
    """A gateway in front of the replay server."""
    model = recording_ids("anthropic", "nonstream", "finish:stop")[0]
    config = folder / f"fallback-{worker_class}.yaml"
    config.write_text(FALLBACK.replace("RECORDING", model))
    with servers.run_gateway(
        folder / f"replayed-{worker_class}",
        **provider_urls(replay_server.url),
        GATEWAY_WORKER_CLASS=worker_class,
        GATEWAY_CONFIG=str(config),
        RETRY_MAX_ATTEMPTS="2",
        BREAKER="off",  # the same recordings fail again and again
    ) as server:
        yield server


def openai_client(server):
    return OpenAI(base_url=f"{server.url}/v1", api_key=server.key or "unneeded", max_retries=0, timeout=60)


@pytest.fixture(scope="session")
def echo_client(echo_gateway):
    with openai_client(echo_gateway) as client:
        yield client


@pytest.fixture(scope="session")
def gateway_client(gateway):
    with openai_client(gateway) as client:
        yield client


@pytest.fixture(scope="session")
def replayed_client(replayed_gateway):
    with openai_client(replayed_gateway) as client:
        yield client
