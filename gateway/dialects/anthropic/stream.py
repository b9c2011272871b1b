"""Anthropic's stream events as OpenAI chunks: https://platform.claude.com/docs/en/build-with-claude/streaming."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from gateway import json_codec
from gateway.dialects.anthropic.errors import in_band_error
from gateway.dialects.anthropic.response import annotations, call, finish_reason, identity, legacy, thought, usage
from gateway.dialects.anthropic.tools import custom_names
from gateway.dialects.contract import TargetRequest
from gateway.errors import UpstreamFailed
from gateway.openai_types import Chunk, Json
from gateway.stream_events import PAUSE, Event, Pause

THOUGHTS = ("thinking", "redacted_thinking")


@dataclass(slots=True)
class Open:
    """A content block under way: as it began, its place among the calls or in the text, and what came since."""

    block: Json
    place: int
    pieces: list[str] = field(default_factory=list)
    signature: str = ""
    citations: list[Json] = field(default_factory=list)

    @property
    def said(self) -> str:
        return "".join(self.pieces)


@dataclass(slots=True)
class Blocks:
    """Anthropic numbers every block; OpenAI only the calls. `length`: of the text so far; `customs`: tools' names."""

    request: TargetRequest
    customs: frozenset[str]
    open: dict[int, Open] = field(default_factory=dict)
    calls: int = 0
    length: int = 0


def chunks(request: TargetRequest, events: Iterable[Event | Pause]) -> Iterator[Chunk | Pause]:
    """The chunks; without a finish_reason where the events end before Anthropic said how the message ended."""
    blocks, used, begun = Blocks(request, custom_names(request.chat)), dict[str, Any](), False
    head: Json = {}
    for event in events:
        if isinstance(event, Pause):
            yield PAUSE
            continue
        data = _parsed(event)
        if data is None:
            continue
        if data["type"] in ("message_start", "message_delta"):
            used = {**used, **_used(data)}
        head = head or identity(request, _dict(data.get("message")), "chat.completion.chunk")
        for delta, finish in _deltas(blocks, data):
            yield _chunk(head, delta if begun else {"role": "assistant", **delta}, finish)
            begun = True
        if data["type"] == "message_stop":
            break  # whatever follows is none of the message, and the connection may stay open for long
    if used and head:
        yield {**head, "choices": [], "usage": usage(used)}


def _parsed(event: Event) -> Json | None:
    """An event's data; None for those that say nothing. Raises UpstreamFault for an error and for nonsense."""
    if event.data.strip() == b"[DONE]":  # OpenRouter ends Anthropic's stream like OpenAI's
        return None
    try:
        data = json_codec.loads(event.data)
    except ValueError as error:
        raise UpstreamFailed(
            "The upstream's stream has an event that is no JSON.", upstream_status="invalid_response"
        ) from error
    if not isinstance(data, dict):
        raise UpstreamFailed(
            "The upstream's stream has an event that is no object.", upstream_status="invalid_response"
        )
    kind = data.get("type")
    if "error" in (kind, event.name) or (kind is None and data.get("error")):
        raise in_band_error(data)
    return data if isinstance(kind, str) else None


def _used(data: Json) -> Json:
    """The counts of an event: all are sums so far, and the later ones may leave some out."""
    found = _dict(_dict(data.get("message")).get("usage")) or _dict(data.get("usage"))
    return {name: value for name, value in found.items() if value is not None}


def _dict(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _chunk(head: Json, delta: Json, finish: str | None) -> Chunk:
    return {**head, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]}


