"""Any value anywhere in an upstream's response: it reaches the client as JSON, or it is the upstream's failure."""

import copy
import json

import pytest

from gateway.completions.completion import complete
from gateway.completions.event_stream import stream
from gateway.errors import UpstreamFault
from gateway.json_codec import dumps
from tests.support.fakes import COMPLETION, USAGE, FakeUpstreams, call, chunk, plain, sse, target

DEEP = json.loads("[" * 190 + "]" * 190)
NONSENSE = [
    None,
    True,
    -1,
    1e308,
    2**63,
    10**40,
    "text",
    "9" * 5000,
    [],
    [1],
    [[]],
    {},
    {"a": 1},
    {"type": "text"},
    DEEP,
]
OPENAI_CALL = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
OPENAI_PLAIN = {
    **COMPLETION,
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hi", "tool_calls": [OPENAI_CALL]},
            "finish_reason": "stop",
        }
    ],
}
OPENAI_STREAM = [chunk("Hi"), chunk(tool_calls=[OPENAI_CALL]), chunk(finish="stop"), USAGE]
ANTHROPIC_PLAIN = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "model": "c",
    "content": [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": "Hi", "citations": [{"type": "x", "url": "https://a.example", "title": "t"}]},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
    ],
    "stop_reason": "end_turn",
    "usage": {
        "input_tokens": 1,
        "output_tokens": 1,
        "cache_read_input_tokens": 1,
        "service_tier": "standard",
        "iterations": [{"type": "compaction", "input_tokens": 1}],
        "output_tokens_details": {"thinking_tokens": 1},
        "server_tool_use": {"web_search_requests": 1},
    },
}
ANTHROPIC_STREAM = [
    {"type": "message_start", "message": {**ANTHROPIC_PLAIN, "content": []}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": "Hi", "citations": []}},
    {
        "type": "content_block_delta",
        "index": 1,
        "delta": {"type": "citations_delta", "citation": {"url": "https://a.b"}},
    },
    {"type": "content_block_stop", "index": 1},
    {
        "type": "content_block_start",
        "index": 2,
        "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}},
    },
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
    {"type": "content_block_stop", "index": 2},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
]
ERROR = {
    "error": {"message": "no", "type": "t", "param": "p", "code": "c", "metadata": {"raw": "r"}},
    "detail": [{"msg": "x"}],
}
VENDORS = {"openai": (OPENAI_PLAIN, OPENAI_STREAM), "anthropic": (ANTHROPIC_PLAIN, ANTHROPIC_STREAM)}


def paths(value, path=()):
    yield path
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        yield from paths(member, (*path, key))


def variants(value):
    """The value with nonsense in one place after the other."""
    for path in paths(value):
        for nonsense in NONSENSE:
            changed = {"": copy.deepcopy(value)}
            parent, key = changed, ""
            for step in path:
                parent, key = parent[key], step
            parent[key] = nonsense
            yield changed[""]


def read_plain(vendor, exchange):
    try:
        body = complete(FakeUpstreams(exchange).router, call(target(vendor)))
    except UpstreamFault as error:
        body = error.envelope()
    assert dumps(body)


def read_stream(vendor, exchange):
    client_call = call(target(vendor), stream=True, stream_options={"include_usage": True})
    try:
        frames = b"".join(stream(FakeUpstreams(exchange).router, client_call)).split(b"\n\n")
    except UpstreamFault as error:
        frames = [b"data: %b" % dumps(error.envelope()), b"", b""]
    assert not client_call.fault
    assert isinstance(client_call.error, UpstreamFault | None)
    assert all(json.loads(frame.removeprefix(b"data: ")) for frame in frames[:-2])


@pytest.mark.parametrize("vendor", VENDORS)
def test_nonsense_in_a_plain_response_is_never_a_fault_of_the_gateway(vendor):
    for body in variants(VENDORS[vendor][0]):
        read_plain(vendor, plain(body))


@pytest.mark.parametrize("vendor", VENDORS)
def test_nonsense_in_a_stream_is_never_a_fault_of_the_gateway(vendor):
    for events in variants(VENDORS[vendor][1]):
        read_stream(vendor, sse(*map(json.dumps, events if isinstance(events, list) else [events])))


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("status", [200, 400, 401, 403, 429, 500])
def test_nonsense_in_an_error_is_never_a_fault_of_the_gateway(vendor, status):
    for body in variants(ERROR):
        read_plain(vendor, plain(body, status))
        read_stream(vendor, sse(json.dumps(body)))
