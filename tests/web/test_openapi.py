"""The OpenAPI document: it is valid, complete, and agrees with the validation of requests."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from openapi_spec_validator import validate
from schemathesis.core.parameters import ParameterLocation

from gateway.errors import InvalidRequest
from gateway.web.openai.openapi import document
from gateway.web.openai.request_schemas import CHAT, EMBEDDINGS, load_chat, load_embeddings
from gateway.web.respond import EXPOSED_HEADERS
from tests.support.chat_examples import ACCEPTED, REFUSED

DOCUMENT = document("http://127.0.0.1:8000")
SCHEMAS = DOCUMENT["components"]["schemas"]
LOADERS = {"/v1/chat/completions": load_chat, "/v1/embeddings": load_embeddings}
RESPONSES = [
    (path, method, status, response)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
    for status, response in operation["responses"].items()
]


def test_the_document_is_valid_openapi():
    validate(DOCUMENT)
    validate(document(None, needs_key=False))


def test_every_path_is_described():
    assert set(DOCUMENT["paths"]) == {
        "/v1/chat/completions",
        "/v1/embeddings",
        "/v1/route/explain",
        "/v1/models",
        "/v1/models/{model}",
        "/health",
        "/health/live",
        "/health/ready",
        "/metrics",
        "/openapi.json",
    }


def test_the_server_is_listed_if_its_url_is_known():
    assert DOCUMENT["servers"] == [{"url": "http://127.0.0.1:8000"}]
    assert "servers" not in document(None)


def test_security_is_required_only_where_a_key_is_needed():
    paths = document(None, needs_key=True)["paths"]
    assert paths["/v1/chat/completions"]["post"]["security"] == [{"bearer": []}, {"x-api-key": []}]
    assert paths["/health"]["get"]["security"] == []
    assert document(None, needs_key=False)["paths"]["/v1/models"]["get"]["security"] == []


def test_the_refusals_of_a_gateway_without_keys_are_described_where_no_key_is_needed():
    for operations in document(None, needs_key=False)["paths"].values():
        for operation in operations.values():
            assert {"403", "421"} <= set(operation["responses"])


def test_chat_completions_respond_in_json_and_in_event_streams():
    response = DOCUMENT["paths"]["/v1/chat/completions"]["post"]["responses"]["200"]
    assert set(response["content"]) == {"application/json", "text/event-stream"}


def test_only_statuses_and_headers_that_the_gateway_sends_are_described():
    statuses = {status for _, _, status, _ in RESPONSES}
    names = {name for *_, response in RESPONSES for name in response["headers"]}
    assert "403" not in statuses
    assert names == set(DOCUMENT["components"]["headers"])
    assert {name.lower() for name in names} == set(EXPOSED_HEADERS)


@pytest.mark.parametrize(("path", "method", "status", "response"), RESPONSES)
def test_every_response_has_a_request_id_and_every_error_the_error_object(path, method, status, response):
    assert "x-request-id" in response["headers"]
    if status != "200" and not path.startswith("/health"):
        assert response["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/ErrorResponse"}


@pytest.mark.parametrize(("name", "schema"), [("ChatRequest", CHAT), ("EmbeddingsRequest", EMBEDDINGS)])
def test_every_field_of_a_request_is_described(name, schema):
    assert set(SCHEMAS[name]["properties"]) == set(schema.load_fields)
    assert SCHEMAS[name]["additionalProperties"] is True


def test_ranges_enums_and_nulls_are_described():
    fields = SCHEMAS["ChatRequest"]["properties"]
    assert len(fields) == 38
    assert fields["temperature"] == {"type": ["number", "null"], "minimum": 0, "maximum": 2}
    assert fields["verbosity"] == {"type": ["string", "null"], "enum": ["low", "medium", "high", None]}
    assert fields["n"] == {"type": ["integer", "null"], "minimum": 1, "maximum": 128}
    assert fields["user"] == {"type": "string"}
    assert fields["metadata"] == {
        "type": ["object", "null"],
        "additionalProperties": {"type": "string", "maxLength": 512},
        "maxProperties": 16,
        "propertyNames": {"maxLength": 64},
    }


def api():
    return schemathesis.openapi.from_dict(DOCUMENT)


def bodies(path, mode):
    """Random requests of the document: valid ones or, in the negative mode, invalid ones."""
    return api()[path]["POST"].as_strategy(generation_mode=mode)


def is_accepted(path, body):
    try:
        LOADERS[path](body)
    except InvalidRequest:
        return False
    return True


FEW_EXAMPLES = settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate], database=None
)


@pytest.mark.parametrize("path", LOADERS)
def test_requests_that_the_document_allows_are_accepted(path):
    @FEW_EXAMPLES
    @given(bodies(path, schemathesis.GenerationMode.POSITIVE))
    def check(case):
        LOADERS[path](case.body)

    check()


@pytest.mark.parametrize("path", LOADERS)
def test_requests_that_the_document_does_not_allow_are_refused(path):
    @FEW_EXAMPLES
    @given(bodies(path, schemathesis.GenerationMode.NEGATIVE))
    def check(case):
        assume(case.meta.components[ParameterLocation.BODY].mode == schemathesis.GenerationMode.NEGATIVE)
        assume(case.media_type == "application/json")
        assert not is_accepted(path, case.body)

    check()


@pytest.fixture(scope="module")
def is_allowed():
    """Whether the document allows a chat request."""
    from jsonschema import Draft202012Validator

    schema = {"$ref": "#/components/schemas/ChatRequest", "components": DOCUMENT["components"]}
    return Draft202012Validator(schema).is_valid


@pytest.mark.parametrize("data", ACCEPTED, ids=range(len(ACCEPTED)))
def test_the_document_allows_requests_that_are_accepted(is_allowed, data):
    assert is_allowed(data)


@pytest.mark.parametrize("data", [data for data, _, _ in REFUSED], ids=range(len(REFUSED)))
def test_the_document_does_not_allow_requests_that_are_refused(is_allowed, data):
    assert not is_allowed(data)
