"""
Anthropic's stream events as OpenAI chunks.

https://platform.claude.com/docs/en/build-with-claude/streaming; quotations are from this page.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from gateway import json_codec
from gateway.dialects.anthropic.content_parts import THINKING_BLOCKS
from gateway.dialects.anthropic.errors import in_band_error
from gateway.dialects.anthropic.response import (
    annotations,
    finish_reason,
    identity,
    thinking_block,
    tool_call,
    usage,
    uses_functions,
)
from gateway.dialects.anthropic.tools import custom_tool_names
from gateway.dialects.contract import TargetRequest
from gateway.dialects.event_json import event_object
from gateway.errors import UpstreamFailed
from gateway.openai_types import Chunk, Json
from gateway.stream_events import PAUSE, Event, Pause

# What is kept of a stream until its blocks end: characters of thinking and of tool calls, and blocks; the vendor sends one
# block after the other.
MAX_KEPT, MAX_OPEN_BLOCKS = 32 << 20, 64


@dataclass(slots=True)
class OpenBlock:
    """
    A content block that has started and not stopped.

    `block` is as it started, `parts` and `signatures` are the texts of its deltas; of a text, which is sent on, only the
    length is kept. `position`: a call's index among the calls, a text's offset in the whole text.
    """

    block: Json
    position: int
    length: int = 0
    parts: list[str] = field(default_factory=list)
    signatures: list[str] = field(default_factory=list)
    citations: list[Json] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.parts)


@dataclass(slots=True)
class StreamState:
    """
    What a stream's events have brought so far; `blocks`: the open ones, by Anthropic's index.

    Anthropic numbers all content blocks, OpenAI only the tool calls, and citations need the offset in the whole text.
    """

    request: TargetRequest
    custom_tools: frozenset[str]
    blocks: dict[int, OpenBlock] = field(default_factory=dict)
    call_count: int = 0
    text_length: int = 0
    kept: int = 0

    def keep(self, text: str) -> None:
        """Count what is kept of the stream. Raises UpstreamFailed where it is more than an answer may be."""
        self.kept += len(text)
        if self.kept > MAX_KEPT:
            raise UpstreamFailed("The upstream's stream is too long.", upstream_status="invalid_response")


def chunks(request: TargetRequest, events: Iterable[Event | Pause]) -> Iterator[Chunk | Pause]:
    state, counts, started = StreamState(request, custom_tool_names(request.chat)), dict[str, Any](), False
    head: Json = {}
    for event in events:
        if isinstance(event, Pause):
            yield PAUSE
            continue
        data = _parsed(event)
        if data is None:
            continue
        if data["type"] in ("message_start", "message_delta"):
            counts = {**counts, **_counts(data)}
        head = head or identity(request, _object(data.get("message")), "chat.completion.chunk")
        for delta, reason in _deltas(state, data):
            yield _chunk(head, delta if started else {"role": "assistant", **delta}, reason)
            started = True
        if data["type"] == "message_stop":
            # The last event of a message. The connection may stay open for long after it.
            break
    if counts and head:
        yield {**head, "choices": [], "usage": usage(counts)}


def _parsed(event: Event) -> Json | None:
    """An event's data; None for one without a type. Raises UpstreamFault for an error event and for invalid data."""
    if event.data.strip() == b"[DONE]":
        # OpenRouter ends Anthropic's streams as it ends OpenAI's.
        return None
    data = event_object(event)
    kind = data.get("type")
    # "We may occasionally send errors in the event stream."
    if "error" in (kind, event.name) or (kind is None and data.get("error")):
        raise in_band_error(data)
    return data if isinstance(kind, str) else None


def _counts(data: Json) -> Json:
    """The token counts of an event. They "are cumulative", and a later event may leave some out."""
    reported = _object(_object(data.get("message")).get("usage")) or _object(data.get("usage"))
    return {name: value for name, value in reported.items() if value is not None}


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _chunk(head: Json, delta: Json, reason: str | None) -> Chunk:
    return {**head, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]}


