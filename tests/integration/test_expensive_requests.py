"""Small requests that cause much work in the built-in model, which runs in the gateway's process."""

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import servers
from tests.support.http_client import CHAT, chat_request, get

TIMEOUT = 8
EMBEDDINGS = "/v1/embeddings"


def schema_request(schema):
    return CHAT, chat_request(response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": schema}})


def tool_request(parameters):
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    return CHAT, chat_request(tools=[tool], tool_choice="required")


def nested_arrays(levels):
    return {"type": "array", "minItems": 100, "items": nested_arrays(levels - 1)} if levels else {"type": "string"}


NAMES = list("abcdefgh")
RECURSIVE = {"type": "object", "properties": {name: {"$ref": "#"} for name in NAMES}, "required": NAMES}
CASES = {
    "embedding with a trillion dimensions": (EMBEDDINGS, {"model": "echo", "input": "a", "dimensions": 1 << 40}),
    "thousands of large embeddings": (EMBEDDINGS, {"model": "echo", "input": ["a"] * 2048, "dimensions": 100_000}),
    "nested arrays": schema_request(nested_arrays(5)),
    "nested arrays for a tool": tool_request(nested_arrays(5)),
    "recursive schema": schema_request(RECURSIVE),
    "recursive schema for a tool": tool_request(RECURSIVE),
    "recursive schema in each part of allOf": schema_request({"allOf": [{"$ref": "#"}, {"$ref": "#"}, {"$ref": "#"}]}),
    "very long string": schema_request({"type": "string", "minLength": 1 << 40}),
    "very small multipleOf": schema_request({"type": "number", "multipleOf": 1e-300, "minimum": 1e300}),
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
def dedicated_gateway(worker_class, tmp_path_factory):
    """A gateway that no other module uses: it may not survive."""
    folder = tmp_path_factory.mktemp("own")
    with servers.run_gateway(folder, GATEWAY_WORKER_CLASS=worker_class) as server:
        yield server
        if get(server, "/health").status_code != 200:
            server.process.kill()


@pytest.mark.parametrize("case", CASES)
def test_an_expensive_request_gets_a_response_within_the_timeout(dedicated_gateway, case):
    path, body = CASES[case]
    response = requests.post(dedicated_gateway.url + path, json=body, timeout=TIMEOUT)
    assert response.status_code in (200, 400)
    assert len(response.content) < 100 << 20
    assert get(dedicated_gateway, "/health").status_code == 200


def test_no_schema_causes_a_500(dedicated_gateway):
    @settings(max_examples=150, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(SCHEMAS)
    def check(schema):
        for path, body in (schema_request(schema), tool_request(schema)):
            response = requests.post(dedicated_gateway.url + path, json=body, timeout=TIMEOUT)
            assert response.status_code in (200, 400), (response.text, schema)

    check()
