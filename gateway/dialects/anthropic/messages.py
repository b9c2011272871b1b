"""OpenAI's messages as Anthropic's system prompt and turns."""

import re
from collections.abc import Mapping
from itertools import count, groupby
from typing import NamedTuple

from gateway import json_codec
from gateway.dialects.anthropic.content_parts import Piece, blocks, cached, texts
from gateway.errors import InvalidRequest
from gateway.openai_types import Chat, Json

SYSTEM = ("system", "developer")
RESULTS = ("tool", "function")
UNSAFE = re.compile(r"[^a-zA-Z0-9_-]")
THOUGHTS = ("thinking", "redacted_thinking")
DEEPEST = 200
"""Levels of a call's arguments: with the levels around them there is an end to what JSON can hold."""
Position = tuple[int, int]
"""The index of a message, and of a call in it; a result's is (message, 0)."""


class Dialogue(NamedTuple):
    """`bare`: the last turn carries on an answer that does not begin with its thoughts, so that it can't think on."""

    system: list[Json]
    turns: list[Json]
    bare: bool
    dropped: tuple[str, ...]


def dialogue(chat: Chat) -> Dialogue:
    """
    The whole conversation: system and developer texts first, neighbours of one role joined, results before all else.

    Raises InvalidRequest: a call without its result, a result without its call, nothing said at all.
    """
    messages = chat["messages"]
    ids = call_ids(messages)
    pieces = [
        (_role(message), piece)
        for n, message in enumerate(messages)
        for piece in _cached(message, _pieces(message, n, ids), f"messages[{n}]")
    ]
    said = [(role, piece.body) for role, piece in pieces if piece.body]
    system = [block for role, block in said if role == "system"]
    joined = groupby((pair for pair in said if pair[0] != "system"), key=lambda pair: pair[0])
    turns = [_turn(role, [block for _, block in pairs]) for role, pairs in joined]
    if not turns and not system:
        raise InvalidRequest("The messages say nothing.", param="messages")
    if not turns:  # the API wants a turn to answer
        system, turns = [], [{"role": "user", "content": system}]
    dropped = tuple(path for _, piece in pieces for path in piece.dropped)
    return Dialogue(system, [*turns[:-1], _last(turns[-1])], _bare(turns), dropped)


def _role(message: Json) -> str:
    role: str = message["role"]
    return "system" if role in SYSTEM else "assistant" if role == "assistant" else "user"


def _turn(role: str, said: list[Json]) -> Json:
    return {"role": role, "content": sorted(said, key=lambda one: role == "user" and one["type"] != "tool_result")}


def _last(turn: Json) -> Json:
    """The API refuses an answer that ends with white space where it is to be carried on."""
    *before, block = turn["content"]
    if turn["role"] != "assistant" or block["type"] != "text":
        return turn
    return {**turn, "content": [*before, {**block, "text": block["text"].rstrip()}]}


def _bare(turns: list[Json]) -> bool:
    *_, before, last = [{}, *turns]
    if last["role"] == "assistant":
        return True
    results = any(block["type"] == "tool_result" for block in last["content"])
    return results and before["content"][0]["type"] not in THOUGHTS


def _cached(message: Json, pieces: list[Piece], path: str) -> list[Piece]:
    """A breakpoint on a message is one after its last block."""
    if not cached(message):
        return pieces
    *before, (block, dropped) = pieces or [Piece({})]
    if block.get("type") in (None, *THOUGHTS) or "cache_control" in block:
        return [*pieces, Piece({}, (f"{path}.cache_control",))]
    return [*before, Piece({**block, **cached(message)}, dropped)]


def _pieces(message: Json, n: int, ids: Mapping[Position, str]) -> list[Piece]:
    path = f"messages[{n}]"
    content = blocks(message.get("content"), f"{path}.content")
    match message["role"]:
        case "assistant":
            calls = [_call(call, ids[n, k]) for k, (call, _) in enumerate(_calls(message, path))]
            return [*_thoughts(message, path), *content, *texts([message.get("refusal")]), *calls]
        case "tool" | "function":
            dropped = tuple(path for piece in content for path in piece.dropped)
            said = {"content": [piece.body for piece in content]} if content else {}
            failed = {"is_error": message["is_error"]} if message.get("is_error") is not None else {}
            return [Piece({"type": "tool_result", "tool_use_id": ids[n, 0], **said, **failed}, dropped)]
        case _:
            return content