def _deltas(blocks: Blocks, data: Json) -> Iterator[tuple[Json, str | None]]:
    """What an event adds to the message, and how it ended."""
    match data:
        case {"type": "message_start"}:
            yield {"content": ""}, None
        case {"type": "content_block_start", "index": int() as index, "content_block": dict() as block}:
            for delta in _started(blocks, index, block):
                yield delta, None
        case {"type": "content_block_delta", "index": int() as index, "delta": dict() as grown} if index in blocks.open:
            for delta in _grown(blocks, blocks.open[index], grown):
                yield delta, None
        case {"type": "content_block_stop", "index": int() as index} if index in blocks.open:
            for delta in _ended(blocks, blocks.open.pop(index)):
                yield delta, None
        case {"type": "message_delta", "delta": {"stop_reason": str() as stop}}:
            for index in list(blocks.open):
                for delta in _ended(blocks, blocks.open.pop(index)):
                    yield delta, None
            yield {}, finish_reason(blocks.request, stop, called=blocks.calls > 0)


def _started(blocks: Blocks, index: int, block: Json) -> Iterator[Json]:
    """Blocks of other kinds than these are not the client's to see."""
    match block.get("type"):
        case "text":
            begun = blocks.open[index] = Open(block, blocks.length, citations=[*(block.get("citations") or ())])
            yield from _grown(blocks, begun, {"type": "text_delta", "text": block.get("text") or ""})
        case "thinking" | "redacted_thinking":
            begun = blocks.open[index] = Open(block, 0, signature=block.get("signature") or "")
            yield from _grown(blocks, begun, {"type": "thinking_delta", "thinking": block.get("thinking") or ""})
        case "tool_use":
            begun = blocks.open[index] = Open(block, blocks.calls)
            blocks.calls += 1
            if not _custom(blocks, begun):
                named = {"name": block.get("name"), "arguments": ""}
                yield from _call(blocks, begun, {"id": block.get("id"), "type": "function", "function": named})


def _grown(blocks: Blocks, begun: Open, delta: Json) -> Iterator[Json]:
    match delta:
        case {"type": "text_delta", "text": str() as text} if text:
            begun.pieces.append(text)
            blocks.length += len(text)
            yield {"content": text}
        case {"type": "thinking_delta", "thinking": str() as text} if text:
            begun.pieces.append(text)
            yield {"reasoning_content": text}
        case {"type": "signature_delta", "signature": str() as signature}:
            begun.signature += signature
        case {"type": "citations_delta", "citation": dict() as citation}:
            begun.citations.append(citation)
        case {"type": "input_json_delta", "partial_json": str() as text} if text:
            begun.pieces.append(text)
            if not _custom(blocks, begun):
                yield from _call(blocks, begun, {"function": {"arguments": text}})


def _ended(blocks: Blocks, begun: Open) -> Iterator[Json]:
    kind = begun.block["type"]
    if kind == "text":
        cited = annotations(begun.citations, begun.place, begun.place + len(begun.said))
        if cited:
            yield {"annotations": cited}
    elif kind in THOUGHTS:
        whole = {**begun.block, "thinking": begun.said, "signature": begun.signature}
        yield {"thinking_blocks": [thought(whole)]}
    elif _custom(blocks, begun):
        yield from _call(blocks, begun, call(blocks.request, begun.block, _input(begun)))
    elif not begun.pieces:  # a call without arguments, or all of them at its beginning
        rest = call(blocks.request, begun.block, begun.block.get("input"))
        yield from _call(blocks, begun, {"function": {"arguments": rest["function"]["arguments"]}})


def _custom(blocks: Blocks, begun: Open) -> bool:
    """Whether it is a call with free text: that stands inside of JSON, and can be told only when it is whole."""
    return begun.block.get("name") in blocks.customs


def _input(begun: Open) -> Any:
    try:
        return json_codec.loads(begun.said.encode()) if begun.pieces else begun.block.get("input")
    except ValueError:  # cut short
        return {"input": begun.said}


def _call(blocks: Blocks, begun: Open, told: Json) -> Iterator[Json]:
    if not legacy(blocks.request):
        yield {"tool_calls": [{"index": begun.place, **told}]}
    elif begun.place == 0:  # the form has room for one
        yield {"function_call": told["function"]}
