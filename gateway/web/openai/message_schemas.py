"""
The messages of a chat request, by role, and the parts of their content.

https://platform.openai.com/docs/api-reference/chat/create
"""

from collections.abc import Iterator, Mapping
from typing import Any

from marshmallow import validate

from gateway.web.fields import AnyOf, Array, Enum, Map, Object, ObjectSchema, StrictField, String, TaggedUnion

# A scheme by RFC 3986 section 3.1, `data` (RFC 2397) among them; which schemes it fetches is the provider's decision.
URL = validate.Regexp("^[a-zA-Z][a-zA-Z0-9+.-]*:", error="must be a URL or a data URL")


class CacheBreakpoint(ObjectSchema):
    mode = Enum("explicit", required=True)


class ContentPart(ObjectSchema):
    prompt_cache_breakpoint = Object(CacheBreakpoint)
    # Anthropic's, sent to Anthropic: https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching
    cache_control = Map(allow_none=True)


class TextPart(ContentPart):
    type = Enum("text", required=True)
    text = String(required=True)


class ImageUrl(ObjectSchema):
    url = String(required=True, validate=[URL])
    detail = Enum("auto", "low", "high")


class ImagePart(ContentPart):
    type = Enum("image_url", required=True)
    image_url = Object(ImageUrl, required=True)


class InputAudio(ObjectSchema):
    data = String(required=True)
    format = Enum("wav", "mp3", required=True)


class AudioPart(ContentPart):
    type = Enum("input_audio", required=True)
    input_audio = Object(InputAudio, required=True)


class File(ObjectSchema):
    filename = String()
    file_data = String()
    file_id = String()


class FilePart(ContentPart):
    type = Enum("file", required=True)
    file = Object(File, required=True)


class RefusalPart(ObjectSchema):
    type = Enum("refusal", required=True)
    refusal = String(required=True)
    cache_control = Map(allow_none=True)


class FunctionCall(ObjectSchema):
    name = String(required=True)
    # Not checked to be JSON: "the model does not always generate valid JSON", says OpenAI's reference.
    arguments = String(required=True)


class CustomCall(ObjectSchema):
    name = String(required=True)
    input = String(required=True)


class FunctionToolCall(ObjectSchema):
    id = String(required=True)
    type = Enum("function", required=True)
    function = Object(FunctionCall, required=True)


class CustomToolCall(ObjectSchema):
    id = String(required=True)
    type = Enum("custom", required=True)
    custom = Object(CustomCall, required=True)


class AudioReference(ObjectSchema):
    id = String(required=True)


def content_field(parts: Mapping[str, type[ObjectSchema]], *, required: bool = True, allow_none: bool = False) -> AnyOf:
    """A string, or an array of these kinds of parts."""
    array = Array(TaggedUnion("type", parts), min_length=1, fast_check=is_text_part)
    return AnyOf(String(), array, required=required, allow_none=allow_none)


def is_text_part(part: Any) -> bool:
    """Whether it is a valid text part without further fields: what most parts are."""
    match part:
        case {"type": "text", "text": str()} if len(part) == 2:
            return True
    return False


TEXT_PARTS: Mapping[str, type[ObjectSchema]] = {"text": TextPart}
USER_PARTS: Mapping[str, type[ObjectSchema]] = {
    **TEXT_PARTS,
    "image_url": ImagePart,
    "input_audio": AudioPart,
    "file": FilePart,
}
ASSISTANT_PARTS: Mapping[str, type[ObjectSchema]] = {**TEXT_PARTS, "refusal": RefusalPart}
TOOL_CALLS: Mapping[str, type[ObjectSchema]] = {"function": FunctionToolCall, "custom": CustomToolCall}
# An assistant's message needs content unless it has one of these.
CONTENT_ALTERNATIVES = ("tool_calls", "function_call", "refusal", "audio", "reasoning_content", "thinking_blocks")


def is_object(value: Any) -> bool:
    """Whether it is a JSON object, which is all that Map() checks."""
    return type(value) is dict


class Message(ObjectSchema):
    cache_control = Map(allow_none=True)


class DeveloperMessage(Message):
    role = Enum("developer", required=True)
    content = content_field(TEXT_PARTS)
    name = String()


class SystemMessage(Message):
    role = Enum("system", required=True)
    content = content_field(TEXT_PARTS)
    name = String()


class UserMessage(Message):
    role = Enum("user", required=True)
    content = content_field(USER_PARTS)
    name = String()


class AssistantMessage(Message):
    role = Enum("assistant", required=True)
    content = content_field(ASSISTANT_PARTS, required=False, allow_none=True)
    refusal = String(allow_none=True)
    name = String()
    audio = Object(AudioReference, allow_none=True)
    tool_calls = Array(TaggedUnion("type", TOOL_CALLS))
    function_call = Object(FunctionCall, allow_none=True)
    # Extensions, DeepSeek's and LiteLLM's: a client returns with the next turn what a response had in them.
    reasoning_content = String(allow_none=True)
    thinking_blocks = Array(Map(), fast_check=is_object)

    def errors_between_fields(self, data: dict[str, Any]) -> Iterator[tuple[str, str]]:
        if data.get("content") is None and not any(data.get(name) for name in CONTENT_ALTERNATIVES):
            yield "content", "is required unless the message has something else, such as tool_calls"


class ToolMessage(Message):
    role = Enum("tool", required=True)
    content = content_field(TEXT_PARTS)
    tool_call_id = String(required=True)


class FunctionMessage(Message):
    role = Enum("function", required=True)
    name = String(required=True)
    content = String(required=True, allow_none=True)


MESSAGE: StrictField = TaggedUnion(
    "role",
    {
        "developer": DeveloperMessage,
        "system": SystemMessage,
        "user": UserMessage,
        "assistant": AssistantMessage,
        "tool": ToolMessage,
        "function": FunctionMessage,
    },
)


def is_common_message(message: Any) -> bool:
    """Whether it is a valid message of the commonest forms, never true of what MESSAGE refuses; 15 times as fast as that."""
    match message:
        case {"role": "user" | "system" | "developer", "content": content} if len(message) == 2:
            return is_text(content)
        case {"role": "user" | "system" | "developer", "content": content, "name": str()} if len(message) == 3:
            return is_text(content)
        case {"role": "tool", "tool_call_id": str(), "content": content} if len(message) == 3:
            return is_text(content)
        case {"role": "assistant", "content": content} if len(message) == 2:
            return is_text(content)
        case {"role": "assistant", "content": content, "tool_calls": [_, *_] as calls} if len(message) == 3:
            return (content is None or is_text(content)) and all(map(is_function_tool_call, calls))
        case {"role": "assistant", "tool_calls": [_, *_] as calls} if len(message) == 2:
            return all(map(is_function_tool_call, calls))
    return False


def is_text(content: Any) -> bool:
    match content:
        case str():
            return True
        case [_, *_]:
            return all(map(is_text_part, content))
    return False


def is_function_tool_call(call: Any) -> bool:
    match call:
        case {"type": "function", "id": str(), "function": {"name": str(), "arguments": str()} as function}:
            return len(call) == 3 and len(function) == 2
    return False
