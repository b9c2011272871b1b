"""What the recordings of the shared folder say, read without the gateway."""

import json

import requests

PROVIDERS = ("openai", "anthropic")
SEVERAL = 4
MESSAGES = [{"role": "user", "content": "hello"}]
ODD = ("suspect-handmade", "no-request", "server-tools", "refusal", "error-in-stream", "n>1", "legacy-functions")
"""Tags of recordings that no plain test is about."""


def events(recording):
    """The data of a recorded stream."""
    lines = recording["response"]["body"].splitlines()
    data = [line.removeprefix("data:").strip() for line in lines if line.startswith("data:")]
    return [json.loads(one) for one in data if one != "[DONE]"]


def told(recording):
    """The text of a recorded answer."""
    openai_like, streamed = recording["provider"] != "anthropic", "stream" in recording["tags"]
    if streamed and openai_like:
        choices = [choice for event in events(recording) for choice in event.get("choices") or ()]
        return "".join(choice["delta"].get("content") or "" for choice in choices if choice["index"] == 0)
    if streamed:
        return "".join(event["delta"].get("text", "") for event in events(recording) if "delta" in event)
    body = json.loads(recording["response"]["body"])
    if openai_like:
        return body["choices"][0]["message"]["content"]
    return "".join(block["text"] for block in body["content"] if block["type"] == "text")


def thought(recording):
    """The reasoning of a recorded answer, as text."""
    streamed = "stream" in recording["tags"]
    if recording["provider"] == "anthropic":
        blocks = (
            [event.get("delta", {}) for event in events(recording)]
            if streamed
            else json.loads(recording["response"]["body"])["content"]
        )
        return "".join(block.get("thinking", "") for block in blocks)
    choices = (
        [choice for event in events(recording) for choice in event.get("choices") or ()]
        if streamed
        else json.loads(recording["response"]["body"])["choices"]
    )
    parts = [choice.get("delta") or choice.get("message") or {} for choice in choices]
    return "".join(part.get("reasoning_content") or part.get("reasoning") or "" for part in parts)


def called(recording):
    """The names of the tools that a recorded whole answer calls."""
    body = json.loads(recording["response"]["body"])
    if recording["provider"] == "anthropic":
        return [block["name"] for block in body["content"] if block["type"] == "tool_use"]
    return [call["function"]["name"] for call in body["choices"][0]["message"]["tool_calls"]]


def ask(client, model, **more):
    return client.chat.completions.create(model=model, messages=more.pop("messages", MESSAGES), **more)


def log_of(replay, model):
    """What the replay server was asked for a model."""
    calls = requests.get(f"{replay.url}/__log", timeout=10).json()
    return [call for call in calls if call["body"]["model"] == model]
