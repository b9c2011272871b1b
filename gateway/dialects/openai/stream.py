"""
The stream of an OpenAI-compatible vendor as OpenAI would have sent it.

https://platform.openai.com/docs/api-reference/chat-streaming
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gateway.dialects.contract import TargetRequest
from gateway.dialects.event_json import event_object
from gateway.dialects.openai.errors import in_band_error
from gateway.dialects.openai.response import arguments_text, finish_reason, integer, normalize_text, text_or, usage
from gateway.errors import UpstreamFailed
from gateway.openai_types import Chunk, Json
from gateway.stream_events import PAUSE, Event, Pause

# The documented fields of a chunk. A chunk with any other field is passed on even where it has no choices.
STANDARD_FIELDS = frozenset(
    {"id", "object", "created", "model", "choices", "usage", "system_fingerprint", "service_tier"}
)

# What is remembered of a stream: `n` is 128 at most, https://platform.openai.com/docs/api-reference/chat/create. The calls
# of a choice, and the characters of a call's id and name, are far more than any model makes.
MAX_CHOICES, MAX_CALLS, MAX_CALL_NAME = 128, 4096, 8192


@dataclass(slots=True)
class ChoiceState:
    """What has been sent of one choice. `calls`: the vendor's index of a tool call -> (index sent, id, name)."""

    started: bool = False
    finished: bool = False
    calls: dict[int, tuple[int, str, str]] = field(default_factory=dict)
    call_count: int = 0


def chunks(request: TargetRequest, events: Iterable[Event | Pause]) -> Iterator[Chunk | Pause]:
    identity: Json = {}
    last_usage: Json | None = None
    usage_chunk: Json = {}
    held: list[Chunk] = []
    choices: dict[int, ChoiceState] = {}
    for event in events:
        if event is PAUSE:
            yield PAUSE
            continue
        try:
            chunk = event_object(event)
        except UpstreamFailed:
            if event.data.strip() == b"[DONE]":  # the last event, and the only one that is not JSON
                break
            raise
        if event.name == "error" or chunk.get("error"):
            raise in_band_error(chunk.get("error"), chunk)
        if identity and _is_plain_text(chunk, choices):
            chunk.pop("usage", None)
            chunk.update(identity)
            yield chunk
            continue
        last_usage = usage(chunk) or last_usage
        if not identity and not (chunk.get("id") or chunk.get("choices")):
            # Azure's first chunk has prompt_filter_results and an empty id: it waits for the id of the next one.
            held.append(chunk)
            continue
        identity = identity or _identity(request, chunk)
        for waiting in [*held, chunk]:
            normalized = _normalized(request, waiting, choices)
            if normalized is not None:
                yield {**normalized, **identity}
            elif usage(waiting):
                usage_chunk = waiting
        held = []
    # stream_options.include_usage: "an additional chunk", in which "the choices field will always be an empty array".
    # Vendors also report usage beside the finish_reason, or in every chunk: the last report counts.
    if last_usage:
        yield {**usage_chunk, **(identity or _identity(request, {})), "choices": [], "usage": last_usage}


def _is_plain_text(chunk: Chunk, choices: dict[int, ChoiceState]) -> bool:
    """Whether a chunk is what most chunks are: more text of one choice that has started, with nothing to change."""
    entries = chunk.get("choices")
    if type(entries) is not list or len(entries) != 1 or chunk.get("usage") or "x_groq" in chunk:
        return False
    choice = entries[0]
    if type(choice) is not dict or choice.get("finish_reason", "") is not None or "message" in choice:
        return False
    delta, index = choice.get("delta"), choice.get("index")
    if type(delta) is not dict or len(delta) != 1 or type(delta.get("content")) is not str or type(index) is not int:
        return False
    state = choices.get(index)
    return state is not None and state.started and not state.finished


