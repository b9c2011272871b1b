"""Read the recordings of the shared folder without the gateway's code."""

import json

import requests

PROVIDERS = ("openai", "anthropic")
SAMPLE_SIZE = 4
MESSAGES = [{"role": "user", "content": "hello"}]
# Tags of recordings that a test of usual responses excludes.
SPECIAL_TAGS = (
    "suspect-handmade",
    "no-request",
    "server-tools",
    "refusal",
    "error-in-stream",
    "n>1",
    "legacy-functions",
)


def events(recording):
    """Return the data of a recorded stream's events."""
    lines = recording["response"]["body"].splitlines()
    data = [line.removeprefix("data:").strip() for line in lines if line.startswith("data:")]
    return [json.loads(value) for value in data if value != "[DONE]"]


def recorded_text(recording):
    """Return the text of a recorded response, plain or streamed."""
    is_openai, is_stream = recording["provider"] != "anthropic", "stream" in recording["tags"]
    if is_stream and is_openai:
        choices = [choice for event in events(recording) for choice in event.get("choices") or ()]
        return "".join(choice["delta"].get("content") or "" for choice in choices if choice["index"] == 0)
    if is_stream:
        return "".join(event["delta"].get("text", "") for event in events(recording) if "delta" in event)
    body = json.loads(recording["response"]["body"])
    if is_openai:
        return body["choices"][0]["message"]["content"]
    return "".join(block["text"] for block in body["content"] if block["type"] == "text")


def recorded_reasoning(recording):
    """Return the reasoning text of a recorded response, plain or streamed."""
    is_stream = "stream" in recording["tags"]
    if recording["provider"] == "anthropic":
        blocks = (
            [event.get("delta", {}) for event in events(recording)]
            if is_stream
            else json.loads(recording["response"]["body"])["content"]
        )
        return "".join(block.get("thinking", "") for block in blocks)
    choices = (
        [choice for event in events(recording) for choice in event.get("choices") or ()]
        if is_stream
        else json.loads(recording["response"]["body"])["choices"]
    )
    messages = [choice.get("delta") or choice.get("message") or {} for choice in choices]
    return "".join(message.get("reasoning_content") or message.get("reasoning") or "" for message in messages)


def recorded_tool_names(recording):
    """Return the names of the tools that a recorded plain response calls."""
    body = json.loads(recording["response"]["body"])
    if recording["provider"] == "anthropic":
        return [block["name"] for block in body["content"] if block["type"] == "tool_use"]
    return [call["function"]["name"] for call in body["choices"][0]["message"]["tool_calls"]]


def create_completion(client, model, **fields):
    """Call the OpenAI SDK with default messages."""
    return client.chat.completions.create(model=model, messages=fields.pop("messages", MESSAGES), **fields)


def replayed_calls(replay_server, model):
    """Return the calls that the replay server logged for a model."""
    calls = requests.get(f"{replay_server.url}/__log", timeout=10).json()
    return [call for call in calls if call["body"] and call["body"]["model"] == model]  # a health probe has no body
