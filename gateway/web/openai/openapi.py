"""
The OpenAPI document of this gateway, from the marshmallow schemas that validate its requests.

What a schema of the document calls valid is accepted, and what it calls invalid is refused. OpenAPI 3.1, since only
there a schema may say null, const and propertyNames.
"""

from collections.abc import Mapping
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import fields

import gateway
from gateway.web.fields import Either, Map, Shape, Tagged
from gateway.web.openai.message_schemas import STANDS_FOR_CONTENT
from gateway.web.openai.request_schemas import ChatRequest, EmbeddingsRequest
from gateway.web.openai.response_schemas import (
    ChatCompletion,
    ChatCompletionChunk,
    Embeddings,
    Error,
    Explained,
    Health,
    Model,
    ModelList,
)

Json = dict[str, Any]

DESCRIPTION = (
    "An OpenAI-compatible gateway in front of every LLM provider. Fields that are not described here are passed on. "
    "What a provider cannot be told is named in `x-gateway-dropped-params`. The request header `x-gateway-timeout`, a number "
    "of seconds above 0, bounds a request with all its attempts."
)
JSON = "application/json"
TEXT = {"type": "string"}

ERRORS: Mapping[str, str] = {
    "400": "The request is wrong; `param` is the path of the field.",
    "401": "No key, a wrong one, an expired or revoked one.",
    "403": "The key may not use that model.",
    "404": "No such model, or no such URL.",
    "405": "The URL has no such method.",
    "408": "The body did not come in time.",
    "413": "The body is too large.",
    "415": "The body is not application/json.",
    "429": "A rate limit is reached or a budget is spent.",
    "500": "A fault of the gateway.",
    "502": "The provider failed, spoke nonsense, or refused the gateway's key.",
    "503": "No provider is able to answer now.",
    "504": "The provider did not answer in time.",
}
OF_MODELS = ("401", "405", "429", "500", "503")
OF_HEALTH = ("405", "500")
WITH_RETRY = ("429", "503")

HEADERS: Mapping[str, Json] = {
    "x-request-id": {"description": "The request's id: the client's own, where it is well-formed.", "schema": TEXT},
    "x-ratelimit-limit-requests": {"schema": TEXT},
    "x-ratelimit-remaining-requests": {"schema": TEXT},
    "x-ratelimit-reset-requests": {"description": "A duration, such as `6m0s`.", "schema": TEXT},
    "x-ratelimit-limit-tokens": {"schema": TEXT},
    "x-ratelimit-remaining-tokens": {"schema": TEXT},
    "x-ratelimit-reset-tokens": {"description": "A duration, such as `6m0s`.", "schema": TEXT},
    "x-gateway-provider": {"description": "The provider that answered.", "schema": TEXT},
    "x-gateway-model": {"description": "The provider's model that answered.", "schema": TEXT},
    "x-gateway-attempts": {"description": "Whom the gateway asked: `anthropic:529,openai:200`.", "schema": TEXT},
    "x-gateway-cache": {
        "description": "Whether the answer came from the cache.",
        "schema": {"type": "string", "enum": ["hit", "miss", "joined", "bypass"]},
    },
    "x-gateway-dropped-params": {
        "description": "What the provider could not be told, by field path: `seed, messages[2].name`.",
        "schema": TEXT,
    },
    "Retry-After": {"description": "In whole seconds.", "schema": TEXT},
    "retry-after-ms": {"description": "In milliseconds.", "schema": TEXT},
    "x-should-retry": {"description": "`false` where waiting is of no use.", "schema": TEXT},
}
OF_EVERY_ANSWER = ("x-request-id",)
OF_RETRIES = ("Retry-After", "retry-after-ms", "x-should-retry")
OF_LIMITS = tuple(name for name in HEADERS if name.startswith("x-ratelimit-"))
OF_CALLS = tuple(name for name in HEADERS if name.startswith("x-gateway-"))

