"""
The built-in model, a stand-in that responds at once, the same every time, and says that it is one.

Pure: an OpenAI completion for an OpenAI request, and its chunks. It calls a tool when `tool_choice` forces one, fills
a JSON schema, honours `stop`, `n` and the token limits, and counts usage.
https://platform.openai.com/docs/api-reference/chat
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
# As many as OpenAI's text-embedding-3-small has.
DIMENSIONS = 1536
# Numbers in all the embeddings of one response.
MAX_NUMBERS = 4 << 20
# Characters of a tool's name; a response with n choices has it n times.
MAX_NAME = 256
# Characters of a message that are repeated.
MAX_REPEATED = 4000


class Refused(ValueError):
    """The request asks for more than is made here; `param` is the path of the field."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.param = param


def completion(chat: Chat, ident: str, created: int) -> Completion:
    message, finish_reason = _message(chat)
    text = message["content"] or dumps(message).decode()
    prompt_tokens, n = token_estimate.of_prompt(chat), chat.get("n") or 1
    usage = token_estimate.usage(prompt_tokens, n * token_estimate.count(text))
    return {
        "id": ident,
        "object": "chat.completion",
        "created": created,
        "model": MODEL,
        "choices": [
            {"index": index, "message": message, "logprobs": None, "finish_reason": finish_reason} for index in range(n)
        ],
        "usage": {name: value for name, value in usage.items() if name != "estimated"},
    }


def chunks(chat: Chat, ident: str, created: int) -> Iterator[Chunk]:
    """The same completion, word by word; the usage comes last, in a chunk without choices."""
    whole = completion(chat, ident, created)
    frame = {**whole, "object": "chat.completion.chunk"}
    usage = frame.pop("usage")
    for choice in whole["choices"]:
        for delta, finish_reason in _deltas(choice):
            part = {"index": choice["index"], "delta": delta, "logprobs": None, "finish_reason": finish_reason}
            yield {**frame, "choices": [part]}
    yield {**frame, "choices": [], "usage": usage}


def embeddings(request: Json) -> Json:
    """Unit vectors that depend on the input alone."""
    # The input is a text, a list of tokens, or a list of either.
    value = request["input"]
    inputs = value if isinstance(value, list) and not isinstance(value[0], int | float) else [value]
    dimensions = request.get("dimensions") or DIMENSIONS
    if len(inputs) * dimensions > MAX_NUMBERS:
        raise Refused(
            f"echo makes at most {MAX_NUMBERS} numbers at once.", "dimensions" if len(inputs) == 1 else "input"
        )
    vectors = [_vector(dumps(item), dimensions) for item in inputs]
    tokens = sum(len(item) if isinstance(item, list) else token_estimate.count(item) for item in inputs)
    if request.get("encoding_format") == "base64":
        encoded: list[Any] = [base64.b64encode(vector.tobytes()).decode() for vector in vectors]
    else:
        encoded = [vector.tolist() for vector in vectors]
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(encoded)],
        "model": MODEL,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _vector(text: bytes, dimensions: int) -> "array[float]":
    generator = random.Random(hashlib.sha256(text).digest())  # noqa: S311 - no secret
    values = array("i", generator.randbytes(4 * dimensions))
    length = sum(value * value for value in values) ** 0.5 or 1.0
    return array("f", [value / length for value in values])


def _message(chat: Chat) -> tuple[Json, str]:
    """The assistant's message and its finish_reason."""
    forced = _forced_call(chat)
    if forced:
        return forced
    text, finish_reason = _truncate(_text(chat), chat)
    return {"role": "assistant", "content": text, "refusal": None}, finish_reason