def _identity(request: TargetRequest, chunk: Chunk) -> Json:
    """The fields that are the same in every chunk: "Each chunk has the same ID", "the same timestamp"."""
    return {
        "id": text_or(chunk.get("id"), request.id),
        "object": "chat.completion.chunk",
        "created": integer(chunk.get("created"), request.created),
        "model": text_or(chunk.get("model"), request.model),
    }


def _normalized(request: TargetRequest, chunk: Chunk, choices: dict[int, ChoiceState]) -> Chunk | None:
    """A chunk without its usage; None where nothing else is in it."""
    entries = chunk.get("choices") or ()
    normalized = [_choice(request, n, choice, choices) for n, choice in enumerate(entries)]
    remaining = [choice for choice in normalized if choice is not None]
    if not remaining and (normalized or usage(chunk) or chunk.keys() <= STANDARD_FIELDS):
        return None
    return {**{name: value for name, value in chunk.items() if name != "usage"}, "choices": remaining}


def _choice(request: TargetRequest, n: int, choice: Json, choices: dict[int, ChoiceState]) -> Json | None:
    """A choice of a chunk; None where it only repeats the end of the choice."""
    index = integer(choice.get("index"), n)
    state = choices.setdefault(index, ChoiceState())
    if len(choices) > MAX_CHOICES:
        message = "The upstream's stream has more choices than can be requested."
        raise UpstreamFailed(message, upstream_status="invalid_response")
    delta = choice.get("delta")
    delta = normalize_text(delta) if isinstance(delta, dict) else {}
    calls = delta.get("tool_calls")
    if "tool_calls" in delta:
        delta = {name: value for name, value in delta.items() if name != "tool_calls"}
    if calls:
        delta["tool_calls"] = [_tool_call(request, index, call, state) for call in calls]
    reason = None if state.finished else finish_reason(choice, request)
    # OpenAI has the role in the first delta alone. Its Python SDK concatenates the texts of deltas: a role in each
    # would make "assistantassistant".
    if state.started and delta.get("role"):
        delta = {name: value for name, value in delta.items() if name != "role"}
    if state.finished and not any(delta.values()):
        return None
    if not state.started:
        delta = {**delta, "role": "assistant"}
    state.started, state.finished = True, state.finished or reason is not None
    # Perplexity repeats the whole message so far in every chunk, as `message` beside `delta`.
    rest = {name: value for name, value in choice.items() if name != "message"}
    return {**rest, "index": index, "delta": delta, "finish_reason": reason}


def _tool_call(request: TargetRequest, choice_index: int, call: Json, state: ChoiceState) -> Json:
    """
    A tool call's delta. Its id, type and name are sent in its first delta alone; its index counts the choice's calls.

    Some vendors send no index, one index for several calls, or the id or the name again in every delta.
    """
    call_id, vendor_index = text_or(call.get("id"), ""), call.get("index")
    if not isinstance(vendor_index, int):
        vendor_index = state.call_count if call_id or not state.calls else state.call_count - 1
    function = call.get("function")
    function = function if isinstance(function, dict) else {}
    fields = {**call, "function": {**function, "arguments": arguments_text(function.get("arguments"))}}
    sent = state.calls.get(vendor_index)
    name = text_or(function.get("name"), "")
    if state.call_count > MAX_CALLS or len(call_id) + len(name) > MAX_CALL_NAME:
        message = "The upstream's stream has more tool calls than any model makes, or longer names."
        raise UpstreamFailed(message, upstream_status="invalid_response")
    if sent is None or (call_id and call_id != sent[1]):
        new_id = call_id or f"call_{request.id}_{choice_index}_{state.call_count}"
        sent = state.calls[vendor_index] = state.call_count, new_id, name
        state.call_count += 1
        return {"type": "function", **fields, "index": sent[0], "id": sent[1]}
    if not name or name == sent[2]:
        fields["function"].pop("name", None)
    return {**{name: value for name, value in fields.items() if name not in ("id", "type")}, "index": sent[0]}
