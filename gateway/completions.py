"""The straight line from a validated request to an answer: a completion, or the frames of a stream."""

import math
import time
from collections.abc import Iterator
from itertools import chain

from gateway import tokens
from gateway.adapters.contract import Chunk, Completion, Json, Pause
from gateway.call import Call
from gateway.errors import GatewayError, InternalError, forgotten, traced
from gateway.events import PAUSE
from gateway.jsontext import dumps
from gateway.router import Router

FIRST_CONTENT = 10.0
"""Seconds in which a failure is still an HTTP status; then the stream begins with pings."""
PING_EVERY = 10.0
"""Seconds of silence after which the client is sent a comment."""
PING = b": ping\n"
DONE = b"data: [DONE]\n\n"


def complete(router: Router, call: Call) -> Completion:
    """The whole answer. Raises GatewayError."""
    completion = router.completion(call)
    if "usage" not in completion:
        said = tokens.texts([choice["message"] for choice in completion["choices"]])
        completion = {**completion, "usage": _estimate(call, sum(map(tokens.count, said)))}
    call.usage = completion["usage"]
    router.settle(call)
    call.finish()
    return completion


def embed(router: Router, call: Call) -> Json:
    """The answer to an embeddings request. Raises GatewayError."""
    answer = router.embeddings(call)
    router.settle(call)
    call.finish()
    return answer


def stream(
    router: Router, call: Call, first_content: float = FIRST_CONTENT, ping_every: float = PING_EVERY
) -> Iterator[bytes]:
    """Server-sent events. The first content is waited for here, so that an early failure raises its GatewayError."""
    call.watch.wake = time.monotonic() + first_content
    chunks = router.chunks(call)
    first: list[Chunk | Pause] = []
    for item in chunks:
        if item is not PAUSE:
            first = [item]
            break
        if time.monotonic() >= call.watch.wake:
            break
    return _frames(router, call, chain(first, chunks), ping_every)


def _frames(router: Router, call: Call, chunks: Iterator[Chunk | Pause], ping_every: float) -> Iterator[bytes]:
    """What the client is sent: all that has arrived at once; a ping after a silence; the end, or an error frame."""
    told = _told(router, call, chunks)
    late = call.answered is None
    if late or call.heard:
        told = _signed(call, told, late=late)
    if late:
        yield PING
    frames: list[bytes] = []
    sent = time.monotonic()
    ended: GatewayError | None = None
    call.watch.wake = sent + ping_every
    try:
        for item in told:
            if item is not PAUSE:
                frames.append(b"data: %b\n\n" % dumps(item))
                continue
            if not frames and time.monotonic() - sent >= ping_every:
                frames.append(PING)
            if frames:
                yield b"".join(frames)
                frames, sent = [], time.monotonic()
                call.watch.wake = sent + ping_every
        frames.append(DONE)
    except GatewayError as error:
        ended = forgotten(error)
    except Exception as error:  # noqa: BLE001 - the 200 is out: an error frame can still be sent; the log says what it was
        call.fault, ended = traced(error), InternalError("The gateway failed.")
    if ended is not None:
        trail = {"gateway": call.trail()} if late else {}
        frames.append(b"data: %b\n\n" % dumps(ended.envelope() | trail))
    yield b"".join(frames)
    call.finish(ended)


def _told(router: Router, call: Call, chunks: Iterator[Chunk | Pause]) -> Iterator[Chunk | Pause]:
    """The chunks as the client asked for them: with usage at the end, or without any."""
    wanted = bool((call.chat.get("stream_options") or {}).get("include_usage"))
    size, last = 0, None
    try:
        for chunk in chunks:
            if chunk is PAUSE:
                yield chunk
            elif not chunk["choices"] and chunk.get("usage"):
                call.usage, last = chunk["usage"], chunk
            else:
                for choice in chunk["choices"]:
                    content = choice["delta"].get("content")
                    size += len(content) if isinstance(content, str) else len(str(choice["delta"])) // 4
                last = last or {**chunk, "choices": []}
                yield {**chunk, "usage": None} if wanted else chunk
    finally:  # also of an answer that broke off, or that nobody waited for
        if call.usage is None and call.answered:
            before = call.heard.used["prompt_tokens"] if call.heard else 0
            call.usage = _estimate(call, math.ceil(size / tokens.BYTES_A_TOKEN), before)
        router.settle(call)
    if wanted and last:
        yield {**last, "usage": call.usage}


def _signed(call: Call, chunks: Iterator[Chunk | Pause], *, late: bool) -> Iterator[Chunk | Pause]:
    """
    For a stream that began `late`, before anybody had answered, or that was carried on: its last chunk says what the
    headers could not.
    """
    held: Chunk | None = None
    for chunk in chunks:
        if chunk is PAUSE:
            yield chunk
            continue
        if held:
            yield held
        ends = not chunk["choices"] or any(choice.get("finish_reason") for choice in chunk["choices"])
        held = chunk if ends and (late or (call.heard and call.heard.broken)) else None
        if not held:
            yield chunk
    if held:
        yield {**held, "gateway": call.trail()}


def _estimate(call: Call, completion: int, before: int = 0) -> Json:
    """`before`: of the prompts of attempts that broke off."""
    return tokens.usage(before + tokens.of_prompt(call.chat), completion)