REQUEST_ID = {"in": "header", "name": "x-request-id", "schema": TEXT, "description": "An id for the request."}
STRICT = {
    "in": "header",
    "name": "x-gateway-strict",
    "schema": TEXT,
    "description": "`true`: what a provider cannot be told is an error, not dropped.",
}
SESSION = {
    "in": "header",
    "name": "x-gateway-session",
    "schema": TEXT,
    "description": "What sticky routing sticks to.",
}
MODEL_ID = {
    "in": "path",
    "name": "model",
    "required": True,
    "schema": TEXT,
    "description": "A model's id, such as `anthropic/claude-sonnet-4-5`: slashes belong to it.",
}
SECURITY: Mapping[str, Json] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}


def document(url: str | None = None, *, closed: bool = True) -> Json:
    """The document; `url` is where the gateway is reached, and `closed` says that it asks for a key."""
    plugin = MarshmallowPlugin(schema_name_resolver=component)
    spec = APISpec(
        "Pointsman",
        gateway.VERSION,
        "3.1.0",
        plugins=[plugin],
        info={"description": DESCRIPTION},
        **({"servers": [{"url": url}]} if url else {}),
    )
    converter: Any = plugin.converter
    converter.add_attribute_function(described)
    for name, header in HEADERS.items():
        spec.components.header(name, header)
    for name, scheme in SECURITY.items():
        spec.components.security_scheme(name, scheme)
    spec.components.schema(ChatCompletionChunk.__name__, schema=ChatCompletionChunk)
    for path, operations in paths(closed).items():
        spec.path(path, operations=operations)
    return with_rules(spec.to_dict())


def paths(closed: bool) -> dict[str, dict[str, Json]]:
    """The operations by path and method."""
    keys: list[Json] = [{name: []} for name in SECURITY] if closed else []
    chat = {JSON: {"schema": ChatCompletion}, "text/event-stream": {}}
    chat_said = f"The answer. With `stream`, each line's `data` is a {ChatCompletionChunk.__name__}, the last `[DONE]`."
    embedded, explained = {JSON: {"schema": Embeddings}}, {JSON: {"schema": Explained}}
    return {
        "/v1/chat/completions": {"post": call("createChatCompletion", ChatRequest, chat_said, chat, keys)},
        "/v1/embeddings": {"post": call("createEmbedding", EmbeddingsRequest, "The vectors.", embedded, keys)},
        "/v1/route/explain": {
            "post": call("explainRoute", ChatRequest, "The targets, in order; nobody was asked.", explained, keys)
        },
        "/v1/models": {"get": listing("listModels", ModelList, "The models that can be asked.", keys)},
        "/v1/models/{model}": {"get": listing("retrieveModel", Model, "The model.", keys, MODEL_ID)},
        "/health": {"get": public("health", "The gateway is up.", Health, ready=True)},
        "/health/live": {"get": public("live", "The process is alive.", Health)},
        "/health/ready": {"get": public("ready", "Calls can be served.", Health, ready=True)},
        "/metrics": {"get": metrics(keys)},
        "/openapi.json": {"get": public("openapi", "This document.", {"type": "object"})},
    }


def call(name: str, asked: type[Shape], said: str, answers: Json, keys: list[Json]) -> Json:
    """The operation that asks a model."""
    return {
        "operationId": name,
        "parameters": [REQUEST_ID, STRICT, SESSION],
        "requestBody": {"required": True, "content": {JSON: {"schema": asked}}},
        "responses": {
            "200": {"description": said, "content": answers, **headers(*OF_EVERY_ANSWER, *OF_LIMITS, *OF_CALLS)},
            **faults(*ERRORS),
            "default": fault("The provider's own refusal of the request."),
        },
        "security": keys,
    }


