"""
OpenAI's messages as Anthropic's system prompt and turns.

https://platform.claude.com/docs/en/api/messages; quotations without a page are the API's own error messages.
"""

import re
from collections import defaultdict, deque
from collections.abc import Mapping
from itertools import groupby
from typing import Any, NamedTuple

from gateway import json_codec
from gateway.dialects.anthropic.content_parts import (
    MAX_QUOTED,
    THINKING_BLOCKS,
    Translated,
    cache_control,
    content_blocks,
    text_blocks,
)
from gateway.errors import InvalidRequest
from gateway.openai_types import Chat, Json

SYSTEM_ROLES = ("system", "developer")
RESULT_ROLES = ("tool", "function")
# "String should match pattern '^[a-zA-Z0-9_-]+$'"
INVALID_IN_ID = re.compile(r"[^a-zA-Z0-9_-]")
# Levels in a call's arguments. orjson writes 254 levels at most, those of the request around the arguments included.
MAX_DEPTH = 200
# The index of a message, and of a call in it; a result's is (message, 0).
Position = tuple[int, int]


class Conversation(NamedTuple):
    """`lacks_thinking`: the last turn continues an assistant turn that does not begin with its thinking blocks."""

    system: list[Json]
    turns: list[Json]
    lacks_thinking: bool
    dropped: tuple[str, ...]


def translate_messages(chat: Chat) -> Conversation:
    """
    The chat's messages. System and developer messages, wherever they stand, make the system prompt.

    Raises InvalidRequest for a call without a result, a result without a call, and messages without any content.
    """
    messages = chat["messages"]
    ids = tool_use_ids(messages)
    translated = [
        (_turn_role(message), block)
        for n, message in enumerate(messages)
        for block in _with_cache_control(message, _message_blocks(message, n, ids), f"messages[{n}]")
    ]
    blocks = [(role, block.fields) for role, block in translated if block.fields]
    system = [block for role, block in blocks if role == "system"]
    # "Consecutive user or assistant turns in your request will be combined into a single turn". That is done here,
    # so that the results of parallel calls can come first in their turn.
    by_turn = groupby((pair for pair in blocks if pair[0] != "system"), key=lambda pair: pair[0])
    turns = [_turn(role, [block for _, block in pairs]) for role, pairs in by_turn]
    if not turns and not system:
        raise InvalidRequest("The messages have no content.", param="messages")
    if not turns:
        # "messages: at least one message is required"
        system, turns = [], [{"role": "user", "content": system}]
    dropped = tuple(path for _, block in translated for path in block.dropped)
    return Conversation(system, [*turns[:-1], _without_trailing_space(turns[-1])], _lacks_thinking(turns), dropped)


def _turn_role(message: Json) -> str:
    role: str = message["role"]
    return "system" if role in SYSTEM_ROLES else "assistant" if role == "assistant" else "user"


def _turn(role: str, blocks: list[Json]) -> Json:
    # "In the user message containing tool results, the tool_result blocks must come first in the content array":
    # https://platform.claude.com/docs/en/agents-and-tools/tool-use/handle-tool-calls
    content = sorted(blocks, key=lambda block: role == "user" and block["type"] != "tool_result")
    return {"role": role, "content": content}


def _without_trailing_space(turn: Json) -> Json:
    # "messages: final assistant content cannot end with trailing whitespace"
    *before, block = turn["content"]
    if turn["role"] != "assistant" or block["type"] != "text":
        return turn
    return {**turn, "content": [*before, {**block, "text": block["text"].rstrip()}]}


def _lacks_thinking(turns: list[Json]) -> bool:
    # "When `thinking` is enabled, a final `assistant` message must start with a thinking block". A turn with tool
    # results continues the assistant turn before it.
    *_, before, last = [{}, *turns]
    if last["role"] == "assistant":
        return True
    has_results = any(block["type"] == "tool_result" for block in last["content"])
    return has_results and before["content"][0]["type"] not in THINKING_BLOCKS


