"""What an upstream's response is worth: a stream that broke off, or a body of no known shape, is never an answer."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from gateway.dialects.contract import Adapter
from gateway.dialects.error_text import MAX_TEXT
from gateway.dialects.upstream_error import blocked, upstream_error
from gateway.errors import UpstreamFailed
from gateway.json_codec import loads, require_shallow
from gateway.openai_types import Chunk, Completion, Json
from gateway.routing.retry_after import retry_after
from gateway.stream_events import PAUSE, Event, Pause
from gateway.transport.exchange import Exchange
from gateway.transport.failures import TransportFailure

# A firewall's page in place of the API's JSON, such as Cloudflare's "Attention Required!", and the statuses that it comes with.
BLOCKED_STATUSES = (402, 403, 406, 451)
WEB_PAGE, MAX_SEARCHED = re.compile(r"<(!doctype|html|head|body)\b", re.IGNORECASE), 1024
T = TypeVar("T")
CONTENT = ("content", "refusal", "reasoning_content", "tool_calls", "function_call", "audio", "thinking_blocks")


def json_object(exchange: Exchange, adapter: Adapter, provider: str) -> Json:
    """The object in the body of a 200. Raises UpstreamFault for any other response."""
    body = exchange.read_body()
    try:
        data = loads(body)
        require_shallow(body, data)
    except ValueError as error:
        if exchange.status == 200:
            raise UpstreamFailed(
                f"{provider} answered with a body that is not JSON.", upstream_status="invalid_response"
            ) from error
        data = body[: 4 * MAX_TEXT].decode("utf-8", "replace")
    if exchange.status in BLOCKED_STATUSES and isinstance(data, str) and WEB_PAGE.search(data[:MAX_SEARCHED]):
        raise blocked(exchange.status, provider)
    if exchange.status != 200:
        details = {"retry_after": retry_after(exchange.headers), **adapter.error(exchange.status, data)}
        raise upstream_error(details.pop("status", exchange.status), **details)
    if not isinstance(data, dict):
        raise UpstreamFailed(
            f"{provider} answered with JSON that is not an object.", upstream_status="invalid_response"
        )
    return data


def bounded_beginning(
    items: Iterator[T | Pause], size_of: Callable[[Any], int], max_bytes: int, has_content: Callable[[], bool]
) -> Iterator[T | Pause]:
    """
    The same items, events or blocks. Raises UpstreamFailed when those before the first content have more than `max_bytes`.
    `has_content()`: content has come with the last item or before it.
    """
    size = 0
    for item in items:
        yield item
        if has_content():
            break
        if item is not PAUSE:
            size += size_of(item)
            if size > max_bytes:
                raise UpstreamFailed(
                    f"The upstream sent more than {max_bytes} bytes before any content.",
                    upstream_status="invalid_response",
                )
    yield from items


def data_size(event: Event) -> int:
    """Bytes of an event's data."""
    return len(event.data)


def complete_stream(chunks: Iterable[Chunk | Pause]) -> Iterator[Chunk | Pause]:
    """
    The same chunks, from the first with content on, the ones before it held until then.

    Raises UpstreamFailed if they end before every choice has its finish_reason; once all have, the answer is complete,
    whatever happens to the connection.
    """
    open_choices, finished = set[int](), set[int]()
    held: list[Chunk] | None = []
    try:
        for chunk in chunks:
            if chunk is PAUSE:
                yield chunk
                continue
            for choice in chunk["choices"]:
                (finished if choice.get("finish_reason") else open_choices).add(choice["index"])
            if held is None:
                yield chunk
                continue
            held.append(chunk)
            if _has_content(chunk):
                yield from held
                held = None
    except TransportFailure:
        if not finished or open_choices - finished:
            raise
    # A clean end of the connection is no proof: only a finish_reason says that the model had no more to say.
    if not finished or open_choices - finished:
        raise UpstreamFailed("The upstream ended its stream without a finish_reason.", upstream_status="truncated")


def completion_as_chunks(completion: Completion) -> Iterator[Chunk]:
    """A whole completion as a stream, for an upstream that does not stream."""
    frame = {**completion, "object": "chat.completion.chunk"}
    usage = frame.pop("usage", None)
    for choice in completion["choices"]:
        delta = dict(choice["message"])
        if delta.get("tool_calls"):
            delta["tool_calls"] = [{**call, "index": index} for index, call in enumerate(delta["tool_calls"])]
        members = {name: value for name, value in choice.items() if name != "message"}
        yield {**frame, "choices": [{**members, "delta": delta}]}
    if usage:
        yield {**frame, "choices": [], "usage": usage}


def _has_content(chunk: Chunk) -> bool:
    return any(
        choice.get("finish_reason") or any(choice["delta"].get(name) for name in CONTENT) for choice in chunk["choices"]
    )
