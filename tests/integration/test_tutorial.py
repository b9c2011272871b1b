"""The calls of the tutorial, unchanged except for the port."""

import json
import re
import shutil
import subprocess

import pytest

from tests.support import servers
from tests.support.environment import provider_urls

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")

ADDRESS = "http://localhost:3000"
CODE_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def code_blocks(shared_folder, language, needle):
    text = (shared_folder / "tutorial.md").read_text(encoding="utf-8")
    blocks = [
        block for block_language, block in CODE_BLOCK.findall(text) if block_language == language and needle in block
    ]
    assert blocks, "the tutorial has changed"
    return blocks


def curl_commands(shared_folder):
    """Return the curl commands of the tutorial."""
    script = "".join(code_blocks(shared_folder, "bash", f" {ADDRESS}/v1/chat/completions"))
    return [command for command in re.split(r"^(?=curl |#)", script, flags=re.MULTILINE) if command.startswith("curl ")]


def run(command, server, **options):
    """Run a command with the address of the server in place of the tutorial's; return its output."""
    arguments = [part.replace(ADDRESS, server.url) for part in command]
    completed = subprocess.run(arguments, capture_output=True, timeout=60, check=True, text=True, **options)
    return completed.stdout


def response_text(response, stream):
    """Return the text of a response, after a check of its form."""
    if not stream:
        return json.loads(response)["choices"][0]["message"]["content"]
    *frames, done, rest = response.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    chunks = [json.loads(frame.removeprefix("data: ")) for frame in frames]
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


@pytest.fixture(scope="module")
def gateway_with_keys(worker_class, folder):
    """A gateway with the keys of the tutorial's `.env`."""
    keys = "sk-test-123,sk-test-456"
    with servers.run_gateway(
        folder / f"tutorial-{worker_class}", VALID_API_KEYS=keys, GATEWAY_WORKER_CLASS=worker_class
    ) as server:
        yield server


@pytest.fixture(scope="module")
def anthropic_gateways(worker_class, folder, replay_server, recording_ids):
    """By form: a gateway that responds to gpt-4 with a recording of Anthropic, a stream (True) or a plain response."""
    excluded = (
        "suspect-handmade",
        "no-request",
        "server-tools",
        "refusal",
        "error-in-stream",
        "finish:tool",
        "thinking/reasoning",
    )
    with (
        servers.run_gateway(
            folder / f"anthropic-plain-{worker_class}",
            GATEWAY_WORKER_CLASS=worker_class,
            **anthropic_only(
                replay_server, recording_ids("anthropic", "nonstream", "finish:stop", excluding=excluded)[0]
            ),
        ) as plain,
        servers.run_gateway(
            folder / f"anthropic-stream-{worker_class}",
            GATEWAY_WORKER_CLASS=worker_class,
            **anthropic_only(replay_server, recording_ids("anthropic", "stream", "finish:stop", excluding=excluded)[0]),
        ) as streamed,
    ):
        yield {False: plain, True: streamed}


def anthropic_only(replay_server, recording_id):
    """Return an environment with Anthropic as the only provider and gpt-4 mapped to one of its recordings."""
    urls = {
        variable: value
        for variable, value in provider_urls(replay_server.url).items()
        if variable.startswith("ANTHROPIC")
    }
    return {**urls, "MODEL_MAP": f"gpt-4=anthropic/{recording_id}"}


def test_echo_responds_to_the_curl_commands(shared_folder, echo_gateway):
    commands = curl_commands(shared_folder)
    assert len(commands) >= 5
    for command in commands:
        stream = '"stream"' in command
        text = response_text(run(["bash", "-c", command.replace("curl ", "curl -sSf ", 1)], echo_gateway), stream)
        assert "stand-in" in text


def test_anthropic_responds_to_the_curl_commands(shared_folder, anthropic_gateways):
    for command in curl_commands(shared_folder):
        stream = '"stream"' in command
        assert response_text(
            run(["bash", "-c", command.replace("curl ", "curl -sSf ", 1)], anthropic_gateways[stream]), stream
        )


def test_a_gateway_with_keys_accepts_the_key_of_the_tutorial_and_rejects_calls_without_a_key(
    shared_folder, gateway_with_keys
):
    for command in curl_commands(shared_folder):
        response = run(["bash", "-c", command.replace("curl ", "curl -sS ", 1)], gateway_with_keys)
        if "sk-test-123" in command:
            assert response_text(response, stream=False)
        else:
            assert json.loads(response)["error"]["code"] == "invalid_api_key"


def fetch_scripts(shared_folder):
    """Return the fetch() scripts of the tutorial, each with whether it requests a stream."""
    return [
        (script, "stream: true" in script) for script in code_blocks(shared_folder, "typescript", f"fetch('{ADDRESS}")
    ]


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_echo_responds_to_the_fetch_scripts(shared_folder, echo_gateway):
    scripts = fetch_scripts(shared_folder)
    assert {stream for _, stream in scripts} == {False, True}
    for script, _ in scripts:
        assert "stand-in" in run(["node", "--input-type=module", "-e", script], echo_gateway)


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_anthropic_responds_to_the_fetch_scripts(shared_folder, anthropic_gateways):
    for script, stream in fetch_scripts(shared_folder):
        assert run(["node", "--input-type=module", "-e", script], anthropic_gateways[stream]).strip()


def test_requests_that_the_validation_of_the_tutorial_rejects_are_accepted(echo_gateway):
    """The roles developer and tool, and null content beside tool calls, which the code of the tutorial rejects."""
    tool_call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": [tool_call]},
        {"role": "tool", "tool_call_id": "c", "content": "7"},
    ]
    body = json.dumps({"model": "gpt-4", "messages": messages})
    response = run(
        ["curl", "-sSf", f"{ADDRESS}/v1/chat/completions", "-H", "Content-Type: application/json", "-d", body],
        echo_gateway,
    )
    assert response_text(response, stream=False)
