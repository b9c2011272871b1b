"""The chunks of an OpenAI-dialect vendor's stream, made into one contract."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from gateway.dialects.contract import TargetRequest
from gateway.dialects.openai.errors import in_band_error
from gateway.dialects.openai.response import arguments, finish_reason, reasoning_as_text, usage, whole
from gateway.errors import UpstreamFailed
from gateway.json_codec import loads
from gateway.openai_types import Chunk, Json
from gateway.stream_events import PAUSE, Event, Pause

PLAIN = frozenset({"id", "object", "created", "model", "choices", "usage", "system_fingerprint", "service_tier"})


@dataclass(slots=True)
class Choice:
    """What was said of a choice so far; `calls`: the vendor's index of a call -> (our index, id, name)."""

    begun: bool = False
    finished: bool = False
    calls: dict[int, tuple[int, str, str]] = field(default_factory=dict)
    count: int = 0


def chunks(request: TargetRequest, events: Iterable[Event | Pause]) -> Iterator[Chunk | Pause]:
    ident: Json = {}
    used: Json | None = None
    last: Json = {}
    early: list[Chunk] = []
    choices: dict[int, Choice] = {}
    for event in events:
        if event is PAUSE:
            yield PAUSE
            continue
        if event.data == b"[DONE]":
            break
        chunk = _parsed(event)
        if ident and _is_more_text(chunk, choices):
            chunk.pop("usage", None)
            chunk.update(ident)
            yield chunk
            continue
        used = usage(chunk) or used
        if not ident and not (chunk.get("id") or chunk.get("choices")):
            early.append(chunk)  # Azure's first chunk speaks of the prompt, and has no id yet
            continue
        ident = ident or _identity(request, chunk)
        for one in [*early, chunk]:
            told = _told(request, one, choices)
            if told is not None:
                yield {**told, **ident}
            elif usage(one):
                last = one
        early = []
    if used:
        yield {**last, **(ident or _identity(request, {})), "choices": [], "usage": used}


def _is_more_text(chunk: Chunk, choices: dict[int, Choice]) -> bool:
    """Whether a chunk is what most are: some more text of a choice, with nothing in it that has to be changed."""
    found = chunk.get("choices")
    if type(found) is not list or len(found) != 1 or chunk.get("usage") or "x_groq" in chunk:
        return False
    choice = found[0]
    if type(choice) is not dict or choice.get("finish_reason", "") is not None or "message" in choice:
        return False
    delta, index = choice.get("delta"), choice.get("index")
    if type(delta) is not dict or len(delta) != 1 or type(delta.get("content")) is not str or type(index) is not int:
        return False
    state = choices.get(index)
    return state is not None and state.begun and not state.finished


def _parsed(event: Event) -> Chunk:
    try:
        chunk = loads(event.data)
    except ValueError as error:
        raise UpstreamFailed(
            "The upstream's stream has an event that is no JSON.", upstream_status="invalid_response"
        ) from error
    if not isinstance(chunk, dict):
        raise UpstreamFailed("The upstream's stream has an event that is no chunk.", upstream_status="invalid_response")
    if event.name == "error" or chunk.get("error"):
        raise in_band_error(chunk.get("error"), chunk)
    return chunk


def _identity(request: TargetRequest, chunk: Chunk) -> Json:
    """What stays the same through a stream."""
    return {
        "id": chunk.get("id") or request.id,
        "object": "chat.completion.chunk",
        "created": whole(chunk.get("created"), request.created),
        "model": chunk.get("model") or request.model,
    }


def _told(request: TargetRequest, chunk: Chunk, choices: dict[int, Choice]) -> Chunk | None:
    """A chunk with something to tell besides usage, without that; else None."""
    told = [_choice(request, n, one, choices) for n, one in enumerate(chunk.get("choices") or ())]
    kept = [one for one in told if one is not None]
    if not kept and (told or usage(chunk) or chunk.keys() <= PLAIN):
        return None
    return {**{name: value for name, value in chunk.items() if name != "usage"}, "choices": kept}


def _choice(request: TargetRequest, n: int, choice: Json, choices: dict[int, Choice]) -> Json | None:
    """A choice of a chunk; None when it only says again what was said."""
    index = whole(choice.get("index"), n)
    state = choices.setdefault(index, Choice())
    delta = choice.get("delta")
    delta = reasoning_as_text(delta) if isinstance(delta, dict) else {}
    calls = delta.get("tool_calls")
    if "tool_calls" in delta:
        delta = {name: value for name, value in delta.items() if name != "tool_calls"}
    if calls:
        delta["tool_calls"] = [_call(request, index, call, state) for call in calls]
    finish = None if state.finished else finish_reason(choice, request)
    if state.begun and delta.get("role"):
        delta = {name: value for name, value in delta.items() if name != "role"}
    if state.finished and not any(delta.values()):
        return None
    if not state.begun:
        delta = {**delta, "role": "assistant"}
    state.begun, state.finished = True, state.finished or finish is not None
    rest = {name: value for name, value in choice.items() if name != "message"}  # Perplexity repeats all of it there
    return {**rest, "index": index, "delta": delta, "finish_reason": finish}


def _call(request: TargetRequest, choice: int, call: Json, state: Choice) -> Json:
    """A tool call's delta with our index, and with id, type and name where they are first said."""
    ident, theirs = call.get("id") or "", call.get("index")
    theirs = theirs if isinstance(theirs, int) else (state.count if ident or not state.calls else state.count - 1)
    function: dict[str, Any] = call.get("function") if isinstance(call.get("function"), dict) else {}  # type: ignore[assignment]
    known = state.calls.get(theirs)
    told = {**call, "function": {**function, "arguments": arguments(function.get("arguments"))}}
    if known is None or (ident and ident != known[1]):
        known = state.count, ident or f"call_{request.id}_{choice}_{state.count}", function.get("name") or ""
        state.calls[theirs] = known
        state.count += 1
        return {"type": "function", **told, "index": known[0], "id": known[1]}
    if not function.get("name") or function["name"] == known[2]:
        told["function"].pop("name", None)
    return {**{name: value for name, value in told.items() if name not in ("id", "type")}, "index": known[0]}