def _with_cache_control(message: Json, blocks: list[Translated], path: str) -> list[Translated]:
    """A message's blocks. A cache breakpoint on a message becomes one on its last block."""
    if not cache_control(message):
        return blocks
    *before, (block, dropped) = blocks or [Translated({})]
    # "Thinking blocks cannot be cached directly with cache_control":
    # https://platform.claude.com/docs/en/build-with-claude/prompt-caching, "What cannot be cached".
    if block.get("type") in (None, *THINKING_BLOCKS) or "cache_control" in block:
        return [*blocks, Translated({}, (f"{path}.cache_control",))]
    return [*before, Translated({**block, **cache_control(message)}, dropped)]


def _message_blocks(message: Json, n: int, ids: Mapping[Position, str]) -> list[Translated]:
    path = f"messages[{n}]"
    content = content_blocks(message.get("content"), f"{path}.content")
    match message["role"]:
        case "assistant":
            calls = [_tool_use(call, ids[n, k]) for k, (call, _) in enumerate(_tool_calls(message, path))]
            # Thinking first: "a final `assistant` message must start with a thinking block".
            return [*_thinking_blocks(message, path), *content, *text_blocks([message.get("refusal")]), *calls]
        case "tool" | "function":
            dropped = tuple(path for block in content for path in block.dropped)
            # `content` is optional: an empty result says that the tool was run.
            fields = {"content": [block.fields for block in content]} if content else {}
            is_error = {"is_error": message["is_error"]} if message.get("is_error") is not None else {}
            return [Translated({"type": "tool_result", "tool_use_id": ids[n, 0], **fields, **is_error}, dropped)]
        case _:
            return content


def _thinking_blocks(message: Json, path: str) -> list[Translated]:
    """
    The thinking of an earlier response, where it comes back with its signatures.

    "During tool use, you must pass thinking blocks back to the API for the last assistant message", and complete and
    unmodified: https://platform.claude.com/docs/en/build-with-claude/extended-thinking
    """
    sent = message.get("thinking_blocks") or []
    entries = sent if isinstance(sent, list) else [sent]
    translated = [_thinking_block(entry) for entry in entries]
    blocks = [Translated(block) for block in translated if block]
    dropped = [f"{path}.thinking_blocks[{k}]" for k, block in enumerate(translated) if not block]
    if message.get("reasoning_content") and not blocks:
        dropped.append(f"{path}.reasoning_content")
    return [*blocks, Translated({}, tuple(dropped))] if dropped else blocks


def _thinking_block(entry: Json) -> Json | None:
    match entry:
        case {"type": "thinking", "thinking": str() as text, "signature": str() as signature} if signature:
            return {"type": "thinking", "thinking": text, "signature": signature}
        case {"type": "redacted_thinking", "data": str() as data}:
            return {"type": "redacted_thinking", "data": data}
        case _:
            # Without a signature the API cannot verify it: "Invalid `signature` in `thinking` block".
            return None


def _tool_calls(message: Json, path: str) -> list[tuple[Json, str]]:
    """A message's tool calls, each with its path; the legacy `function_call` is one of them."""
    calls = [(call, f"{path}.tool_calls[{k}]") for k, call in enumerate(message.get("tool_calls") or ())]
    legacy = message.get("function_call")
    return [*calls, ({"function": legacy}, f"{path}.function_call")] if legacy else calls


def _tool_use(call: Json, tool_use_id: str) -> Translated:
    if "custom" in call:
        # A custom tool takes text; Anthropic's tools take objects (FREE_TEXT in tools.py).
        function, tool_input = call["custom"], {"input": call["custom"]["input"]}
    else:
        function = call.get("function") or {}
        tool_input = _tool_input(function.get("arguments"))
    block = {"type": "tool_use", "id": tool_use_id, "name": function["name"], "input": tool_input}
    return Translated({**block, **cache_control(call)})


