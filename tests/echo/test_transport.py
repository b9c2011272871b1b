"""The built-in provider as a transport: its streams keep deadlines, and watch the client."""

import math
import time

import pytest

from gateway.echo.transport import EchoAdapter
from gateway.errors import ClientDisconnected, ShuttingDown
from gateway.json_codec import dumps
from gateway.server.shutdown import Shutdown
from gateway.stream_events import PAUSE
from gateway.transport.client_watch import ClientWatch
from gateway.transport.upstream_wait import FIRST_CONTENT, DeadlinePassed, UpstreamWait
from tests.support.socket_upstream import connected_client

REQUEST = {"model": "echo", "stream": True, "n": 128, "messages": [{"role": "user", "content": "word " * 800}]}


def stream(wait, pace=0.0, sleep=lambda _: None, **fields):
    exchange = EchoAdapter(pace, sleep).open("POST", "echo://chat/completions", {}, dumps({**REQUEST, **fields}), wait)
    return exchange, iter(exchange.blocks())


def test_a_stream_ends_at_its_deadline():
    wait = UpstreamWait()
    _, blocks = stream(wait)
    next(blocks)
    wait.deadline, wait.deadline_kind = time.monotonic(), FIRST_CONTENT
    with pytest.raises(DeadlinePassed) as passed:
        next(blocks)
    assert passed.value.kind == FIRST_CONTENT


def test_a_pace_is_not_slept_beyond_the_deadline():
    slept = []
    _, blocks = stream(UpstreamWait(deadline=time.monotonic() + 5), pace=1000.0, sleep=slept.append)
    next(blocks), next(blocks)
    assert slept
    assert max(slept) <= 5


def test_a_stream_ends_when_the_client_leaves():
    with connected_client() as (client, accepted):
        watch = ClientWatch(accepted, checked_at=-math.inf)
        _, blocks = stream(UpstreamWait(watch))
        next(blocks)
        client.close()
        watch.checked_at = -math.inf
        with pytest.raises(ClientDisconnected):
            next(blocks)


def test_a_stream_ends_when_another_attempt_was_first():
    wait = UpstreamWait()
    _, blocks = stream(wait)
    next(blocks)
    wait.cancelled = True
    with pytest.raises(ClientDisconnected):
        next(blocks)


def test_a_stream_ends_at_the_end_of_the_grace_period():
    shutdown = Shutdown()
    _, blocks = stream(UpstreamWait(ClientWatch(shutdown=shutdown)))
    next(blocks)
    shutdown.deadline = -math.inf
    with pytest.raises(ShuttingDown):
        next(blocks)


def test_chunks_are_made_when_they_are_due_and_others_get_their_turn():
    slept = []
    _, blocks = stream(UpstreamWait(ClientWatch(yield_at=-math.inf)), sleep=slept.append)
    received = [next(blocks) for _ in range(200)]
    assert received.count(PAUSE) == 100
    assert len(slept) == 4


def test_a_schema_that_cannot_be_filled_is_an_error_before_the_stream_begins():
    schema = {"type": "string", "minLength": 1 << 40}
    response_format = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    exchange, _ = stream(UpstreamWait(), response_format=response_format)
    assert exchange.status == 400