def listing(name: str, answer: type[Shape], said: str, keys: list[Json], *parameters: Json) -> Json:
    """The operation that speaks of models."""
    ok = {"description": said, "content": {JSON: {"schema": answer}}, **headers(*OF_EVERY_ANSWER, *OF_LIMITS)}
    responses = {"200": ok, **faults(*OF_MODELS, *(("404",) if parameters else ()))}
    return {"operationId": name, "parameters": [*parameters, REQUEST_ID], "responses": responses, "security": keys}


def public(name: str, said: str, answer: type[Shape] | Json, *, ready: bool = False) -> Json:
    """The operation that needs no key; `ready`: it may say no."""
    ok = {"description": said, "content": {JSON: {"schema": answer}}, **headers(*OF_EVERY_ANSWER)}
    no = {"503": {**ok, "description": "Not now.", **headers(*OF_EVERY_ANSWER, *OF_RETRIES)}} if ready else {}
    return {"operationId": name, "responses": {"200": ok, **no, **faults(*OF_HEALTH)}, "security": []}


def metrics(keys: list[Json]) -> Json:
    """The operation that Prometheus asks."""
    ok = {"description": "How targets stand.", "content": {"text/plain": {"schema": TEXT}}, **headers(*OF_EVERY_ANSWER)}
    return {"operationId": "metrics", "responses": {"200": ok, **faults("401", *OF_HEALTH)}, "security": keys}


def faults(*statuses: str) -> dict[str, Json]:
    return {status: fault(ERRORS[status], *(OF_RETRIES if status in WITH_RETRY else ())) for status in statuses}


def fault(said: str, *names: str) -> Json:
    named = headers(*OF_EVERY_ANSWER, *OF_LIMITS, *names)
    return {"description": said, "content": {JSON: {"schema": Error}}, **named}


def headers(*names: str) -> Json:
    return {"headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names}}


def component(shape: Any) -> str:
    """The name of a shape in the document; apispec's own would make Json of JsonSchema."""
    return (shape if isinstance(shape, type) else type(shape)).__name__


def described(converter: Any, field: fields.Field[Any], **_: Any) -> Json:
    """The JSON Schema of our own kinds of fields, for apispec."""
    null = [{"type": "null"}] if field.allow_none else []
    match field:
        case Either():
            return {"anyOf": [*map(converter.field2property, field.kinds), *null]}
        case Tagged():
            refs = {word: converter.resolve_nested_schema(shape) for word, shape in field.shapes.items()}
            mapping = {word: ref["$ref"] for word, ref in refs.items()}
            tag = {"discriminator": {"propertyName": field.tag, "mapping": mapping}}
            return {"oneOf": [*refs.values(), *null], **({} if null else tag)}
        case Map():
            most = {} if field.most is None else {"maxProperties": field.most}
            return {**most, **({} if field.key is None else {"propertyNames": {"maxLength": field.key}})}
    return {}


def with_rules(document: Json) -> Json:
    """The document with what one field demands of another, as `rules` of the shapes have it."""
    schemas = document["components"]["schemas"]
    ruled = {name: {**schemas[name], "allOf": demands} for name, demands in RULES.items()}
    return {**document, "components": {**document["components"], "schemas": {**schemas, **ruled}}}


def needs(field: str, other: str) -> Json:
    """`field` may only be said where `other` is true."""
    unsaid = {"properties": {field: {"type": "null"}}}
    return {"anyOf": [unsaid, {"properties": {other: {"const": True}}, "required": [other]}]}


def said(field: str, what: Json) -> Json:
    return {"properties": {field: what}, "required": [field]}


SOMETHING: Json = {"not": {"enum": [None, "", [], {}]}}
RULES: Mapping[str, list[Json]] = {
    "ChatRequest": [needs("stream_options", "stream"), needs("top_logprobs", "logprobs")],
    "AssistantMessage": [
        {
            "anyOf": [
                said("content", {"type": ["string", "array"]}),
                *(said(name, SOMETHING) for name in STANDS_FOR_CONTENT),
            ]
        }
    ],
}