def _deltas(state: StreamState, data: Json) -> Iterator[tuple[Json, str | None]]:
    """(delta, finish_reason) of one event."""
    # "we may add new event types, and your code should handle unknown event types gracefully": they match no case, and
    # neither do "any number of ping events".
    match data:
        case {"type": "message_start"}:
            yield {"content": ""}, None
        case {"type": "content_block_start", "index": int() as index, "content_block": dict() as block}:
            for delta in _start_block(state, index, block):
                yield delta, None
        case {"type": "content_block_delta", "index": int() as index, "delta": dict() as change} if (
            index in state.blocks
        ):
            for delta in _extend_block(state, state.blocks[index], change):
                yield delta, None
        case {"type": "content_block_stop", "index": int() as index} if index in state.blocks:
            for delta in _end_block(state, state.blocks.pop(index)):
                yield delta, None
        case {"type": "message_delta", "delta": {"stop_reason": str() as stop_reason}}:
            # Blocks without their content_block_stop end with the message.
            for index in list(state.blocks):
                for delta in _end_block(state, state.blocks.pop(index)):
                    yield delta, None
            yield {}, finish_reason(state.request, stop_reason, has_calls=state.call_count > 0)


def _start_block(state: StreamState, index: int, block: Json) -> Iterator[Json]:
    """Blocks of other types (`server_tool_use`, its results) are left out, as in `message`."""
    if len(state.blocks) >= MAX_OPEN_BLOCKS:
        raise UpstreamFailed("The upstream's stream has too many open blocks.", upstream_status="invalid_response")
    match block.get("type"):
        case "text":
            opened = OpenBlock(block, state.text_length, citations=[*(block.get("citations") or ())])
            state.blocks[index] = opened
            yield from _extend_block(state, opened, {"type": "text_delta", "text": block.get("text") or ""})
        case "thinking" | "redacted_thinking":
            opened = state.blocks[index] = OpenBlock(block, 0, signatures=[block.get("signature") or ""])
            yield from _extend_block(state, opened, {"type": "thinking_delta", "thinking": block.get("thinking") or ""})
        case "tool_use":
            opened = state.blocks[index] = OpenBlock(block, state.call_count)
            state.call_count += 1
            if not _is_custom(state, opened):
                function = {"name": block.get("name"), "arguments": ""}
                yield from _call_delta(state, opened, {"id": block.get("id"), "type": "function", "function": function})


def _extend_block(state: StreamState, opened: OpenBlock, delta: Json) -> Iterator[Json]:
    match delta:
        case {"type": "text_delta", "text": str() as text} if text:
            opened.length += len(text)
            state.text_length += len(text)
            yield {"content": text}
        case {"type": "thinking_delta", "thinking": str() as text} if text:
            state.keep(text)
            opened.parts.append(text)
            yield {"reasoning_content": text}
        case {"type": "signature_delta", "signature": str() as signature}:
            state.keep(signature)
            opened.signatures.append(signature)
        case {"type": "citations_delta", "citation": dict() as citation}:
            opened.citations.append(citation)
        case {"type": "input_json_delta", "partial_json": str() as text} if text:
            state.keep(text)
            opened.parts.append(text)
            if not _is_custom(state, opened):
                yield from _call_delta(state, opened, {"function": {"arguments": text}})


def _end_block(state: StreamState, opened: OpenBlock) -> Iterator[Json]:
    """What can only be sent when the block is complete."""
    kind = opened.block["type"]
    if kind == "text":
        notes = annotations(opened.citations, opened.position, opened.position + opened.length)
        if notes:
            yield {"annotations": notes}
    elif kind in THINKING_BLOCKS:
        # The signature comes in a delta "just before the content_block_stop event".
        complete = {**opened.block, "thinking": opened.text, "signature": "".join(opened.signatures)}
        yield {"thinking_blocks": [thinking_block(complete)]}
    elif _is_custom(state, opened):
        yield from _call_delta(state, opened, tool_call(state.request, opened.block, _tool_input(opened)))
    elif not opened.parts:
        # A call without arguments, or one whose arguments all came with the start.
        call = tool_call(state.request, opened.block, opened.block.get("input"))
        yield from _call_delta(state, opened, {"function": {"arguments": call["function"]["arguments"]}})


def _is_custom(state: StreamState, opened: OpenBlock) -> bool:
    """Whether it calls a custom tool. Its text is a JSON string within `partial_json`, readable when complete."""
    return opened.block.get("name") in state.custom_tools


def _tool_input(opened: OpenBlock) -> Any:
    # "You can accumulate the string deltas and parse the JSON once you receive a content_block_stop event".
    try:
        return json_codec.loads(opened.text.encode()) if opened.parts else opened.block.get("input")
    except ValueError:
        # max_tokens truncated the call.
        return {"input": opened.text}


def _call_delta(state: StreamState, opened: OpenBlock, fields: Json) -> Iterator[Json]:
    if not uses_functions(state.request):
        yield {"tool_calls": [{"index": opened.position, **fields}]}
    elif opened.position == 0:
        # A `function_call` has no index: there can be only one.
        yield {"function_call": fields["function"]}
