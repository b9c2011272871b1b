"""Values in request bodies: an invalid one is a 4xx wherever it is, an unknown one passes through unchanged."""

import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.http_client import chat_request, expect_error, post
from tests.support.scripted_upstream import STOP, anthropic_message, completion, json_response, sse_response, text_chunk

PATHS = [
    ("model",), ("messages",), ("messages", 0), ("messages", 0, "role"), ("messages", 0, "content"),
    ("messages", 1, "content", 0), ("messages", 1, "content", 0, "type"), ("messages", 1, "content", 1, "image_url"),
    ("messages", 1, "content", 1, "image_url", "url"), ("messages", 2, "tool_calls"), ("messages", 2, "tool_calls", 0),
    ("messages", 2, "tool_calls", 0, "function"), ("messages", 2, "tool_calls", 0, "function", "arguments"),
    ("messages", 3, "tool_call_id"), ("tools",), ("tools", 0), ("tools", 0, "function"),
    ("tools", 0, "function", "parameters"), ("tool_choice",), ("response_format",), ("response_format", "json_schema"),
    ("response_format", "json_schema", "schema"), ("stop",), ("stream",), ("stream_options",), ("n",), ("seed",),
    ("logit_bias",), ("metadata",), ("user",), ("reasoning_effort",), ("max_tokens",), ("temperature",), ("top_p",),
    ("prediction",), ("audio",), ("modalities",), ("web_search_options",), ("functions",), ("function_call",),
]  # fmt: skip
REQUEST = {
    "model": "echo",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "7"},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}},
}
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


def with_value(tree, path, value):
    """Return a copy of the tree with another value at a path."""
    if not path:
        return value
    first, *rest = path
    if isinstance(tree, list):
        return [with_value(item, rest, value) if index == first else item for index, item in enumerate(tree)]
    return {**tree, first: with_value(tree.get(first, {}), rest, value)}


@pytest.mark.parametrize("model", ["echo", "openai", "anthropic"])
def test_an_invalid_value_is_never_a_500(gateway, scripted_upstream, model):
    names = {
        "echo": "echo",
        "openai": "openai/" + scripted_upstream.add_model(json_response(completion())),
        "anthropic": "anthropic/" + scripted_upstream.add_model(json_response(anthropic_message())),
    }

    @settings(max_examples=60, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(PATHS), JSON_VALUES)
    def check(path, value):
        body = with_value({**REQUEST, "model": names[model]}, path, value)
        response = post(gateway, body)
        if path == ("stream",) and value is True:
            return
        if response.status_code != 200:
            assert response.status_code in (400, 404), (response.text, body)
            expect_error(response, response.status_code)

    check()


@settings(max_examples=60, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(body=st.binary(max_size=60) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_a_random_body_is_a_400(gateway, body):
    expect_error(post(gateway, body), 400)


@pytest.mark.parametrize(
    "path, fields",
    [
        ("/v1/chat/completions", {"n": 2.0}),
        ("/v1/chat/completions", {"max_tokens": 3.0}),
        ("/v1/chat/completions", {"max_completion_tokens": 3.0}),
        ("/v1/chat/completions", {"seed": 7.0, "top_logprobs": 2.0, "logprobs": True, "logit_bias": {"5": 1.0}}),
        ("/v1/embeddings", {"input": [3212.0, 584]}),
        ("/v1/embeddings", {"input": [[3212.0, 584.0], [5]]}),
        ("/v1/embeddings", {"input": "a", "dimensions": 7.0}),
    ],
    ids=str,
)
def test_an_integer_written_as_a_float_is_accepted_or_is_a_400(gateway, path, fields):
    """JSON Schema counts 7.0 as an integer, so the OpenAPI document of the gateway allows it."""
    body = {"model": "echo", **fields} if "input" in fields else chat_request(**fields)
    response = post(gateway, body, path)
    if response.status_code != 200:
        expect_error(response, 400)


LONG_INTEGER = 123456789012345678901234567890
UNKNOWN_FIELDS = {
    "x_unknown": {"deep": [{"n": LONG_INTEGER, "f": 0.1, "e": 1.0e-7, "null": None, "t": True, "żółć": "🦜"}]},
    "seed": 9223372036854775807,
}


@pytest.mark.parametrize("stream", [False, True])
def test_unknown_fields_and_long_integers_reach_the_upstream_unchanged(gateway, scripted_upstream, stream):
    model = scripted_upstream.add_model(
        sse_response(text_chunk("Hello"), STOP) if stream else json_response(completion())
    )
    message = {
        "role": "user",
        "content": [{"type": "text", "text": "hello", "x_part": LONG_INTEGER}],
        "x_message": {"y": [LONG_INTEGER]},
    }
    schema = {"type": "object", "properties": {"a": {"const": LONG_INTEGER, "x_schema": 1.5}}}
    tool = {
        "type": "function",
        "function": {"name": "f", "parameters": schema, "x_function": 1},
        "x_tool": [LONG_INTEGER],
    }
    request = {"model": f"openai/{model}", "messages": [message], "tools": [tool], **UNKNOWN_FIELDS, "stream": stream}
    assert post(gateway, request).status_code == 200
    (call,) = scripted_upstream.calls[model]
    received = call.json
    assert math.isclose(received["x_unknown"]["deep"][0]["f"], 0.1)
    for name in ("messages", "tools", *UNKNOWN_FIELDS):
        assert received[name] == request[name]
    assert call.body.count(str(LONG_INTEGER).encode()) == 5


def test_unknown_fields_and_long_integers_from_the_upstream_reach_the_client(gateway, scripted_upstream):
    upstream_response = completion(x_top=LONG_INTEGER, x_deep={"y": [LONG_INTEGER, {"z": None}]})
    upstream_response["choices"][0] |= {"x_choice": LONG_INTEGER}
    upstream_response["choices"][0]["message"] |= {"x_message": [LONG_INTEGER]}
    received = post(
        gateway, chat_request("openai/" + scripted_upstream.add_model(json_response(upstream_response)))
    ).json()
    assert received["x_top"] == LONG_INTEGER
    assert received["x_deep"] == upstream_response["x_deep"]
    assert received["choices"] == upstream_response["choices"]
