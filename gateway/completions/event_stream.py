"""A streamed response: the chunks of a call as server-sent events, with pings, usage, and an honest end.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import time
from collections.abc import Iterator
from itertools import chain

from gateway import token_estimate
from gateway.completions.completion import estimated_usage
from gateway.errors import GatewayError, InternalError, error_location, without_traceback
from gateway.openai_types import Chunk
from gateway.routing.call import Call
from gateway.routing.router import Router
from gateway.stream_events import PAUSE, Pause

# Seconds in which a failure is still an HTTP status; then the stream begins with pings: Heroku's router gives up on a
# response that has sent nothing for 30 s. https://devcenter.heroku.com/articles/request-timeout
FIRST_CONTENT = 10.0
# Seconds without a chunk after which the client is sent a comment, so that no proxy takes the connection for idle.
PING_INTERVAL = 10.0
# One newline: some Go clients take the second one of `: ping\n\n` for an empty event.
PING = b": ping\n"


def stream(
    router: Router, call: Call, first_content: float = FIRST_CONTENT, ping_interval: float = PING_INTERVAL
) -> Iterator[bytes]:
    """
    The server-sent events of a streamed call, in blocks to write at once.

    The first content is waited for here, so that an early failure raises its GatewayError while the response can still
    have a status.
    """
    call.watch.yield_at = time.monotonic() + first_content
    chunks = router.chunks(call)
    first: list[Chunk | Pause] = []
    for item in chunks:
        if item is not PAUSE:
            first = [item]
            break
        if time.monotonic() >= call.watch.yield_at:
            break
    return _blocks(router, call, chain(first, chunks), ping_interval)


def _blocks(router: Router, call: Call, chunks: Iterator[Chunk | Pause], ping_interval: float) -> Iterator[bytes]:
    """All frames that have arrived at once; a ping after a silence; the end, or an error frame."""
    counted = _with_usage(router, call, chunks)
    late = call.served_by is None
    if late or call.transcript:
        counted = _with_trail(call, counted, late=late)
    if late:
        yield PING
    frames: list[bytes] = []
    sent_at = time.monotonic()
    error: GatewayError | None = None
    call.watch.yield_at = sent_at + ping_interval
    try:
        for item in call.client.stream_frames(counted):
            if item is not PAUSE:
                frames.append(item)
                continue
            if not frames and time.monotonic() - sent_at >= ping_interval:
                frames.append(PING)
            if frames:
                yield b"".join(frames)
                frames, sent_at = [], time.monotonic()
                call.watch.yield_at = sent_at + ping_interval
    except GatewayError as failure:
        error = without_traceback(failure)
    except Exception as fault:  # noqa: BLE001 - the 200 is out: an error frame can still be sent; the log says what it was
        call.fault, error = error_location(fault), InternalError("The gateway failed.")
    if error is not None:
        trail = {"gateway": call.trail()} if late else {}
        frames.append(call.client.error_frame(error.envelope() | trail))
    yield b"".join(frames)
    call.finish(error)


def _with_usage(router: Router, call: Call, chunks: Iterator[Chunk | Pause]) -> Iterator[Chunk | Pause]:
    """The chunks as the client asked for them: with usage at the end, or without any. What was used is settled."""
    include_usage = bool((call.chat.get("stream_options") or {}).get("include_usage"))
    size, last = 0, None
    try:
        for chunk in chunks:
            if chunk is PAUSE:
                yield chunk
            elif not chunk["choices"] and chunk.get("usage"):
                call.usage, last = chunk["usage"], chunk
            else:
                for choice in chunk["choices"]:
                    size += token_estimate.written_size(choice["delta"])
                last = last or {**chunk, "choices": []}
                yield {**chunk, "usage": None} if include_usage else chunk
    finally:  # also of an answer that broke off, or whose client left
        if call.usage is None and call.served_by:
            before = call.transcript.failed_usage["prompt_tokens"] if call.transcript else 0
            call.usage = estimated_usage(call, size, before)
        router.settle(call)
    if include_usage and last:
        yield {**last, "usage": call.usage}


def _with_trail(call: Call, chunks: Iterator[Chunk | Pause], *, late: bool) -> Iterator[Chunk | Pause]:
    """
    The chunks, the last of which has in `gateway` what the headers could not say, for a stream that began `late`, before
    any upstream had answered, or that was resumed at another target.
    """
    held: Chunk | None = None
    for chunk in chunks:
        if chunk is PAUSE:
            yield chunk
            continue
        if held:
            yield held
        ends = not chunk["choices"] or any(choice.get("finish_reason") for choice in chunk["choices"])
        held = chunk if ends and (late or (call.transcript and call.transcript.resumed)) else None
        if not held:
            yield chunk
    if held:
        yield {**held, "gateway": call.trail()}