def _tool_input(arguments: str | None) -> Json:
    # "Input should be a valid dictionary": other text, such as that of a truncated call, becomes a field.
    if not arguments or not arguments.strip():
        return {}
    try:
        value = json_codec.loads(arguments.encode())
    except ValueError:
        value = arguments
    if value is None:
        return {}
    return value if isinstance(value, dict) and not _is_deeper(value, MAX_DEPTH) else {"arguments": arguments}


def _is_deeper(value: object, levels: int) -> bool:
    nested = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels == 0 or any(_is_deeper(item, levels - 1) for item in nested)


class PendingCall(NamedTuple):
    """A call whose result has not been seen yet."""

    call: Json
    tool_use_id: str
    path: str


class PendingCalls:
    """
    The calls whose results have not been seen yet, indexed by what a result may refer to: there may be thousands, with
    the same id too.
    """

    def __init__(self) -> None:
        self._calls: dict[str, PendingCall] = {}
        # (the role of a result, the id or name in it) -> the calls that it may answer, in order; answered ones among them.
        self._index: defaultdict[tuple[str, Any], deque[PendingCall]] = defaultdict(deque)

    def add(self, pending: PendingCall) -> None:
        call = pending.call
        self._calls[pending.tool_use_id] = pending
        self._index["tool", call.get("id")].append(pending)
        # A legacy result has no id: it names the function.
        name = (call.get("function") or call.get("custom") or {}).get("name")
        self._index["function", name].append(pending)

    def answer(self, result: Json, path: str) -> PendingCall:
        """The first call that a result answers, which is pending no longer. Raises InvalidRequest."""
        field = "tool_call_id" if result["role"] == "tool" else "name"
        candidates = self._index[result["role"], result.get(field)]
        while candidates:
            pending = self._calls.pop(candidates.popleft().tool_use_id, None)
            if pending is not None:
                return pending
        quoted = repr(str(result.get(field))[:MAX_QUOTED])
        raise InvalidRequest(
            f"The tool result matches no call of the assistant message before it: {quoted}.", param=f"{path}.{field}"
        )

    def require_none(self) -> None:
        # "`tool_use` ids were found without `tool_result` blocks immediately after": refused here, with the field's path.
        for pending in self._calls.values():
            raise InvalidRequest("A tool call must be followed by its result.", param=pending.path)


class UniqueIds:
    """Ids in the characters that the API takes; an id that another call has gets a number."""

    def __init__(self) -> None:
        self._used = set[str]()
        # By id, the last number that was tried: those before it are used.
        self._numbers: dict[str, int] = {}

    def new(self, client_id: str) -> str:
        clean = INVALID_IN_ID.sub("_", client_id) or "call"
        number = self._numbers.get(clean, 0) + 1
        while (unique := clean if number == 1 else f"{clean}_{number}") in self._used:
            number += 1
        self._numbers[clean] = number
        self._used.add(unique)
        return unique


def tool_use_ids(messages: list[Json]) -> dict[Position, str]:
    """
    The ids of calls and results upstream: "`tool_use` ids must be unique", while those of OpenAI's vendors may repeat.

    Results answer the calls of the assistant turn before them; of calls with the same id, the first without a result.
    """
    ids: dict[Position, str] = {}
    pending, unique_ids, last_role = PendingCalls(), UniqueIds(), ""
    for n, message in enumerate(messages):
        role, path = message["role"], f"messages[{n}]"
        if role == "assistant":
            if last_role != "assistant":
                pending.require_none()
            for k, (call, call_path) in enumerate(_tool_calls(message, path)):
                ids[n, k] = unique_ids.new(call.get("id") or "")
                pending.add(PendingCall(call, ids[n, k], call_path))
        elif role in RESULT_ROLES:
            ids[n, 0] = pending.answer(message, path).tool_use_id
        last_role = last_role if role in SYSTEM_ROLES else role
    pending.require_none()
    return ids
