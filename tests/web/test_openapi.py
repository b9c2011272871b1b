"""The document of this API, and that it says what the validation does."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from openapi_spec_validator import validate
from schemathesis.core.parameters import ParameterLocation

from gateway.errors import InvalidRequest
from gateway.web.openai.openapi import document
from gateway.web.openai.request_schemas import CHAT, EMBEDDINGS, chat, embeddings
from tests.support.chat_examples import ACCEPTED, REFUSED

DOCUMENT = document("http://127.0.0.1:8000")
SCHEMAS = DOCUMENT["components"]["schemas"]
CHECKS = {"/v1/chat/completions": chat, "/v1/embeddings": embeddings}
ANSWERS = [
    (path, method, status, answer)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
    for status, answer in operation["responses"].items()
]


def test_the_document_is_valid_openapi():
    validate(DOCUMENT)
    validate(document(None, closed=False))


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


def test_a_server_is_named_where_it_is_known():
    assert DOCUMENT["servers"] == [{"url": "http://127.0.0.1:8000"}]
    assert "servers" not in document(None)


def test_a_key_is_asked_for_where_one_is_needed():
    paths = document(None, closed=True)["paths"]
    assert paths["/v1/chat/completions"]["post"]["security"] == [{"bearer": []}, {"x-api-key": []}]
    assert paths["/health"]["get"]["security"] == []
    assert document(None, closed=False)["paths"]["/v1/models"]["get"]["security"] == []


def test_chat_answers_in_json_and_in_events():
    answer = DOCUMENT["paths"]["/v1/chat/completions"]["post"]["responses"]["200"]
    assert set(answer["content"]) == {"application/json", "text/event-stream"}


@pytest.mark.parametrize(("path", "method", "status", "answer"), ANSWERS)
def test_every_answer_has_a_request_id_and_every_error_the_envelope(path, method, status, answer):
    assert "x-request-id" in answer["headers"]
    if status != "200" and not path.startswith("/health"):
        assert answer["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Error"}


@pytest.mark.parametrize(("name", "shape"), [("ChatRequest", CHAT), ("EmbeddingsRequest", EMBEDDINGS)])
def test_every_field_of_a_request_is_described(name, shape):
    assert set(SCHEMAS[name]["properties"]) == set(shape.load_fields)
    assert SCHEMAS[name]["additionalProperties"] is True


def test_ranges_words_and_nulls_are_described():
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
    """Requests made from the document: valid ones or, in the negative mode, wrong ones."""
    return api()[path]["POST"].as_strategy(generation_mode=mode)


def is_accepted(path, body):
    try:
        CHECKS[path](body)
    except InvalidRequest:
        return False
    return True


QUICK = settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate], database=None
)


@pytest.mark.parametrize("path", CHECKS)
def test_what_the_document_calls_valid_is_accepted(path):
    @QUICK
    @given(bodies(path, schemathesis.GenerationMode.POSITIVE))
    def holds(case):
        CHECKS[path](case.body)

    holds()


@pytest.mark.parametrize("path", CHECKS)
def test_what_the_document_calls_wrong_is_refused(path):
    @QUICK
    @given(bodies(path, schemathesis.GenerationMode.NEGATIVE))
    def holds(case):
        assume(case.meta.components[ParameterLocation.BODY].mode == schemathesis.GenerationMode.NEGATIVE)
        assume(case.media_type == "application/json")
        assert not is_accepted(path, case.body)

    holds()


@pytest.fixture(scope="module")
def conforms():
    """Whether a request is valid by the document."""
    from jsonschema import Draft202012Validator

    whole = {"$ref": "#/components/schemas/ChatRequest", "components": DOCUMENT["components"]}
    return Draft202012Validator(whole).is_valid


@pytest.mark.parametrize("data", ACCEPTED, ids=range(len(ACCEPTED)))
def test_the_document_calls_valid_what_is_accepted(conforms, data):
    assert conforms(data)


@pytest.mark.parametrize("data", [data for data, _, _ in REFUSED], ids=range(len(REFUSED)))
def test_the_document_calls_wrong_what_is_refused(conforms, data):
    assert not conforms(data)
