"""
The built-in model: a stand-in that answers at once, the same every time, and says that it is one.

Pure: an OpenAI completion for an OpenAI request, and its chunks. It calls a tool when `tool_choice` forces one, fills
a JSON schema, honours `stop`, `n` and the token limits, and counts usage.
"""

import base64
import hashlib
import random
import re
from array import array
from collections.abc import Iterator
from typing import Any

from gateway import token_estimate
from gateway.echo.schema_sample import sample
from gateway.json_codec import dumps
from gateway.openai_types import Chat, Chunk, Completion, Json

MODEL = "echo"
DIMENSIONS = 1536
MOST_NUMBERS = 4 << 20
"""In all the embeddings of one answer."""
MOST_SAID = 4000
"""Characters of a message that it repeats."""


class Refused(ValueError):
    """A request that is too much for a stand-in; `param` is its path."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.param = param


def completion(chat: Chat, ident: str, created: int) -> Completion:
    message, finish = _message(chat)
    said = message["content"] or dumps(message).decode()
    prompt, n = token_estimate.of_prompt(chat), chat.get("n") or 1
    used = token_estimate.usage(prompt, n * token_estimate.count(said))
    return {
        "id": ident,
        "object": "chat.completion",
        "created": created,
        "model": MODEL,
        "choices": [
            {"index": index, "message": message, "logprobs": None, "finish_reason": finish} for index in range(n)
        ],
        "usage": {name: value for name, value in used.items() if name != "estimated"},
    }


def chunks(chat: Chat, ident: str, created: int) -> Iterator[Chunk]:
    """The same answer, word by word; the usage comes last."""
    whole = completion(chat, ident, created)
    frame = {**whole, "object": "chat.completion.chunk"}
    used = frame.pop("usage")
    for choice in whole["choices"]:
        for delta, finish in _deltas(choice):
            told = {"index": choice["index"], "delta": delta, "logprobs": None, "finish_reason": finish}
            yield {**frame, "choices": [told]}
    yield {**frame, "choices": [], "usage": used}


def embeddings(asked: Json) -> Json:
    """Unit vectors that depend on the input alone."""
    given = asked["input"]
    inputs = given if isinstance(given, list) and not isinstance(given[0], int | float) else [given]
    dimensions = asked.get("dimensions") or DIMENSIONS
    if len(inputs) * dimensions > MOST_NUMBERS:
        raise Refused(
            f"echo makes at most {MOST_NUMBERS} numbers at once.", "dimensions" if len(inputs) == 1 else "input"
        )
    vectors = [_vector(dumps(one), dimensions) for one in inputs]
    used = sum(len(one) if isinstance(one, list) else token_estimate.count(one) for one in inputs)
    coded = [base64.b64encode(v.tobytes()).decode() for v in vectors]
    listed = coded if asked.get("encoding_format") == "base64" else [v.tolist() for v in vectors]
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": n, "embedding": one} for n, one in enumerate(listed)],
        "model": MODEL,
        "usage": {"prompt_tokens": used, "total_tokens": used},
    }


def _vector(text: bytes, dimensions: int) -> "array[float]":
    dice = random.Random(hashlib.sha256(text).digest())  # noqa: S311 - no secret
    values = array("i", dice.randbytes(4 * dimensions))
    length = sum(value * value for value in values) ** 0.5 or 1.0
    return array("f", [value / length for value in values])


def _message(chat: Chat) -> tuple[Json, str]:
    """The assistant's message and how it ended."""
    forced = _forced(chat)
    if forced:
        return forced
    text, finish = _cut(_text(chat), chat)
    return {"role": "assistant", "content": text, "refusal": None}, finish


def _forced(chat: Chat) -> tuple[Json, str] | None:
    """A call of the tool that the client insists on."""
    tools = {_function(tool)["name"]: tool for tool in chat.get("tools") or ()}
    functions = {function["name"]: function for function in chat.get("functions") or ()}
    silent = {"role": "assistant", "content": None, "refusal": None}
    match chat.get("tool_choice") or chat.get("function_call"):
        case "required" if tools:
            name = next(iter(tools))
        case {"type": "function", "function": {"name": str(name)}} | {"type": "custom", "custom": {"name": str(name)}}:
            pass
        case {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [first, *_]}}:
            name = _function(first).get("name", "")
        case {"name": name}:
            function = functions.get(name, {})
            called = {"name": name, "arguments": _arguments(function)}
            return {**silent, "function_call": called}, "function_call"
        case _:
            return None
    tool = tools.get(name, {"type": "function", "function": {"name": name}})
    return {**silent, "tool_calls": [_call(tool, name)]}, "tool_calls"


def _function(tool: Json) -> Json:
    found = tool.get("function") or tool.get("custom") or tool
    return found if isinstance(found, dict) else {}


def _call(tool: Json, name: str) -> Json:
    ident = "call_echo_" + hashlib.sha256(name.encode()).hexdigest()[:12]
    if tool.get("type") == "custom":
        return {"id": ident, "type": "custom", "custom": {"name": name, "input": "echo"}}
    return {"id": ident, "type": "function", "function": {"name": name, "arguments": _arguments(_function(tool))}}


def _arguments(function: Json) -> str:
    return _filled(function.get("parameters") or {"type": "object"}, "tools")


def _filled(schema: Any, param: str) -> str:
    """JSON that fits a schema."""
    try:
        return dumps(sample(schema)).decode()
    except (ValueError, TypeError) as error:
        raise Refused(f"echo cannot fill this schema: {error}.", param) from error


def _text(chat: Chat) -> str:
    said = _last(chat)
    match chat.get("response_format"):
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
            return _filled(schema, "response_format")
        case {"type": "json_object" | "json_schema"}:
            return dumps({"model": "echo, a stand-in", "you_said": said}).decode()
    return f"This is echo, Pointsman's built-in stand-in for a model. You said: {said}"


def _last(chat: Chat) -> str:
    """The text of the last message."""
    content = chat["messages"][-1].get("content")
    if isinstance(content, list):
        content = " ".join(part.get("text") or f"[{part['type']}]" for part in content)
    return (content or "")[:MOST_SAID]


def _cut(text: str, chat: Chat) -> tuple[str, str]:
    """The text up to a stop sequence or the token limit, and how that ended."""
    stop = chat.get("stop") or []
    ends = [at for word in ([stop] if isinstance(stop, str) else stop) if word and (at := text.find(word)) >= 0]
    text = text[: min(ends)] if ends else text
    most = chat.get("max_completion_tokens") or chat.get("max_tokens")
    if most and token_estimate.count(text) > most:
        return text.encode()[: most * token_estimate.BYTES_PER_TOKEN].decode("utf-8", "ignore"), "length"
    return text, "stop"


def _deltas(choice: Json) -> Iterator[tuple[Json, str | None]]:
    message = choice["message"]
    yield {"role": "assistant", "content": "" if message["content"] is not None else None, "refusal": None}, None
    for word in re.findall(r"\s*\S+\s*$|\s*\S+", message["content"] or ""):
        yield {"content": word}, None
    for name in ("tool_calls", "function_call"):
        if name in message:
            yield (
                {
                    name: [{**call, "index": n} for n, call in enumerate(message[name])]
                    if name == "tool_calls"
                    else message[name]
                },
                None,
            )
    yield {}, choice["finish_reason"]
