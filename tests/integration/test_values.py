"""Values within a body: wrong ones anywhere are a clear 4xx, unknown ones go through to the letter."""

import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.http_client import chat, error, post
from tests.support.scripted_upstream import STOP, completion, message, plain, streamed, text

WRONG_PLACES = [
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
FULL = {
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
ANYTHING = st.recursive(
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
    """The tree with another value at a path."""
    if not path:
        return value
    first, *rest = path
    if isinstance(tree, list):
        return [with_value(one, rest, value) if n == first else one for n, one in enumerate(tree)]
    return {**tree, first: with_value(tree.get(first, {}), rest, value)}


@pytest.mark.parametrize("model", ["echo", "openai", "anthropic"])
def test_wrong_values_anywhere_are_never_a_500(gateway, upstream, model):
    names = {
        "echo": "echo",
        "openai": "openai/" + upstream.model(plain(completion())),
        "anthropic": "anthropic/" + upstream.model(plain(message())),
    }

    @settings(max_examples=60, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(WRONG_PLACES), ANYTHING)
    def check(path, value):
        body = with_value({**FULL, "model": names[model]}, path, value)
        response = post(gateway, body)
        if path == ("stream",) and value is True:
            return
        if response.status_code != 200:
            assert response.status_code in (400, 404), (response.text, body)
            error(response, response.status_code)

    check()


@settings(max_examples=60, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(body=st.binary(max_size=60) | ANYTHING.map(lambda value: json.dumps(value).encode()))
def test_random_bodies_are_400(gateway, body):
    error(post(gateway, body), 400)


@pytest.mark.parametrize(
    "path, more",
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
def test_a_whole_number_with_a_point_is_taken_or_refused(gateway, path, more):
    """JSON Schema calls 7.0 an integer, and so does the document of this gateway."""
    body = {"model": "echo", **more} if "input" in more else chat(**more)
    answer = post(gateway, body, path)
    if answer.status_code != 200:
        error(answer, 400)


LONG = 123456789012345678901234567890
DEEPLY = {
    "x_unknown": {"deep": [{"n": LONG, "f": 0.1, "e": 1.0e-7, "null": None, "t": True, "żółć": "🦜"}]},
    "seed": 9223372036854775807,
}


@pytest.mark.parametrize("streams", [False, True])
def test_unknown_fields_and_long_integers_reach_the_upstream_to_the_letter(gateway, upstream, streams):
    model = upstream.model(streamed(text("Hello"), STOP) if streams else plain(completion()))
    said = {"role": "user", "content": [{"type": "text", "text": "hello", "x_part": LONG}], "x_message": {"y": [LONG]}}
    schema = {"type": "object", "properties": {"a": {"const": LONG, "x_schema": 1.5}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": schema, "x_function": 1}, "x_tool": [LONG]}
    asked = {"model": f"openai/{model}", "messages": [said], "tools": [tool], **DEEPLY, "stream": streams}
    assert post(gateway, asked).status_code == 200
    (call,) = upstream.calls[model]
    arrived = call.json
    assert math.isclose(arrived["x_unknown"]["deep"][0]["f"], 0.1)
    for name in ("messages", "tools", *DEEPLY):
        assert arrived[name] == asked[name]
    assert call.body.count(str(LONG).encode()) == 5


def test_unknown_fields_and_long_integers_of_the_upstream_reach_the_client(gateway, upstream):
    answered = completion(x_top=LONG, x_deep={"y": [LONG, {"z": None}]})
    answered["choices"][0] |= {"x_choice": LONG}
    answered["choices"][0]["message"] |= {"x_message": [LONG]}
    told = post(gateway, chat("openai/" + upstream.model(plain(answered)))).json()
    assert told["x_top"] == LONG
    assert told["x_deep"] == answered["x_deep"]
    assert told["choices"] == answered["choices"]
