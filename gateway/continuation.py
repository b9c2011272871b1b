"""
A stream that broke off after content goes on with another target, which gets what was said so far.

Where the vendor's API carries an assistant's last message on, that is how it is asked; else by an instruction.
"""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any

from gateway import tokens
from gateway.adapters.contract import PAUSE, Chat, Chunk, Json, Pause
from gateway.errors import GatewayError, UpstreamFault
from gateway.providers import Target

INSTRUCTION = (
    "Your answer was cut off by a failure of the connection. Go on exactly where it stopped, within the word if need be. "
    "Repeat nothing, and say nothing about this."
)
ALONE = ("tool_calls", "function_call", "audio", "refusal")
"""What cannot be carried on from the middle."""
TAIL = 400
"""Characters of what was said in which a repetition is looked for."""
LEAST_REPEATED = 8
"""Characters that are taken for a repetition, where a model was told to go on: fewer may be chance."""


def possible(chat: Chat) -> bool:
    """Whether an answer to this request can be carried on: one choice, of text."""
    wanted = (chat.get("response_format") or {}).get("type", "text")
    return chat.get("n") in (None, 1) and wanted == "text" and not chat.get("logprobs")


class Heard:
    """What the client has heard of an answer."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat
        self._said: list[str] = []
        self._whole, self._counted = True, 0
        self.ident: Json = {}
        self.used = {"prompt_tokens": 0, "completion_tokens": 0}
        """By the attempts that broke off: estimates, since none of them came to say."""

    @property
    def text(self) -> str:
        return "".join(self._said)

    @property
    def broken(self) -> bool:
        """Whether it has been carried on."""
        return self._counted > 0

    def hear(self, chunk: Chunk) -> None:
        """One more chunk went to the client."""
        self.ident = self.ident or {name: chunk[name] for name in ("id", "object", "created", "model") if name in chunk}
        for choice in chunk["choices"]:
            delta = choice["delta"]
            if isinstance(delta.get("content"), str):
                self._said.append(delta["content"])
            if choice.get("finish_reason") or any(delta.get(name) for name in ALONE):
                self._whole = False

    def goes_on(self, error: GatewayError) -> bool:
        """Whether the answer, which ended with `error`, can be carried on elsewhere; what it used so far is noted."""
        text = self.text
        if not self._whole or not text or not isinstance(error, UpstreamFault):
            return False
        self.used["prompt_tokens"] += tokens.of_prompt(self._chat)
        self.used["completion_tokens"] += tokens.count(text[self._counted :])
        self._counted = len(text)
        return True


def carried_on(chat: Chat, text: str, target: Target) -> Chat:
    """The request that asks `target` to go on after `text`."""
    said: Json = {"role": "assistant", "content": text}
    match way(target):
        case "prefill":
            return {**chat, "messages": [*chat["messages"], said]}
        case "prefix":
            return {**chat, "messages": [*chat["messages"], {**said, "prefix": True}]}
    return {**chat, "messages": [*chat["messages"], said, {"role": "user", "content": INSTRUCTION}]}


def way(target: Target) -> str:
    """How a target goes on: `prefill`, by an assistant's message at the end; `prefix`, if that is marked; `instruction`."""
    vendor = target.provider.vendor
    if any(fnmatchcase(target.model, glob) for glob in vendor.prefills):
        return "prefill"
    marked = vendor.marked_at is not None and target.provider.base_url.endswith(vendor.marked_at)
    return "prefix" if marked else "instruction"


def joined(chunks: Iterable[Chunk | Pause], heard: Heard, told_to: bool) -> Iterator[Chunk | Pause]:
    """
    The chunks of a continuation as those of the stream that it continues: its id and model, no second role, nothing
    that was said already, the usage of both. `told_to`: it was asked by an instruction, and may repeat some words.
    """
    before, begin, trimmed = heard.text[-TAIL:], "", False
    for chunk in chunks:
        if chunk is PAUSE:
            yield chunk
            continue
        told = {**chunk, **heard.ident}
        if not chunk["choices"]:
            yield {**told, "usage": added(chunk["usage"], heard.used)} if chunk.get("usage") else told
            continue
        choice = chunk["choices"][0]
        delta = {name: value for name, value in choice["delta"].items() if name != "role"}
        finished = bool(choice.get("finish_reason"))
        if not trimmed and isinstance(delta.get("content"), str):
            begin += delta["content"]
            trimmed = not may_repeat(before, begin, told_to)
            delta["content"] = begin[repeated(before, begin, told_to) :] if trimmed or finished else ""
        elif not trimmed and finished and begin:
            delta["content"] = begin[repeated(before, begin, told_to) :]
        trimmed = trimmed or finished
        if finished or any(delta.values()):
            yield {**told, "choices": [{**choice, "delta": delta}]}


def repeated(before: str, begin: str, told_to: bool) -> int:
    """How many characters at the beginning of `begin` are those at the end of `before`, said again."""
    if not told_to:  # what was stripped from the end of a prefill comes again
        spaces = len(before) - len(before.rstrip())
        return next((n for n in range(min(spaces, len(begin)), 0, -1) if before.endswith(begin[:n])), 0)
    longest = next((n for n in range(min(len(before), len(begin)), 0, -1) if before.endswith(begin[:n])), 0)
    return longest if longest >= min(LEAST_REPEATED, len(before)) or begin[:longest].isspace() else 0


def may_repeat(before: str, begin: str, told_to: bool) -> bool:
    """Whether all of `begin` was said before, and more of it may come."""
    tail = before if told_to else before[len(before.rstrip()) :]
    return any(tail.startswith(begin, at) for at in range(len(tail) - len(begin)))


def added(usage: Any, more: Json) -> Json:
    """A usage with that of the attempts before."""
    summed = {name: usage.get(name, 0) + count for name, count in more.items()}
    return {**usage, **summed, "total_tokens": sum(summed.values()), "estimated": True}
