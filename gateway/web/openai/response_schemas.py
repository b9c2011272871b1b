"""
Responses as marshmallow schemas, for the OpenAPI document.

https://platform.openai.com/docs/api-reference/chat/object
https://platform.openai.com/docs/api-reference/chat-streaming/streaming
https://platform.openai.com/docs/api-reference/embeddings/object
"""

from gateway.catalog.routing_policy import STRATEGIES
from gateway.web.fields import MAX_INTEGER, AnyOf, Array, Enum, Integer, Map, Number, Object, ObjectSchema, String
from gateway.web.openai.message_schemas import FunctionCall

FINISH_REASONS = ("stop", "length", "tool_calls", "content_filter", "function_call")


class Error(ObjectSchema):
    message = String(required=True)
    type = String(required=True)
    param = String(required=True, allow_none=True)
    code = String(required=True, allow_none=True)


class ErrorResponse(ObjectSchema):
    error = Object(Error, required=True)


class Usage(ObjectSchema):
    prompt_tokens = Integer(0, required=True)
    completion_tokens = Integer(0, required=True)
    total_tokens = Integer(0, required=True)
    prompt_tokens_details = Map(allow_none=True)
    completion_tokens_details = Map(allow_none=True)


class ToolCall(ObjectSchema):
    id = String(required=True)
    type = Enum("function", "custom", required=True)
    function = Object(FunctionCall)
    custom = Map()


class ResponseMessage(ObjectSchema):
    role = Enum("assistant", required=True)
    content = String(required=True, allow_none=True)
    refusal = String(allow_none=True)
    reasoning_content = String(allow_none=True)
    thinking_blocks = Array(Map())
    tool_calls = Array(Object(ToolCall))
    function_call = Object(FunctionCall)
    annotations = Array(Map())
    audio = Map(allow_none=True)


class Choice(ObjectSchema):
    index = Integer(0, required=True)
    message = Object(ResponseMessage, required=True)
    finish_reason = Enum(*FINISH_REASONS, required=True)
    logprobs = Map(allow_none=True)


class ChatCompletion(ObjectSchema):
    id = String(required=True)
    object = Enum("chat.completion", required=True)
    created = Integer(0, required=True)
    model = String(required=True)
    choices = Array(Object(Choice), required=True)
    usage = Object(Usage)
    service_tier = String(allow_none=True)
    system_fingerprint = String(allow_none=True)


class FunctionDelta(ObjectSchema):
    name = String()
    arguments = String()


class ToolCallDelta(ObjectSchema):
    index = Integer(0, required=True)
    id = String()
    type = Enum("function", "custom")
    function = Object(FunctionDelta)


class Delta(ObjectSchema):
    role = Enum("assistant")
    content = String(allow_none=True)
    refusal = String(allow_none=True)
    reasoning_content = String(allow_none=True)
    tool_calls = Array(Object(ToolCallDelta))


class ChunkChoice(ObjectSchema):
    index = Integer(0, required=True)
    delta = Object(Delta, required=True)
    finish_reason = Enum(*FINISH_REASONS, required=True, allow_none=True)
    logprobs = Map(allow_none=True)


class ChatCompletionChunk(ObjectSchema):
    id = String(required=True)
    object = Enum("chat.completion.chunk", required=True)
    created = Integer(0, required=True)
    model = String(required=True)
    choices = Array(Object(ChunkChoice), required=True)
    usage = Object(Usage, allow_none=True)


class Embedding(ObjectSchema):
    index = Integer(0, required=True)
    object = Enum("embedding", required=True)
    # With `encoding_format: base64`, the base64 of 32-bit floats.
    embedding = AnyOf(Array(Number(-MAX_INTEGER, MAX_INTEGER)), String(), required=True)


class EmbeddingsUsage(ObjectSchema):
    prompt_tokens = Integer(0, required=True)
    total_tokens = Integer(0, required=True)


class EmbeddingsResponse(ObjectSchema):
    object = Enum("list", required=True)
    model = String(required=True)
    data = Array(Object(Embedding), required=True)
    usage = Object(EmbeddingsUsage)


class Model(ObjectSchema):
    id = String(required=True)
    object = Enum("model", required=True)
    created = Integer(0, required=True)
    owned_by = String(required=True)


class ModelList(ObjectSchema):
    object = Enum("list", required=True)
    data = Array(Object(Model), required=True)


class RouteExplanation(ObjectSchema):
    """`targets` in the order in which they would be tried; each of the `unavailable` has its `reason`."""

    object = Enum("route", required=True)
    model = String(required=True)
    strategy = Enum(*STRATEGIES, required=True)
    targets = Array(Map(), required=True)
    unavailable = Array(Map(), required=True)
    fallbacks = Array(String(), required=True)
    context_window_fallbacks = Array(String(), required=True)
    content_policy_fallbacks = Array(String(), required=True)


class Health(ObjectSchema):
    status = String(required=True)
