"""What a client may ask: the requests of OpenAI's API as marshmallow schemas. Fields that it does not know are kept."""

import re
from collections.abc import Iterator
from typing import Any

from marshmallow import ValidationError

from gateway.errors import InvalidRequest
from gateway.web.fields import (
    Array,
    Either,
    Flag,
    Map,
    Name,
    Number,
    Object,
    Shape,
    Strict,
    Tagged,
    Text,
    Whole,
    Word,
    noun,
)
from gateway.web.openai.message_schemas import MESSAGE, TextPart, plain, text_part

SEGMENT = 64
PLAIN_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class Function(Shape):
    name = Name(least=1, required=True)
    description = Text()
    parameters = Map()


class StrictFunction(Function):
    strict = Flag(allow_none=True)


class FunctionTool(Shape):
    type = Word("function", required=True)
    function = Object(StrictFunction, required=True)
    cache_control = Map(allow_none=True)


class Grammar(Shape):
    definition = Text(required=True)
    syntax = Word("lark", "regex", required=True)


class TextFormat(Shape):
    type = Word("text", required=True)


class GrammarFormat(Shape):
    type = Word("grammar", required=True)
    grammar = Object(Grammar, required=True)


class Custom(Shape):
    name = Text(required=True)
    description = Text()
    format = Tagged("type", {"text": TextFormat, "grammar": GrammarFormat})


class CustomTool(Shape):
    type = Word("custom", required=True)
    custom = Object(Custom, required=True)
    cache_control = Map(allow_none=True)


class NamedFunction(Shape):
    name = Text(required=True)


class FunctionChoice(Shape):
    type = Word("function", required=True)
    function = Object(NamedFunction, required=True)


class CustomChoice(Shape):
    type = Word("custom", required=True)
    custom = Object(NamedFunction, required=True)


class AllowedTools(Shape):
    mode = Word("auto", "required", required=True)
    tools = Array(Map(), required=True)


class AllowedToolsChoice(Shape):
    type = Word("allowed_tools", required=True)
    allowed_tools = Object(AllowedTools, required=True)


class JsonSchema(Shape):
    name = Name(required=True)
    description = Text()
    schema = Map()
    strict = Flag(allow_none=True)


class JsonObjectFormat(Shape):
    type = Word("json_object", required=True)


class JsonSchemaFormat(Shape):
    type = Word("json_schema", required=True)
    json_schema = Object(JsonSchema, required=True)


class CustomVoice(Shape):
    id = Text(required=True)


class Audio(Shape):
    voice = Either(Text(), Object(CustomVoice), required=True)
    format = Word("wav", "aac", "mp3", "flac", "opus", "pcm16", required=True)


class Policy(Shape):
    mode = Word("score", "block", required=True)


class Policies(Shape):
    input = Object(Policy, allow_none=True)
    output = Object(Policy, allow_none=True)


class Moderation(Shape):
    model = Text(required=True)
    policy = Object(Policies, allow_none=True)


class Prediction(Shape):
    type = Word("content", required=True)
    content = Either(Text(), Array(Tagged("type", {"text": TextPart}), least=1, plain=text_part), required=True)


class PromptCacheOptions(Shape):
    ttl = Word("30m")
    mode = Word("implicit", "explicit")


class StreamOptions(Shape):
    include_usage = Flag()
    include_obfuscation = Flag()


class Location(Shape):
    country = Text()
    region = Text()
    city = Text()
    timezone = Text()


class UserLocation(Shape):
    type = Word("approximate", required=True)
    approximate = Object(Location, required=True)


class WebSearchOptions(Shape):
    user_location = Object(UserLocation, allow_none=True)
    search_context_size = Word("low", "medium", "high")


def plain_tool(tool: Any) -> bool:
    """Is it the commonest shape, and well-formed? Never true of what TOOL refuses."""
    match tool:
        case {
            "type": "function",
            "function": {"name": str() as name, "description": str(), "parameters": dict()} as said,
        }:
            return len(tool) == 2 and len(said) == 3 and PLAIN_NAME.fullmatch(name) is not None
    return False


TOOL: Strict = Tagged("type", {"function": FunctionTool, "custom": CustomTool})
CHOICES = {"function": FunctionChoice, "custom": CustomChoice, "allowed_tools": AllowedToolsChoice}
FORMATS = {"text": TextFormat, "json_object": JsonObjectFormat, "json_schema": JsonSchemaFormat}


