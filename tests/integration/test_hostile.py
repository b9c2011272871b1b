"""Small requests that ask for a lot: of the built-in model, which does its work within the gateway's own process."""

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import servers
from tests.support.http_client import CHAT, chat, get

SOON = 8
EMBEDDINGS = "/v1/embeddings"


def filling(schema):
    return CHAT, chat(response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": schema}})


def calling(parameters):
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    return CHAT, chat(tools=[tool], tool_choice="required")


def nested(levels):
    return {"type": "array", "minItems": 100, "items": nested(levels - 1)} if levels else {"type": "string"}


NAMES = list("abcdefgh")
ITSELF = {"type": "object", "properties": {name: {"$ref": "#"} for name in NAMES}, "required": NAMES}
LARGE = {
    "an embedding of a trillion dimensions": (EMBEDDINGS, {"model": "echo", "input": "a", "dimensions": 1 << 40}),
    "thousands of large embeddings": (EMBEDDINGS, {"model": "echo", "input": ["a"] * 2048, "dimensions": 100_000}),
    "arrays in arrays": filling(nested(5)),
    "arrays in arrays for a tool": calling(nested(5)),
    "a schema within itself": filling(ITSELF),
    "a schema within itself for a tool": calling(ITSELF),
    "a schema in every part of allOf": filling({"allOf": [{"$ref": "#"}, {"$ref": "#"}, {"$ref": "#"}]}),
    "a very long text": filling({"type": "string", "minLength": 1 << 40}),
    "a very small step": filling({"type": "number", "multipleOf": 1e-300, "minimum": 1e300}),
}
KEYWORDS = (
    "type", "enum", "const", "default", "examples", "$ref", "allOf", "anyOf", "oneOf", "properties", "required", "items",
    "minItems", "maxItems", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "multipleOf", "format", "pattern", "additionalProperties", "prefixItems", "$defs",
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(
        ["string", "number", "integer", "array", "object", "null", "date", "#", "#/properties", "#/0", "x"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYWORDS), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip
SCHEMAS = st.dictionaries(st.sampled_from(KEYWORDS), VALUES, min_size=1, max_size=6)


@pytest.fixture(scope="module")
def lone(worker_class, tmp_path_factory):
    """A gateway that nobody else needs."""
    folder = tmp_path_factory.mktemp("lone")
    with servers.gateway(folder, GATEWAY_WORKER_CLASS=worker_class) as server:
        yield server
        if get(server, "/health").status_code != 200:
            server.process.kill()


@pytest.mark.parametrize("case", LARGE)
def test_a_small_request_is_answered_soon(lone, case):
    path, body = LARGE[case]
    answer = requests.post(lone.url + path, json=body, timeout=SOON)
    assert answer.status_code in (200, 400)
    assert len(answer.content) < 100 << 20
    assert get(lone, "/health").status_code == 200


def test_no_schema_is_a_500(lone):
    @settings(max_examples=150, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(SCHEMAS)
    def check(schema):
        for path, body in (filling(schema), calling(schema)):
            answer = requests.post(lone.url + path, json=body, timeout=SOON)
            assert answer.status_code in (200, 400), (answer.text, schema)

    check()
