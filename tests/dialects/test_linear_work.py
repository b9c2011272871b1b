"""The work of a dialect grows at most in proportion to its input, whatever the input is made of."""

import json

import pytest

from gateway.catalog.vendors import VENDORS
from gateway.dialects import ADAPTERS
from gateway.dialects.contract import TargetRequest
from tests.support.operations import grows_linearly, operations

USER = {"role": "user", "content": "a"}


def call(ident):
    return {"type": "function", "id": ident, "function": {"name": "f", "arguments": ""}}


def results(idents):
    return [{"role": "tool", "tool_call_id": ident, "content": "x"} for ident in idents]


def calls_of_one_id(n):
    return {"messages": [USER, {"role": "assistant", "tool_calls": [call("x")] * n}, *results("x" * n)]}


def calls_of_ids_that_collide(n):
    """Ids that are the numbered forms of another, which other calls have as well."""
    idents = [f"x_{k}" for k in range(n)] + ["x"] * n
    return {"messages": [USER, {"role": "assistant", "tool_calls": [*map(call, idents)]}, *results(idents)]}


def calls_answered_backwards(n):
    idents = [f"c{k}" for k in range(n)]
    return {"messages": [USER, {"role": "assistant", "tool_calls": [*map(call, idents)]}, *results(idents[::-1])]}


def calls_without_results(n):
    return {"messages": [USER, {"role": "assistant", "tool_calls": [call(f"c{k}") for k in range(n)]}]}


def legacy_results(n):
    messages = [{"role": "assistant", "function_call": {"name": "f", "arguments": ""}}] * n
    return {"messages": [USER, *messages, *[{"role": "function", "name": "f", "content": "x"}] * n]}


def invalid_thinking_blocks(n):
    return {"messages": [{"role": "assistant", "content": "a", "thinking_blocks": [{}] * n}, USER]}


def named_messages(n):
    return {"messages": [{**USER, "name": "n"}] * n}


def tools_and_allowed_tools(n):
    allowed = [{"type": "function", "function": {"name": f"f{k}"}} for k in range(n)]
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": allowed[::-1]}}
    tools = [{"type": "function", "function": {"name": f"f{k}", "parameters": {}}} for k in range(2 * n)]
    return {"messages": [USER], "tools": tools, "tool_choice": choice}


def doubling_schema(n):
    """Each definition refers to the next one twice, so that there are 2 ** n ways through it."""
    last = {f"d{n}": {"type": "string"}}
    defs = {
        f"d{k}": {"type": "object", "properties": {p: {"$ref": f"#/$defs/d{k + 1}"} for p in "ab"}} for k in range(n)
    }
    return {"type": "object", "properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": {**defs, **last}}


def doubling_response_format(n):
    schema = {"name": "s", "schema": doubling_schema(n)}
    return {"messages": [USER], "response_format": {"type": "json_schema", "json_schema": schema}}


def doubling_strict_tool(n):
    function = {"name": "f", "strict": True, "parameters": doubling_schema(n)}
    return {"messages": [USER], "tools": [{"type": "function", "function": function}]}


def aliased_references(n):
    """A large definition, to which `n` references lead that are written in `n` ways."""
    large = {"type": "object", "properties": {f"p{k}": {"type": "string"} for k in range(n)}}
    references = {f"r{k}": {"$ref": f"#{k}/$defs/large"} for k in range(n)}
    schema = {"type": "object", "properties": references, "$defs": {"large": large}}
    return {
        "messages": [USER],
        "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}},
    }


SIZES = {doubling_response_format: 12, doubling_strict_tool: 12}
REQUESTS = [
    calls_of_one_id,
    calls_of_ids_that_collide,
    calls_answered_backwards,
    calls_without_results,
    legacy_results,
    invalid_thinking_blocks,
    named_messages,
    tools_and_allowed_tools,
    doubling_response_format,
    doubling_strict_tool,
    aliased_references,
]


def translate(dialect):
    def run(fields):
        chat = {"model": "m", **fields}
        vendor = VENDORS["anthropic" if dialect == "anthropic" else "groq"]
        ADAPTERS[dialect].vendor_request(TargetRequest(chat, "claude-sonnet-4-5", vendor, "id", 1))

    return run


@pytest.mark.parametrize("dialect", ADAPTERS)
@pytest.mark.parametrize("request_of", REQUESTS)
def test_a_request_of_twice_the_size_takes_at_most_twice_the_work(dialect, request_of):
    assert grows_linearly(translate(dialect), request_of, SIZES.get(request_of, 150))


def anthropic_signature(n):
    """A signature in `n` pieces, and as many blocks."""
    start = {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}}
    piece = {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "x" * 40}}
    stop = {"type": "content_block_stop", "index": 0}
    return [start, *[piece] * n, stop, *[start, stop] * n]


def openai_calls(n):
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "x" * 40}}
    return [
        {"id": "c", "choices": [{"index": 0, "delta": {"tool_calls": [{**call, "id": f"c{k}"}]}}]} for k in range(n)
    ]


def read_stream(dialect, blocks):
    adapter = ADAPTERS[dialect]
    request = TargetRequest({"model": "m", "messages": [USER]}, "m", VENDORS["groq"], "id", 1)
    return list(adapter.chunks(request, adapter.events(blocks, 1 << 20)))


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
@pytest.mark.parametrize("dialect, events_of", [("anthropic", anthropic_signature), ("openai", openai_calls)])
def test_a_stream_of_twice_the_length_takes_at_most_twice_the_work(dialect, events_of, size):
    def blocks(n):
        wire = b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events_of(n))
        return [wire[at : at + size] for at in range(0, len(wire), size)]

    assert grows_linearly(lambda received: read_stream(dialect, received), blocks, 50)


@pytest.mark.parametrize("dialect", ADAPTERS)
def test_an_error_of_any_length_takes_the_same_work(dialect):
    def read(body):
        ADAPTERS[dialect].error(400, body)

    short, long = (operations(read, {"error": {"message": "prompt (" * n}}) for n in (10_000, 1_000_000))
    assert long == short


def test_the_instructions_are_counted():
    assert not grows_linearly(lambda numbers: [a for a in numbers for b in numbers], range, 100)
    assert operations(translate("anthropic"), {"messages": [USER]}) > 100
