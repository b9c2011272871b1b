"""
A stream that broke off after content goes on with another target, which gets what was said so far.

Where the vendor's API carries an assistant's last message on, that is how it is asked; else by an instruction.
"""

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from fnmatch import fnmatchcase

from gateway import token_estimate
from gateway.catalog.vendors import Target
from gateway.errors import GatewayError, UpstreamFault
from gateway.openai_types import Chat, Chunk, Json
from gateway.stream_events import PAUSE, Pause

INSTRUCTION = (
    "Your answer was cut off by a failure of the connection. Go on exactly where it stopped, within the word if need be. "
    "Repeat nothing, and say nothing about this."
)
ALONE = ("tool_calls", "function_call", "audio", "refusal")
"""What cannot be carried on from the middle."""
LEAST_REPEATED = 8
"""Characters that are taken for a repetition, where a model was told to go on: fewer may be chance."""
LEAST_ECHOED = 4
"""Characters that are taken for an echo of all that was said, where a model only had to go on."""
BROKEN_WORD = re.compile(r"\w{2,}\Z")
LIMITS = ("max_tokens", "max_completion_tokens")


def resumable(chat: Chat) -> bool:
    """Whether an answer to this request can be carried on: one choice, of text."""
    wanted = (chat.get("response_format") or {}).get("type", "text")
    return chat.get("n") in (None, 1) and wanted == "text" and not chat.get("logprobs")


class Transcript:
    """What the client has heard of an answer."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat
        self._said: list[str] = []
        self._whole, self._counted = True, 0
        self.ident: Json = {}
        self.failed_usage = {"prompt_tokens": 0, "completion_tokens": 0}
        """By the attempts that broke off: estimates, since none of them came to say."""

    @property
    def text(self) -> str:
        return "".join(self._said)

    @property
    def broken(self) -> bool:
        """Whether it has been carried on."""
        return self._counted > 0

    def add(self, chunk: Chunk) -> None:
        """One more chunk went to the client."""
        self.ident = self.ident or {name: chunk[name] for name in ("id", "object", "created", "model") if name in chunk}
        for choice in chunk["choices"]:
            delta = choice["delta"]
            if isinstance(delta.get("content"), str):
                self._said.append(delta["content"])
            if choice.get("finish_reason") or any(delta.get(name) for name in ALONE):
                self._whole = False

    def can_resume(self, error: GatewayError) -> bool:
        """Whether the answer, which ended with `error`, can be carried on elsewhere; what it used so far is noted."""
        text = self.text
        if not self._whole or not text or not isinstance(error, UpstreamFault):
            return False
        self.failed_usage["prompt_tokens"] += token_estimate.of_prompt(self._chat)
        self.failed_usage["completion_tokens"] += token_estimate.count(text[self._counted :])
        self._counted = len(text)
        return True


def resume_request(chat: Chat, text: str, target: Target) -> Chat:
    """The request that asks `target` to go on after `text`, with what is left of the tokens that the answer may have."""
    said: Json = {"role": "assistant", "content": text}
    spent = token_estimate.count(text)
    chat = {**chat, **{name: max(1, chat[name] - spent) for name in LIMITS if isinstance(chat.get(name), int)}}
    match resume_method(target):
        case ResumeMethod.PREFILL:
            return {**chat, "messages": [*chat["messages"], said]}
        case ResumeMethod.PREFIX:
            return {**chat, "messages": [*chat["messages"], {**said, "prefix": True}]}
    return {**chat, "messages": [*chat["messages"], said, {"role": "user", "content": INSTRUCTION}]}


class ResumeMethod(StrEnum):
    """How a target goes on: by an assistant's message at the end, by one that is marked, or as it is told to."""

    PREFILL = "prefill"
    PREFIX = "prefix"
    INSTRUCTION = "instruction"