def _forced_call(chat: Chat) -> tuple[Json, str] | None:
    """The message and finish_reason of the tool call that the request forces, if it does."""
    tools = {_function(tool)["name"]: tool for tool in chat.get("tools") or ()}
    functions = {function["name"]: function for function in chat.get("functions") or ()}
    message = {"role": "assistant", "content": None, "refusal": None}
    match chat.get("tool_choice") or chat.get("function_call"):
        case "required" if tools:
            name = next(iter(tools))
        case {"type": "function", "function": {"name": str(name)}} | {"type": "custom", "custom": {"name": str(name)}}:
            pass
        case {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [first, *_]}}:
            name = _function(first).get("name", "")
        case {"name": name}:  # the deprecated function_call
            function = functions.get(name, {})
            call = {"name": name[:MAX_NAME], "arguments": _arguments(function)}
            return {**message, "function_call": call}, "function_call"
        case _:
            return None
    if len(name) > MAX_NAME:
        raise Refused(f"echo calls no tool with a name of more than {MAX_NAME} characters.", "tool_choice")
    tool = tools.get(name, {"type": "function", "function": {"name": name}})
    return {**message, "tool_calls": [_tool_call(tool, name)]}, "tool_calls"


def _function(tool: Json) -> Json:
    function = tool.get("function") or tool.get("custom") or tool
    return function if isinstance(function, dict) else {}


def _tool_call(tool: Json, name: str) -> Json:
    ident = "call_echo_" + hashlib.sha256(name.encode()).hexdigest()[:12]
    if tool.get("type") == "custom":
        return {"id": ident, "type": "custom", "custom": {"name": name, "input": "echo"}}
    return {"id": ident, "type": "function", "function": {"name": name, "arguments": _arguments(_function(tool))}}


def _arguments(function: Json) -> str:
    return _fill(function.get("parameters") or {"type": "object"}, "tools")


def _fill(schema: Any, param: str) -> str:
    """JSON that is valid under a schema."""
    try:
        return dumps(sample(schema)).decode()
    except (ArithmeticError, TypeError, ValueError) as error:
        raise Refused(f"echo cannot fill this schema: {error}.", param) from error


def _text(chat: Chat) -> str:
    repeated = _last_text(chat)
    match chat.get("response_format"):
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
            return _fill(schema, "response_format")
        case {"type": "json_object" | "json_schema"}:
            return dumps({"model": "echo, a stand-in", "you_said": repeated}).decode()
    return f"This is echo, Pointsman's built-in stand-in for a model. You said: {repeated}"


def _last_text(chat: Chat) -> str:
    """The text of the last message."""
    content = chat["messages"][-1].get("content")
    if isinstance(content, list):
        content = " ".join(part.get("text") or f"[{part['type']}]" for part in content)
    return (content or "")[:MAX_REPEATED]


def _truncate(text: str, chat: Chat) -> tuple[str, str]:
    """The text up to a stop sequence or the token limit, and the finish_reason."""
    stop = chat.get("stop") or []
    ends = [end for word in ([stop] if isinstance(stop, str) else stop) if word and (end := text.find(word)) >= 0]
    text = text[: min(ends)] if ends else text
    max_tokens = chat.get("max_completion_tokens") or chat.get("max_tokens")
    if max_tokens and token_estimate.count(text) > max_tokens:
        return text.encode()[: max_tokens * token_estimate.BYTES_PER_TOKEN].decode("utf-8", "ignore"), "length"
    return text, "stop"


def _deltas(choice: Json) -> Iterator[tuple[Json, str | None]]:
    """The deltas of a choice, as OpenAI streams them: the role, the parts, and an empty one with the finish_reason."""
    message = choice["message"]
    yield {"role": "assistant", "content": "" if message["content"] is not None else None, "refusal": None}, None
    for word in re.findall(r"\s*\S+\s*$|\s*\S+", message["content"] or ""):
        yield {"content": word}, None
    if "tool_calls" in message:
        yield {"tool_calls": [{**call, "index": index} for index, call in enumerate(message["tool_calls"])]}, None
    if "function_call" in message:
        yield {"function_call": message["function_call"]}, None
    yield {}, choice["finish_reason"]
