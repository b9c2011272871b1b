"""The tutorial's own calls, verbatim but for the port."""

import json
import re
import shutil
import subprocess

import pytest

from tests.support import servers
from tests.support.environment import provider_urls

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")

ADDRESS = "http://localhost:3000"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(shared, language, needle):
    written = (shared / "tutorial.md").read_text(encoding="utf-8")
    found = [text for kind, text in BLOCK.findall(written) if kind == language and needle in text]
    assert found, "the tutorial has changed"
    return found


def calls(shared):
    """Its curl commands, one by one."""
    written = "".join(blocks(shared, "bash", f" {ADDRESS}/v1/chat/completions"))
    return [
        command for command in re.split(r"^(?=curl |#)", written, flags=re.MULTILINE) if command.startswith("curl ")
    ]


def run(command, server, **options):
    """What a command says, its port being the server's."""
    ours = [part.replace(ADDRESS, server.url) for part in command]
    done = subprocess.run(ours, capture_output=True, timeout=60, check=True, text=True, **options)
    return done.stdout


def said(answer, streams):
    """The text of an answer, after a look at its form."""
    if not streams:
        return json.loads(answer)["choices"][0]["message"]["content"]
    *frames, done, rest = answer.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    chunks = [json.loads(frame.removeprefix("data: ")) for frame in frames]
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


@pytest.fixture(scope="module")
def closed(worker_class, folder):
    """A gateway with the keys of the tutorial's `.env`."""
    keys = "sk-test-123,sk-test-456"
    with servers.gateway(
        folder / f"tutorial-{worker_class}", VALID_API_KEYS=keys, GATEWAY_WORKER_CLASS=worker_class
    ) as server:
        yield server


@pytest.fixture(scope="module")
def claude(worker_class, folder, replay, pick):
    """By whether it streams: a gateway that answers gpt-4 with a recording of Anthropic's."""
    odd = (
        "suspect-handmade",
        "no-request",
        "server-tools",
        "refusal",
        "error-in-stream",
        "finish:tool",
        "thinking/reasoning",
    )
    with (
        servers.gateway(
            folder / f"claude-plain-{worker_class}",
            GATEWAY_WORKER_CLASS=worker_class,
            **replaying(replay, pick("anthropic", "nonstream", "finish:stop", but=odd)[0]),
        ) as plain,
        servers.gateway(
            folder / f"claude-stream-{worker_class}",
            GATEWAY_WORKER_CLASS=worker_class,
            **replaying(replay, pick("anthropic", "stream", "finish:stop", but=odd)[0]),
        ) as streamed,
    ):
        yield {False: plain, True: streamed}


def replaying(replay, name):
    """Anthropic alone, gpt-4 being one of its recordings."""
    ours = {
        variable: value for variable, value in provider_urls(replay.url).items() if variable.startswith("ANTHROPIC")
    }
    return {**ours, "MODEL_MAP": f"gpt-4=anthropic/{name}"}


def test_its_curl_calls_are_answered_by_echo(shared, echo):
    found = calls(shared)
    assert len(found) >= 5
    for call in found:
        streams = '"stream"' in call
        text = said(run(["bash", "-c", call.replace("curl ", "curl -sSf ", 1)], echo), streams)
        assert "stand-in" in text


def test_its_curl_calls_are_answered_by_anthropic(shared, claude):
    for call in calls(shared):
        streams = '"stream"' in call
        assert said(run(["bash", "-c", call.replace("curl ", "curl -sSf ", 1)], claude[streams]), streams)


def test_its_key_opens_a_closed_gateway_and_no_key_does_not(shared, closed):
    for call in calls(shared):
        answer = run(["bash", "-c", call.replace("curl ", "curl -sS ", 1)], closed)
        if "sk-test-123" in call:
            assert said(answer, streams=False)
        else:
            assert json.loads(answer)["error"]["code"] == "invalid_api_key"


def clients(shared):
    return [(script, "stream: true" in script) for script in blocks(shared, "typescript", f"fetch('{ADDRESS}")]


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_its_fetch_clients_hear_echo(shared, echo):
    found = clients(shared)
    assert {streams for _, streams in found} == {False, True}
    for script, _ in found:
        assert "stand-in" in run(["node", "--input-type=module", "-e", script], echo)


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_its_fetch_clients_hear_anthropic(shared, claude):
    for script, streams in clients(shared):
        assert run(["node", "--input-type=module", "-e", script], claude[streams]).strip()


def test_what_its_validation_forbids_is_taken(echo):
    """Roles developer and tool, and null content beside tool calls: the tutorial's own code refuses them."""
    called = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "c", "content": "7"},
    ]
    body = json.dumps({"model": "gpt-4", "messages": messages})
    answer = run(
        ["curl", "-sSf", f"{ADDRESS}/v1/chat/completions", "-H", "Content-Type: application/json", "-d", body], echo
    )
    assert said(answer, streams=False)