def resume_method(target: Target) -> ResumeMethod:
    """How a target goes on."""
    vendor = target.provider.vendor
    if any(fnmatchcase(target.model, glob) for glob in vendor.prefill_models):
        return ResumeMethod.PREFILL
    marked = vendor.prefix_base_url is not None and target.provider.base_url.endswith(vendor.prefix_base_url)
    return ResumeMethod.PREFIX if marked else ResumeMethod.INSTRUCTION


def splice(chunks: Iterable[Chunk | Pause], transcript: Transcript, by: ResumeMethod) -> Iterator[Chunk | Pause]:
    """
    The chunks of a continuation as those of the stream that it continues: its id and model, no second role, nothing
    that was said already, the usage of both.
    """
    before, begin, trimmed = transcript.text, "", False
    for chunk in chunks:
        if chunk is PAUSE:
            yield chunk
            continue
        told = {**chunk, **transcript.ident}
        if not chunk["choices"]:
            yield (
                {**told, "usage": add_usage(chunk["usage"], transcript.failed_usage)}
                if isinstance(chunk.get("usage"), dict)
                else told
            )
            continue
        choice = chunk["choices"][0]
        delta = {name: value for name, value in choice["delta"].items() if name != "role"}
        finished = bool(choice.get("finish_reason"))
        if not trimmed and isinstance(delta.get("content"), str):
            begin += delta["content"]
            trimmed = not may_repeat(before, begin, by)
            delta["content"] = begin[repeated(before, begin, by) :] if trimmed or finished else ""
        elif not trimmed and finished and begin:
            delta["content"] = begin[repeated(before, begin, by) :]
        trimmed = trimmed or finished
        if finished or any(delta.values()):
            yield {**told, "choices": [{**choice, "delta": delta}]}


def repeated(before: str, begin: str, by: ResumeMethod) -> int:
    """How many characters at the beginning of `begin` say the end of `before` again, or all of it, or its broken word."""
    if _echoes(before, begin, by) and begin.startswith(before):
        return len(before)
    if by is not ResumeMethod.INSTRUCTION:
        return _overlap(_stripped(before, by), begin)
    longest = _overlap(before, begin)
    if longest >= min(LEAST_REPEATED, len(before)) or not begin[:longest].strip(" "):
        return longest
    word = BROKEN_WORD.search(before)
    again = word is not None and begin.startswith(word[0]) and begin[len(word[0]) :][:1].isalnum()
    return len(word[0]) if word and again else 0


def may_repeat(before: str, begin: str, by: ResumeMethod) -> bool:
    """Whether all of `begin` was said before, and what follows will tell whether it is a repetition."""
    if _echoes(before, begin, by) and len(begin) < len(before):
        return True
    if by is not ResumeMethod.INSTRUCTION:
        return begin in _stripped(before, by)[:-1]
    return begin in before[:-1] or (len(begin) < LEAST_REPEATED and before.endswith(begin))


def _echoes(before: str, begin: str, by: ResumeMethod) -> bool:
    """Whether the answer could be said again from its start on."""
    return (by is ResumeMethod.INSTRUCTION or len(before) >= LEAST_ECHOED) and (
        before.startswith(begin) or begin.startswith(before)
    )


def _stripped(before: str, by: ResumeMethod) -> str:
    """What the target did not get of the end of `before`, and may say again: a prefill must not end with spaces."""
    return before[len(before.rstrip()) :] if by is ResumeMethod.PREFILL else ""


def _overlap(before: str, begin: str) -> int:
    """The length of the longest beginning of `begin` with which `before` ends."""
    return next((n for n in range(min(len(before), len(begin)), 0, -1) if before.endswith(begin[:n])), 0)


def add_usage(usage: Json, more: Json) -> Json:
    """A usage with that of the attempts before."""
    known = {name: usage.get(name) for name in more}
    summed = {name: (told if isinstance(told, int) else 0) + more[name] for name, told in known.items()}
    return {**usage, **summed, "total_tokens": sum(summed.values()), "estimated": True}
