"""Estimates of tokens, for where no upstream counted them."""

from collections.abc import Iterator
from typing import Any

from gateway.openai_types import Chat, Json

# English text: OpenAI's rule of thumb is four characters.
BYTES_PER_TOKEN = 4


def count(text: str) -> int:
    """One token for four bytes of UTF-8, rounded up."""
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)


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


def usage(prompt_tokens: int, completion_tokens: int) -> Json:
    """OpenAI's usage object, marked as `estimated`."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "estimated": True,
    }
