"""
The OpenAPI document of this gateway, made from the marshmallow schemas that validate its requests.

What the document's schemas allow is accepted, and what they do not allow is refused. OpenAPI 3.1, whose schemas are JSON
Schema 2020-12, since 3.0 has no null, const or propertyNames. https://spec.openapis.org/oas/v3.1.0
"""

from collections.abc import Mapping
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin

import gateway
from gateway.web.fields import ObjectSchema
from gateway.web.openai.openapi_schemas import component_name, field_schema, with_rules
from gateway.web.openai.request_schemas import ChatRequest, EmbeddingsRequest
from gateway.web.openai.response_schemas import (
    ChatCompletion,
    ChatCompletionChunk,
    EmbeddingsResponse,
    ErrorResponse,
    Health,
    Model,
    ModelList,
    RouteExplanation,
)

Json = dict[str, Any]

DESCRIPTION = (
    "An OpenAI-compatible gateway in front of every LLM provider. Fields that are not described here are passed on. "
    "Fields that a provider does not support are dropped, and listed in `x-gateway-dropped-params`. The request header "
    "`x-gateway-timeout`, a number of seconds above 0, limits the time of a request with all its attempts."
)
JSON = "application/json"
STRING = {"type": "string"}

ERRORS: Mapping[str, str] = {
    "400": "The request is invalid; `param` is the path of the field.",
    "401": "No API key, or a wrong one.",
    "404": "No such model, or no such URL.",
    "405": "The URL does not support the method.",
    "408": "The body did not arrive in time.",
    "413": "The body is too large.",
    "415": "The body is not application/json.",
    "429": "A rate limit is reached, of the gateway or of every provider.",
    "500": "A fault of the gateway.",
    "502": "The provider failed, sent an invalid response, or refused the gateway's key.",
    "503": "No provider can serve the request now.",
    "504": "The provider did not respond in time.",
}
# Every operation's, where no key is needed.
KEYLESS_ERRORS: Mapping[str, str] = {
    "403": "A web page of another origin sent the request.",
    "421": "The Host is neither of the gateway's machine nor in ALLOWED_HOSTS.",
}
MODEL_ERRORS = ("401", "405", "429", "500", "503")
HEALTH_ERRORS = ("405", "500")
# The errors that say when to retry.
RETRY_ERRORS = ("429", "503")
# The errors of requests that are refused before they are counted.
UNCOUNTED_ERRORS = ("401", "403", "405", "421")
# The errors of a request for which no provider is called.
EXPLAIN_ERRORS = tuple(status for status in ERRORS if status not in ("502", "504"))

HEADERS: Mapping[str, Json] = {
    "x-request-id": {"description": "The request's id: the client's own, if it is well-formed.", "schema": STRING},
    "x-ratelimit-limit-requests": {"schema": STRING},
    "x-ratelimit-remaining-requests": {"schema": STRING},
    "x-ratelimit-reset-requests": {"description": "A duration, such as `6m0s`.", "schema": STRING},
    "x-gateway-provider": {"description": "The provider that served the request.", "schema": STRING},
    "x-gateway-model": {"description": "The provider's model that served the request.", "schema": STRING},
    "x-gateway-attempts": {
        "description": "The gateway's attempts with their statuses: `anthropic:529,openai:200`.",
        "schema": STRING,
    },
    "x-gateway-dropped-params": {
        "description": "The fields that the provider does not support, by path: `seed, messages[2].name`.",
        "schema": STRING,
    },
    "Retry-After": {"description": "In whole seconds.", "schema": STRING},
    "retry-after-ms": {"description": "In milliseconds.", "schema": STRING},
    "x-should-retry": {"description": "`false` if a retry cannot succeed.", "schema": STRING},
}
COMMON_HEADERS = ("x-request-id",)
RETRY_HEADERS = ("Retry-After", "retry-after-ms", "x-should-retry")
LIMIT_HEADERS = tuple(name for name in HEADERS if name.startswith("x-ratelimit-"))
CALL_HEADERS = tuple(name for name in HEADERS if name.startswith("x-gateway-"))

REQUEST_ID = {"in": "header", "name": "x-request-id", "schema": STRING, "description": "An id for the request."}
STRICT = {
    "in": "header",
    "name": "x-gateway-strict",
    "schema": STRING,
    "description": "`true`: a field that a provider does not support is an error, instead of being dropped.",
}
SESSION = {
    "in": "header",
    "name": "x-gateway-session",
    "schema": STRING,
    "description": "Sticky routing sends requests of the same session to the same target.",
}
MODEL_ID = {
    "in": "path",
    "name": "model",
    "required": True,
    "schema": STRING,
    "description": "A model's id, such as `anthropic/claude-sonnet-4-5`; it may contain slashes.",
}
SECURITY: Mapping[str, Json] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}


def document(url: str | None = None, *, needs_key: bool = True) -> Json:
    """The document. `url` is the gateway's own; `needs_key`: requests need an API key."""
    plugin = MarshmallowPlugin(schema_name_resolver=component_name)
    spec = APISpec(
        "Pointsman",
        gateway.VERSION,
        "3.1.0",
        plugins=[plugin],
        info={"description": DESCRIPTION},
        **({"servers": [{"url": url}]} if url else {}),
    )
    converter: Any = plugin.converter
    converter.add_attribute_function(field_schema)
    for name, header in HEADERS.items():
        spec.components.header(name, header)
    for name, scheme in SECURITY.items():
        spec.components.security_scheme(name, scheme)
    # OpenAPI 3.1 cannot describe server-sent events: the schema of a chunk stands alone, and is named in prose.
    spec.components.schema(ChatCompletionChunk.__name__, schema=ChatCompletionChunk)
    refusals = {} if needs_key else {status: error(text) for status, text in KEYLESS_ERRORS.items()}
    for path, operations in paths(needs_key=needs_key).items():
        for operation in operations.values():
            operation["responses"].update(refusals)
        spec.path(path, operations=operations)
    return with_rules(spec.to_dict())


