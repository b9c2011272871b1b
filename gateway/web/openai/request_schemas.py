"""
OpenAI's requests as marshmallow schemas. Fields that they do not declare are kept.

https://platform.openai.com/docs/api-reference/chat/create
https://platform.openai.com/docs/api-reference/embeddings/create
"""

import re
from collections.abc import Iterator
from typing import Any

from marshmallow import ValidationError

from gateway.errors import InvalidRequest
from gateway.web.fields import (
    MAX_INTEGER,
    AnyOf,
    Array,
    Boolean,
    Enum,
    Identifier,
    Integer,
    Map,
    Number,
    Object,
    ObjectSchema,
    StrictField,
    String,
    TaggedUnion,
    type_name,
)
from gateway.web.openai.message_schemas import MESSAGE, TEXT_PARTS, content_field, is_common_message, is_object

# Characters of a client's own key in the path of an error.
MAX_KEY_LENGTH = 64
FUNCTION_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class FunctionDefinition(ObjectSchema):
    name = Identifier(min_length=1, required=True)
    description = String()
    parameters = Map()


class StrictFunctionDefinition(FunctionDefinition):
    strict = Boolean(allow_none=True)


class FunctionTool(ObjectSchema):
    type = Enum("function", required=True)
    function = Object(StrictFunctionDefinition, required=True)
    cache_control = Map(allow_none=True)


class Grammar(ObjectSchema):
    definition = String(required=True)
    syntax = Enum("lark", "regex", required=True)


class TextFormat(ObjectSchema):
    type = Enum("text", required=True)


class GrammarFormat(ObjectSchema):
    type = Enum("grammar", required=True)
    grammar = Object(Grammar, required=True)


class CustomToolDefinition(ObjectSchema):
    name = String(required=True)
    description = String()
    format = TaggedUnion("type", {"text": TextFormat, "grammar": GrammarFormat})


class CustomTool(ObjectSchema):
    type = Enum("custom", required=True)
    custom = Object(CustomToolDefinition, required=True)
    cache_control = Map(allow_none=True)


class ToolName(ObjectSchema):
    name = String(required=True)


class FunctionToolChoice(ObjectSchema):
    type = Enum("function", required=True)
    function = Object(ToolName, required=True)


class CustomToolChoice(ObjectSchema):
    type = Enum("custom", required=True)
    custom = Object(ToolName, required=True)


class AllowedTools(ObjectSchema):
    mode = Enum("auto", "required", required=True)
    tools = Array(Map(), fast_check=is_object, required=True)


class AllowedToolsChoice(ObjectSchema):
    type = Enum("allowed_tools", required=True)
    allowed_tools = Object(AllowedTools, required=True)


class JsonSchema(ObjectSchema):
    name = Identifier(required=True)
    description = String()
    schema = Map()
    strict = Boolean(allow_none=True)


class JsonObjectFormat(ObjectSchema):
    type = Enum("json_object", required=True)


class JsonSchemaFormat(ObjectSchema):
    type = Enum("json_schema", required=True)
    json_schema = Object(JsonSchema, required=True)


class CustomVoice(ObjectSchema):
    id = String(required=True)


class Audio(ObjectSchema):
    voice = AnyOf(String(), Object(CustomVoice), required=True)
    format = Enum("wav", "aac", "mp3", "flac", "opus", "pcm16", required=True)


class ModerationPolicy(ObjectSchema):
    mode = Enum("score", "block", required=True)


class ModerationPolicies(ObjectSchema):
    input = Object(ModerationPolicy, allow_none=True)
    output = Object(ModerationPolicy, allow_none=True)


class Moderation(ObjectSchema):
    model = String(required=True)
    policy = Object(ModerationPolicies, allow_none=True)


class Prediction(ObjectSchema):
    type = Enum("content", required=True)
    content = content_field(TEXT_PARTS)


class PromptCacheOptions(ObjectSchema):
    ttl = Enum("30m")
    mode = Enum("implicit", "explicit")


class StreamOptions(ObjectSchema):
    include_usage = Boolean()
    include_obfuscation = Boolean()


class Location(ObjectSchema):
    country = String()
    region = String()
    city = String()
    timezone = String()


class UserLocation(ObjectSchema):
    type = Enum("approximate", required=True)
    approximate = Object(Location, required=True)


class WebSearchOptions(ObjectSchema):
    user_location = Object(UserLocation, allow_none=True)
    search_context_size = Enum("low", "medium", "high")


def is_common_tool(tool: Any) -> bool:
    """Whether it is a valid tool of the commonest form. Never true of what TOOL refuses."""
    match tool:
        case {
            "type": "function",
            "function": {"name": str() as name, "description": str(), "parameters": dict()} as function,
        }:
            return len(tool) == 2 and len(function) == 3 and FUNCTION_NAME.fullmatch(name) is not None
    return False


TOOL: StrictField = TaggedUnion("type", {"function": FunctionTool, "custom": CustomTool})
TOOL_CHOICES = {"function": FunctionToolChoice, "custom": CustomToolChoice, "allowed_tools": AllowedToolsChoice}
RESPONSE_FORMATS = {"text": TextFormat, "json_object": JsonObjectFormat, "json_schema": JsonSchemaFormat}