class ChatRequest(Shape):
    messages = Array(MESSAGE, least=1, plain=plain, required=True)
    model = Text(least=1, required=True)
    audio = Object(Audio, allow_none=True)
    frequency_penalty = Number(-2, 2, allow_none=True)
    function_call = Either(Word("none", "auto"), Object(NamedFunction))
    functions = Array(Object(Function), least=1, most=128)
    logit_bias = Map(Whole(-100, 100), allow_none=True)
    logprobs = Flag(allow_none=True)
    max_completion_tokens = Whole(allow_none=True)
    max_tokens = Whole(allow_none=True)
    models = Array(Text(least=1), most=16)
    metadata = Map(Text(most=512), most=16, key=64, allow_none=True)
    modalities = Array(Word("text", "audio"), allow_none=True)
    moderation = Object(Moderation, allow_none=True)
    n = Whole(1, 128, allow_none=True)
    parallel_tool_calls = Flag()
    prediction = Object(Prediction, allow_none=True)
    presence_penalty = Number(-2, 2, allow_none=True)
    prompt_cache_key = Text(allow_none=True)
    prompt_cache_options = Object(PromptCacheOptions)
    prompt_cache_retention = Word("in_memory", "24h", allow_none=True)
    reasoning_effort = Word("none", "minimal", "low", "medium", "high", "xhigh", "max", allow_none=True)
    response_format = Tagged("type", FORMATS)
    safety_identifier = Text(most=64, allow_none=True)
    seed = Whole(allow_none=True)
    service_tier = Word("auto", "default", "flex", "scale", "priority", "fast", allow_none=True)
    stop = Either(Text(), Array(Text(), most=4), allow_none=True)
    store = Flag(allow_none=True)
    stream = Flag(allow_none=True)
    stream_options = Object(StreamOptions, allow_none=True)
    temperature = Number(0, 2, allow_none=True)
    tool_choice = Either(Word("none", "auto", "required"), Tagged("type", CHOICES))
    tools = Array(TOOL, plain=plain_tool)
    top_logprobs = Whole(0, 20, allow_none=True)
    top_p = Number(0, 1, allow_none=True)
    user = Text()
    verbosity = Word("low", "medium", "high", allow_none=True)
    web_search_options = Object(WebSearchOptions)

    def rules(self, data: dict[str, Any]) -> Iterator[tuple[str, str]]:
        if data.get("stream_options") is not None and not data.get("stream"):
            yield "stream_options", "may only be given where stream is true"
        if data.get("top_logprobs") is not None and not data.get("logprobs"):
            yield "top_logprobs", "may only be given where logprobs is true"


class EmbeddingsRequest(Shape):
    input = Either(
        Text(least=1),
        Array(Text(), least=1, most=2048),
        Array(Whole(0), least=1, most=2048),
        Array(Array(Whole(0), least=1, most=2048), least=1, most=2048),
        required=True,
    )
    model = Text(least=1, required=True)
    dimensions = Whole(1, 16384)
    encoding_format = Word("float", "base64", allow_none=True)
    user = Text()


CHAT = ChatRequest()
EMBEDDINGS = EmbeddingsRequest()


def chat(data: Any) -> dict[str, Any]:
    """The chat request that `data` is. Raises InvalidRequest for its first fault."""
    return checked(CHAT, data)


def embeddings(data: Any) -> dict[str, Any]:
    """The embeddings request that `data` is. Raises InvalidRequest for its first fault."""
    return checked(EMBEDDINGS, data)


def checked(shape: Shape, data: Any) -> dict[str, Any]:
    """The very same object, but that an integer which was written as 2.0 is one."""
    if not isinstance(data, dict):
        raise InvalidRequest(f"The request must be a JSON object, not {noun(data)}.")
    try:
        shape.load(data)
    except ValidationError as error:
        path, what = first_error(error.messages)
        raise InvalidRequest(f"{path} {what}.", param=path) from error
    fields = shape.load_fields
    whole = {name: int(n) for name, n in data.items() if type(n) is float and isinstance(fields.get(name), Whole)}
    return {**data, **whole} if whole else data


def first_error(messages: Any) -> tuple[str, str]:
    """The path and the words of the one fault in marshmallow's nested messages, `{"messages": {1: {"role": [...]}}}`."""
    path = ""
    while isinstance(messages, dict):
        key, messages = next(iter(messages.items()))
        path += f"[{key}]" if isinstance(key, int) else f".{key[:SEGMENT]}"
    return path.removeprefix("."), messages[0]