def paths(*, needs_key: bool) -> dict[str, dict[str, Json]]:
    """The operations by path and method."""
    security: list[Json] = [{name: []} for name in SECURITY] if needs_key else []
    completion = {JSON: {"schema": ChatCompletion}, "text/event-stream": {}}
    completed = (
        f"The completion. With `stream`, each event is a {ChatCompletionChunk.__name__}, and the last is `[DONE]`."
    )
    vectors = {JSON: {"schema": EmbeddingsResponse}}
    return {
        "/v1/chat/completions": {"post": call("createChatCompletion", ChatRequest, completed, completion, security)},
        "/v1/embeddings": {"post": call("createEmbedding", EmbeddingsRequest, "The vectors.", vectors, security)},
        "/v1/route/explain": {"post": explain(security)},
        "/v1/models": {"get": model_list("listModels", ModelList, "The available models.", security)},
        "/v1/models/{model}": {"get": model_list("retrieveModel", Model, "The model.", security, MODEL_ID)},
        "/health": {"get": public("health", "The process is alive.", Health)},
        "/health/live": {"get": public("live", "The process is alive.", Health)},
        "/health/ready": {"get": ready(security)},
        "/metrics": {"get": metrics(security)},
        "/openapi.json": {"get": public("openapi", "This document.", {"type": "object"})},
    }


def call(name: str, request: type[ObjectSchema], description: str, content: Json, security: list[Json]) -> Json:
    """An operation with a model."""
    return {
        "operationId": name,
        "parameters": [REQUEST_ID, STRICT, SESSION],
        "requestBody": {"required": True, "content": {JSON: {"schema": request}}},
        "responses": {
            "200": {
                "description": description,
                "content": content,
                **headers(*COMMON_HEADERS, *LIMIT_HEADERS, *CALL_HEADERS),
            },
            **errors(*ERRORS),
            "default": error("The provider refused the request.", *LIMIT_HEADERS, *CALL_HEADERS),
        },
        "security": security,
    }


def explain(security: list[Json]) -> Json:
    """The operation that tells which targets a chat request would be sent to."""
    ok = {
        "description": "The targets in order; no provider was called.",
        "content": {JSON: {"schema": RouteExplanation}},
        **headers(*COMMON_HEADERS, *LIMIT_HEADERS),
    }
    return {
        "operationId": "explainRoute",
        "parameters": [REQUEST_ID, STRICT, SESSION],
        "requestBody": {"required": True, "content": {JSON: {"schema": ChatRequest}}},
        "responses": {"200": ok, **errors(*EXPLAIN_ERRORS)},
        "security": security,
    }


def model_list(
    name: str, response: type[ObjectSchema], description: str, security: list[Json], *parameters: Json
) -> Json:
    """An operation that reads the list of models."""
    ok = {
        "description": description,
        "content": {JSON: {"schema": response}},
        **headers(*COMMON_HEADERS, *LIMIT_HEADERS),
    }
    responses = {"200": ok, **errors(*MODEL_ERRORS, *(("404",) if parameters else ()))}
    return {"operationId": name, "parameters": [*parameters, REQUEST_ID], "responses": responses, "security": security}


def public(name: str, description: str, response: type[ObjectSchema] | Json) -> Json:
    """An operation that needs no key."""
    ok = {"description": description, "content": {JSON: {"schema": response}}, **headers(*COMMON_HEADERS)}
    return {"operationId": name, "responses": {"200": ok, **errors(*HEALTH_ERRORS, counted=False)}, "security": []}


def ready(security: list[Json]) -> Json:
    """An operation that needs no key, and says more to a client with one."""
    operation = public(
        "ready", "Calls can be served. With a key it names the providers and the targets that fail.", Health
    )
    unavailable = {**operation["responses"]["200"], "description": "No provider is configured."}
    wrong_key = errors("401", "429", counted=False) if security else {}
    # OpenAPI 3.1, Security Requirement Object: an empty one in the list makes security optional.
    optional = [{}, *security] if security else []
    return {**operation, "responses": {**operation["responses"], **wrong_key, "503": unavailable}, "security": optional}


def metrics(security: list[Json]) -> Json:
    """The operation for Prometheus."""
    ok = {
        "description": "The state of the targets.",
        "content": {"text/plain": {"schema": STRING}},
        **headers(*COMMON_HEADERS),
    }
    return {
        "operationId": "metrics",
        "responses": {"200": ok, **errors("401", *HEALTH_ERRORS, counted=False)},
        "security": security,
    }


def errors(*statuses: str, counted: bool = True) -> dict[str, Json]:
    """The responses of these statuses. `counted`: the operation counts towards the rate limit, and says what is left of it."""
    return {
        status: error(
            ERRORS[status],
            *(LIMIT_HEADERS if counted and status not in UNCOUNTED_ERRORS else ()),
            *(RETRY_HEADERS if status in RETRY_ERRORS else ()),
        )
        for status in statuses
    }


def error(description: str, *names: str) -> Json:
    """An error response, with these headers beside the common ones."""
    content = {JSON: {"schema": ErrorResponse}}
    return {"description": description, "content": content, **headers(*COMMON_HEADERS, *names)}


def headers(*names: str) -> Json:
    return {"headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names}}
