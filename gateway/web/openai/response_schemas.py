"""What a client is answered, as marshmallow schemas: for the OpenAPI document, and for whoever checks an answer."""

from gateway.catalog.routing_policy import STRATEGIES
from gateway.web.fields import LARGEST, Array, Either, Map, Number, Object, Shape, Text, Whole, Word
from gateway.web.openai.message_schemas import CalledFunction

FINISH_REASONS = ("stop", "length", "tool_calls", "content_filter", "function_call")


class ErrorBody(Shape):
    message = Text(required=True)
    type = Text(required=True)
    param = Text(required=True, allow_none=True)
    code = Text(required=True, allow_none=True)


class Error(Shape):
    error = Object(ErrorBody, required=True)


class Usage(Shape):
    prompt_tokens = Whole(0, required=True)
    completion_tokens = Whole(0, required=True)
    total_tokens = Whole(0, required=True)
    prompt_tokens_details = Map(allow_none=True)
    completion_tokens_details = Map(allow_none=True)


class ToolCall(Shape):
    id = Text(required=True)
    type = Word("function", "custom", required=True)
    function = Object(CalledFunction)
    custom = Map()


class ResponseMessage(Shape):
    role = Word("assistant", required=True)
    content = Text(required=True, allow_none=True)
    refusal = Text(allow_none=True)
    reasoning_content = Text(allow_none=True)
    thinking_blocks = Array(Map())
    tool_calls = Array(Object(ToolCall))
    function_call = Object(CalledFunction)
    annotations = Array(Map())
    audio = Map(allow_none=True)


class Choice(Shape):
    index = Whole(0, required=True)
    message = Object(ResponseMessage, required=True)
    finish_reason = Word(*FINISH_REASONS, required=True)
    logprobs = Map(allow_none=True)


class ChatCompletion(Shape):
    id = Text(required=True)
    object = Word("chat.completion", required=True)
    created = Whole(0, required=True)
    model = Text(required=True)
    choices = Array(Object(Choice), required=True)
    usage = Object(Usage)
    service_tier = Text(allow_none=True)
    system_fingerprint = Text(allow_none=True)


class FunctionDelta(Shape):
    name = Text()
    arguments = Text()


class ToolCallDelta(Shape):
    index = Whole(0, required=True)
    id = Text()
    type = Word("function", "custom")
    function = Object(FunctionDelta)


class Delta(Shape):
    role = Word("assistant")
    content = Text(allow_none=True)
    refusal = Text(allow_none=True)
    reasoning_content = Text(allow_none=True)
    tool_calls = Array(Object(ToolCallDelta))


class ChunkChoice(Shape):
    index = Whole(0, required=True)
    delta = Object(Delta, required=True)
    finish_reason = Word(*FINISH_REASONS, required=True, allow_none=True)
    logprobs = Map(allow_none=True)


class ChatCompletionChunk(Shape):
    id = Text(required=True)
    object = Word("chat.completion.chunk", required=True)
    created = Whole(0, required=True)
    model = Text(required=True)
    choices = Array(Object(ChunkChoice), required=True)
    usage = Object(Usage, allow_none=True)


class Embedding(Shape):
    """A vector, or the base64 of its 32-bit floats."""

    index = Whole(0, required=True)
    object = Word("embedding", required=True)
    embedding = Either(Array(Number(-LARGEST, LARGEST)), Text(), required=True)


class EmbeddingsUsage(Shape):
    prompt_tokens = Whole(0, required=True)
    total_tokens = Whole(0, required=True)


class Embeddings(Shape):
    object = Word("list", required=True)
    model = Text(required=True)
    data = Array(Object(Embedding), required=True)
    usage = Object(EmbeddingsUsage)


class Model(Shape):
    id = Text(required=True)
    object = Word("model", required=True)
    created = Whole(0, required=True)
    owned_by = Text(required=True)


class ModelList(Shape):
    object = Word("list", required=True)
    data = Array(Object(Model), required=True)


class Explained(Shape):
    """`targets` in the order in which they would be asked; `out` are those that would not be, each with its `reason`."""

    object = Word("route", required=True)
    model = Text(required=True)
    strategy = Word(*STRATEGIES, required=True)
    targets = Array(Map(), required=True)
    unavailable = Array(Map(), required=True)
    fallbacks = Array(Text(), required=True)
    context_window_fallbacks = Array(Text(), required=True)
    content_policy_fallbacks = Array(Text(), required=True)


class Health(Shape):
    status = Text(required=True)
