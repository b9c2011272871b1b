"""The messages of a chat request, by role, and the parts of their content."""

from collections.abc import Iterator, Mapping
from typing import Any

from marshmallow import validate

from gateway.web.fields import Array, Either, Map, Object, Shape, Strict, Tagged, Text, Word

URL = validate.Regexp("^[a-zA-Z][a-zA-Z0-9+.-]*:", error="must be a URL or a data URL")


class CacheBreakpoint(Shape):
    mode = Word("explicit", required=True)


class Part(Shape):
    """`cache_control` is Anthropic's, and ours to carry there."""

    prompt_cache_breakpoint = Object(CacheBreakpoint)
    cache_control = Map(allow_none=True)


class TextPart(Part):
    type = Word("text", required=True)
    text = Text(required=True)


class ImageUrl(Shape):
    url = Text(required=True, validate=[URL])
    detail = Word("auto", "low", "high")


class ImagePart(Part):
    type = Word("image_url", required=True)
    image_url = Object(ImageUrl, required=True)


class InputAudio(Shape):
    data = Text(required=True)
    format = Word("wav", "mp3", required=True)


class AudioPart(Part):
    type = Word("input_audio", required=True)
    input_audio = Object(InputAudio, required=True)


class File(Shape):
    filename = Text()
    file_data = Text()
    file_id = Text()


class FilePart(Part):
    type = Word("file", required=True)
    file = Object(File, required=True)


class RefusalPart(Shape):
    type = Word("refusal", required=True)
    refusal = Text(required=True)
    cache_control = Map(allow_none=True)


class CalledFunction(Shape):
    """`arguments` is what a model wrote: JSON, if it was lucky."""

    name = Text(required=True)
    arguments = Text(required=True)


class CalledTool(Shape):
    name = Text(required=True)
    input = Text(required=True)


class FunctionCall(Shape):
    id = Text(required=True)
    type = Word("function", required=True)
    function = Object(CalledFunction, required=True)


class CustomCall(Shape):
    id = Text(required=True)
    type = Word("custom", required=True)
    custom = Object(CalledTool, required=True)


class EarlierAudio(Shape):
    id = Text(required=True)


def content(parts: Mapping[str, type[Shape]], *, required: bool = True, allow_none: bool = False) -> Either:
    """A text, or parts of those kinds."""
    array = Array(Tagged("type", parts), least=1, plain=text_part)
    return Either(Text(), array, required=required, allow_none=allow_none)


def text_part(part: Any) -> bool:
    match part:
        case {"type": "text", "text": str()} if len(part) == 2:
            return True
    return False


TEXT: Mapping[str, type[Shape]] = {"text": TextPart}
USER: Mapping[str, type[Shape]] = {**TEXT, "image_url": ImagePart, "input_audio": AudioPart, "file": FilePart}
ASSISTANT: Mapping[str, type[Shape]] = {**TEXT, "refusal": RefusalPart}
CALLS: Mapping[str, type[Shape]] = {"function": FunctionCall, "custom": CustomCall}
STANDS_FOR_CONTENT = ("tool_calls", "function_call", "refusal", "audio", "reasoning_content", "thinking_blocks")


class Message(Shape):
    cache_control = Map(allow_none=True)


class DeveloperMessage(Message):
    role = Word("developer", required=True)
    content = content(TEXT)
    name = Text()


class SystemMessage(Message):
    role = Word("system", required=True)
    content = content(TEXT)
    name = Text()


class UserMessage(Message):
    role = Word("user", required=True)
    content = content(USER)
    name = Text()


class AssistantMessage(Message):
    """`reasoning_content` and `thinking_blocks` are this gateway's: an answer's, given back with the next turn."""

    role = Word("assistant", required=True)
    content = content(ASSISTANT, required=False, allow_none=True)
    refusal = Text(allow_none=True)
    name = Text()
    audio = Object(EarlierAudio, allow_none=True)
    tool_calls = Array(Tagged("type", CALLS))
    function_call = Object(CalledFunction, allow_none=True)
    reasoning_content = Text(allow_none=True)
    thinking_blocks = Array(Map())

    def rules(self, data: dict[str, Any]) -> Iterator[tuple[str, str]]:
        if data.get("content") is None and not any(data.get(name) for name in STANDS_FOR_CONTENT):
            yield "content", "is required where nothing else is said, such as tool_calls"


class ToolMessage(Message):
    role = Word("tool", required=True)
    content = content(TEXT)
    tool_call_id = Text(required=True)


class FunctionMessage(Message):
    role = Word("function", required=True)
    name = Text(required=True)
    content = Text(required=True, allow_none=True)


MESSAGE: Strict = Tagged(
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


def plain(message: Any) -> bool:
    """Is it one of the commonest shapes, and well-formed? Never true of what MESSAGE refuses, and 15 times as quick."""
    match message:
        case {"role": "user" | "system" | "developer", "content": words} if len(message) == 2:
            return texts(words)
        case {"role": "tool", "tool_call_id": str(), "content": words} if len(message) == 3:
            return texts(words)
        case {"role": "assistant", "content": words} if len(message) == 2:
            return texts(words)
        case {"role": "assistant", "content": words, "tool_calls": [_, *_] as calls} if len(message) == 3:
            return (words is None or texts(words)) and all(map(function_call, calls))
        case {"role": "assistant", "tool_calls": [_, *_] as calls} if len(message) == 2:
            return all(map(function_call, calls))
    return False


def texts(words: Any) -> bool:
    match words:
        case str():
            return True
        case [_, *_]:
            return all(map(text_part, words))
    return False


def function_call(call: Any) -> bool:
    match call:
        case {"type": "function", "id": str(), "function": {"name": str(), "arguments": str()} as called}:
            return len(call) == 3 and len(called) == 2
    return False