class ChatRequest(ObjectSchema):
    messages = Array(MESSAGE, min_length=1, fast_check=is_common_message, required=True)
    model = String(min_length=1, required=True)
    audio = Object(Audio, allow_none=True)
    frequency_penalty = Number(-2, 2, allow_none=True)
    function_call = AnyOf(Enum("none", "auto"), Object(ToolName))
    functions = Array(Object(FunctionDefinition), min_length=1, max_length=128)
    logit_bias = Map(Integer(-100, 100), allow_none=True)
    logprobs = Boolean(allow_none=True)
    max_completion_tokens = Integer(allow_none=True)
    max_tokens = Integer(allow_none=True)
    # OpenRouter's: models to fall back to, https://openrouter.ai/docs/features/model-routing
    models = Array(String(min_length=1), max_length=16)
    metadata = Map(String(max_length=512), max_keys=16, max_key_length=64, allow_none=True)
    modalities = Array(Enum("text", "audio"), allow_none=True)
    moderation = Object(Moderation, allow_none=True)
    n = Integer(1, 128, allow_none=True)
    parallel_tool_calls = Boolean()
    prediction = Object(Prediction, allow_none=True)
    presence_penalty = Number(-2, 2, allow_none=True)
    prompt_cache_key = String(allow_none=True)
    prompt_cache_options = Object(PromptCacheOptions)
    prompt_cache_retention = Enum("in_memory", "24h", allow_none=True)
    reasoning_effort = Enum("none", "minimal", "low", "medium", "high", "xhigh", "max", allow_none=True)
    response_format = TaggedUnion("type", RESPONSE_FORMATS)
    safety_identifier = String(max_length=64, allow_none=True)
    seed = Integer(allow_none=True)
    service_tier = Enum("auto", "default", "flex", "scale", "priority", "fast", allow_none=True)
    stop = AnyOf(String(), Array(String(), max_length=4), allow_none=True)
    store = Boolean(allow_none=True)
    stream = Boolean(allow_none=True)
    stream_options = Object(StreamOptions, allow_none=True)
    temperature = Number(0, 2, allow_none=True)
    tool_choice = AnyOf(Enum("none", "auto", "required"), TaggedUnion("type", TOOL_CHOICES))
    tools = Array(TOOL, fast_check=is_common_tool)
    top_logprobs = Integer(0, 20, allow_none=True)
    top_p = Number(0, 1, allow_none=True)
    user = String()
    verbosity = Enum("low", "medium", "high", allow_none=True)
    web_search_options = Object(WebSearchOptions)

    def errors_between_fields(self, data: dict[str, Any]) -> Iterator[tuple[str, str]]:
        if data.get("stream_options") is not None and not data.get("stream"):
            yield "stream_options", "may only be given where stream is true"
        if data.get("top_logprobs") is not None and not data.get("logprobs"):
            yield "top_logprobs", "may only be given where logprobs is true"


def is_token(value: Any) -> bool:
    """Whether it is valid for Integer(0): a request may have four million of them."""
    return (type(value) is int or (type(value) is float and value.is_integer())) and 0 <= value <= MAX_INTEGER


TOKENS = Array(Integer(0), min_length=1, max_length=2048, fast_check=is_token)


class EmbeddingsRequest(ObjectSchema):
    input = AnyOf(
        String(min_length=1),
        Array(String(), min_length=1, max_length=2048),
        TOKENS,
        Array(TOKENS, min_length=1, max_length=2048),
        required=True,
    )
    model = String(min_length=1, required=True)
    dimensions = Integer(1, 16384)
    encoding_format = Enum("float", "base64", allow_none=True)
    user = String()


CHAT = ChatRequest()
EMBEDDINGS = EmbeddingsRequest()


def load_chat(data: Any) -> dict[str, Any]:
    """The validated chat request. Raises InvalidRequest for its first error."""
    return load(CHAT, data)


def load_embeddings(data: Any) -> dict[str, Any]:
    """The validated embeddings request. Raises InvalidRequest for its first error."""
    return load(EMBEDDINGS, data)


def load(schema: ObjectSchema, data: Any) -> dict[str, Any]:
    """The same object, or, where an integer is written as 2.0, a copy with 2. Raises InvalidRequest."""
    if not isinstance(data, dict):
        raise InvalidRequest(f"The request must be a JSON object, not {type_name(data)}.")
    try:
        schema.load(data)
    except ValidationError as error:
        path, message = first_error(error.messages)
        raise InvalidRequest(f"{path} {message}.", param=path) from error
    fields = schema.load_fields
    integers = {name: int(n) for name, n in data.items() if type(n) is float and isinstance(fields.get(name), Integer)}
    return {**data, **integers} if integers else data


def first_error(messages: Any) -> tuple[str, str]:
    """The path and the text of the single error in marshmallow's nested messages, `{"messages": {1: {"role": [...]}}}`."""
    path = ""
    while isinstance(messages, dict):
        key, messages = next(iter(messages.items()))
        path += f"[{key}]" if isinstance(key, int) else f".{key[:MAX_KEY_LENGTH]}"
    return path.removeprefix("."), messages[0]
