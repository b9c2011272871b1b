"""Tokens where no upstream counted them."""

from collections.abc import Iterator
from typing import Any

from gateway.openai_types import Chat, Json

BYTES_PER_TOKEN = 4


def count(text: str) -> int:
    """A rough count: one token for four bytes of UTF-8."""
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)


def of_prompt(chat: Chat) -> int:
    """Of all the text of a chat request: messages and tools."""
    return sum(map(count, texts([chat.get("messages"), chat.get("tools"), chat.get("input")])))


def texts(value: Any) -> Iterator[str]:
    """Every string in a JSON value; of media, which are not counted by their bytes, nothing."""
    todo = [value]
    while todo:
        match todo.pop():
            case str() as text if not text.startswith("data:"):
                yield text
            case {"type": "input_audio" | "file"}:
                pass
            case dict() as members:
                todo.extend(members.values())
            case list() as items:
                todo.extend(items)


def usage(prompt: int, completion: int) -> Json:
    """OpenAI's usage object; `estimated` says that it is ours."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "estimated": True,
    }