def _thoughts(message: Json, path: str) -> list[Piece]:
    """The thoughts that a former answer gave with their signatures; without, the API refuses them."""
    given = message.get("thinking_blocks") or []
    listed = given if isinstance(given, list) else [given]
    said = [_thought(block, f"{path}.thinking_blocks[{k}]") for k, block in enumerate(listed)]
    if message.get("reasoning_content") and not any(piece.body for piece in said):
        return [*said, Piece({}, (f"{path}.reasoning_content",))]
    return said


def _thought(block: Json, path: str) -> Piece:
    match block:
        case {"type": "thinking", "thinking": str() as text, "signature": str() as signature} if signature:
            return Piece({"type": "thinking", "thinking": text, "signature": signature})
        case {"type": "redacted_thinking", "data": str() as data}:
            return Piece({"type": "redacted_thinking", "data": data})
        case _:
            return Piece({}, (path,))


def _calls(message: Json, path: str) -> list[tuple[Json, str]]:
    """A message's calls, of either form, each with its path."""
    calls = [(call, f"{path}.tool_calls[{k}]") for k, call in enumerate(message.get("tool_calls") or ())]
    legacy = message.get("function_call")
    return [*calls, ({"function": legacy}, f"{path}.function_call")] if legacy else calls


def _call(call: Json, ident: str) -> Piece:
    said = call.get("function") or {}
    if "custom" in call:
        said, given = call["custom"], {"input": call["custom"]["input"]}
    else:
        given = _arguments(said.get("arguments"))
    return Piece({"type": "tool_use", "id": ident, "name": said["name"], "input": given, **cached(call)})


def _arguments(text: str | None) -> Json:
    """A call's arguments; a text that isn't a JSON object (a call that was cut short) is shown as it is."""
    if not text or not text.strip():
        return {}
    try:
        value = json_codec.loads(text.encode())
    except ValueError:
        value = text
    if value is None:
        return {}
    return value if isinstance(value, dict) and not _deeper(value, DEEPEST) else {"arguments": text}


def _deeper(value: object, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels == 0 or any(_deeper(one, levels - 1) for one in inner)


class _Open(NamedTuple):
    """A call that waits for its result, and its id upstream."""

    call: Json
    ident: str
    path: str

    def knows(self, result: Json) -> bool:
        """A legacy result says the function's name, for want of an id."""
        if result["role"] == "tool":
            return bool(self.call.get("id") == result.get("tool_call_id"))
        return bool((self.call.get("function") or self.call.get("custom") or {}).get("name") == result.get("name"))


def call_ids(messages: list[Json]) -> dict[Position, str]:
    """
    The ids that calls and results have upstream: unlike OpenAI's they are never alike and have few characters.

    Results answer the calls of the turn before; of calls with one id, the first that has no result yet.
    """
    ids: dict[Position, str] = {}
    waiting: list[_Open] = []
    before = ""
    for n, message in enumerate(messages):
        role, path = message["role"], f"messages[{n}]"
        if role == "assistant":
            if before != "assistant":
                _none(waiting)
            for k, (call, where) in enumerate(_calls(message, path)):
                ids[n, k] = _fresh(call.get("id") or "", ids)
                waiting = [*waiting, _Open(call, ids[n, k], where)]
        elif role in RESULTS:
            answered = _answered(message, waiting, path)
            waiting = [one for one in waiting if one is not answered]
            ids[n, 0] = answered.ident
        before = before if role in SYSTEM else role
    _none(waiting)
    return ids


def _answered(message: Json, waiting: list[_Open], path: str) -> _Open:
    for one in waiting:
        if one.knows(message):
            return one
    field = "tool_call_id" if message["role"] == "tool" else "name"
    raise InvalidRequest(
        f"The result answers no call of the assistant message before it: {message.get(field)!r}.",
        param=f"{path}.{field}",
    )


def _none(waiting: list[_Open]) -> None:
    for one in waiting:
        raise InvalidRequest("A call must be followed by its result.", param=one.path)


def _fresh(ident: str, ids: Mapping[Position, str]) -> str:
    """An id that no other call has, the client's own where it can be."""
    clean = UNSAFE.sub("_", ident) or "call"
    taken = set(ids.values())
    tries = (clean if n == 1 else f"{clean}_{n}" for n in count(1))
    return next(one for one in tries if one not in taken)
