"""Estimates of tokens, for where no upstream counted them."""

from collections.abc import Iterator
from typing import Any

from gateway.openai_types import Chat, Json

# English text: OpenAI's rule of thumb is four characters.
BYTES_PER_TOKEN = 4
# What a model writes of a message or a delta. `thinking_blocks` repeat reasoning_content.
WRITTEN = ("content", "refusal", "reasoning_content", "tool_calls", "function_call")


def count(text: str) -> int:
    """One token for four bytes of UTF-8, rounded up."""
    return tokens_in(_size(text))


def tokens_in(size: int) -> int:
    """The tokens of so many bytes of UTF-8, rounded up."""
    return -(-size // BYTES_PER_TOKEN)


def written_size(message: Json) -> int:
    """Bytes of what a model wrote in a message, or in a delta of one."""
    content = message.get("content")
    if len(message) == 1 and isinstance(content, str):
        return _size(content)  # most deltas
    return sum(map(_size, texts([message[name] for name in WRITTEN if message.get(name)])))


def of_prompt(chat: Chat) -> int:
    """The tokens of all the text of a chat or embeddings request: messages, tools, input."""
    return sum(map(count, texts([chat.get("messages"), chat.get("tools"), chat.get("input")])))


def texts(value: Any) -> Iterator[str]:
    """Every string in a JSON value, except media, whose tokens do not depend on their bytes."""
    pending = [value]
    while pending:
        match pending.pop():
            case str() as text if not text.startswith("data:"):
                yield text
            case {"type": "input_audio" | "file"}:
                pass
            case dict() as members:
                pending.extend(members.values())
            case list() as items:
                pending.extend(items)


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def usage(prompt_tokens: int, completion_tokens: int) -> Json:
    """OpenAI's usage object, marked as `estimated`."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "estimated": True,
    }
