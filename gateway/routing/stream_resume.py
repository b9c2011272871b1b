"""
Resuming a stream that broke off after content: another target gets what the client has, and continues it.

How the target is asked depends on its vendor: a prefilled assistant message, a marked one, or an instruction.
"""

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from fnmatch import fnmatchcase

from gateway import token_estimate
from gateway.catalog.targets import Target
from gateway.errors import GatewayError, UpstreamFault
from gateway.openai_types import Chat, Chunk, Json
from gateway.stream_events import PAUSE, Pause

INSTRUCTION = (
    "Your answer was cut off by a failure of the connection. Go on exactly where it stopped, within the word if need be. "
    "Repeat nothing, and say nothing about this."
)
# What cannot be continued from the middle.
NOT_RESUMABLE = ("tool_calls", "function_call", "audio", "refusal")
# Characters that count as a repetition where a model was instructed to continue: fewer may be chance.
MIN_REPEATED = 8
# Characters that count as an echo of all of the answer where a model only had to continue its message.
MIN_ECHOED = 4
# Characters at the end of an answer that a continuation may repeat, other than all of the answer; and those of a word.
MAX_OVERLAP, MAX_WORD = 1 << 16, 100
# Characters of an answer that can be resumed: of a longer one, nothing is kept.
MAX_RESUMABLE = 8 << 20
LAST_WORD = re.compile(r"\w{2,}\Z")
TOKEN_LIMITS = ("max_tokens", "max_completion_tokens")


def resumable(chat: Chat) -> bool:
    """Whether an answer to this request can be resumed: one choice, of text."""
    response_format = (chat.get("response_format") or {}).get("type", "text")
    return chat.get("n") in (None, 1) and response_format == "text" and not chat.get("logprobs")


class Transcript:
    """
    What the client has received of an answer.

    `identity`: the members that all its chunks have alike. `failed_usage`: tokens of the attempts that broke off;
    estimates, since none of them reported its usage.
    """

    def __init__(self, chat: Chat) -> None:
        self._chat = chat
        self._texts: list[str] = []
        self._only_text, self._length, self._counted = True, 0, 0
        self.identity: Json = {}
        self.failed_usage = {"prompt_tokens": 0, "completion_tokens": 0}

    @property
    def text(self) -> str:
        return "".join(self._texts)

    @property
    def resumed(self) -> bool:
        """Whether an attempt broke off, and another was to continue it."""
        return self._counted > 0

    def add(self, chunk: Chunk) -> None:
        """One more chunk went to the client."""
        if not self.identity:
            self.identity = {name: chunk[name] for name in ("id", "object", "created", "model") if name in chunk}
        for choice in chunk["choices"]:
            delta = choice["delta"]
            if isinstance(delta.get("content"), str):
                self._length += len(delta["content"])
                self._texts.append(delta["content"])
            too_long = self._length > MAX_RESUMABLE
            if too_long or choice.get("finish_reason") or any(delta.get(name) for name in NOT_RESUMABLE):
                self._only_text = False
            if too_long:
                self._texts.clear()

    def can_resume(self, error: GatewayError) -> bool:
        """Whether the answer, which broke off with `error`, can be resumed; if so, its attempt's usage is noted."""
        text = self.text
        if not self._only_text or not text or not isinstance(error, UpstreamFault):
            return False
        self.failed_usage["prompt_tokens"] += token_estimate.of_prompt(self._chat)
        self.failed_usage["completion_tokens"] += token_estimate.count(text[self._counted :])
        self._counted = len(text)
        return True


class ResumeMethod(StrEnum):
    """How a target continues: an assistant's message at the end, one that is marked as a prefix, or an instruction."""

    PREFILL = "prefill"
    PREFIX = "prefix"
    INSTRUCTION = "instruction"


def resume_method(target: Target) -> ResumeMethod:
    vendor = target.provider.vendor
    if any(fnmatchcase(target.model, glob) for glob in vendor.prefill_models):
        return ResumeMethod.PREFILL
    base_url = vendor.prefix_base_url
    marked = base_url is not None and target.provider.base_url.endswith(base_url)
    return ResumeMethod.PREFIX if marked else ResumeMethod.INSTRUCTION


def resume_request(chat: Chat, text: str, target: Target) -> Chat:
    """The request to continue after `text`, with what is left of the tokens that the answer may have."""
    received: Json = {"role": "assistant", "content": text}
    used = token_estimate.count(text)
    limits = {name: max(1, chat[name] - used) for name in TOKEN_LIMITS if isinstance(chat.get(name), int)}
    match resume_method(target):
        case ResumeMethod.PREFILL:
            messages = [*chat["messages"], received]
        case ResumeMethod.PREFIX:
            messages = [*chat["messages"], {**received, "prefix": True}]
        case ResumeMethod.INSTRUCTION:
            messages = [*chat["messages"], received, {"role": "user", "content": INSTRUCTION}]
    return {**chat, **limits, "messages": messages}


def splice(chunks: Iterable[Chunk | Pause], transcript: Transcript, method: ResumeMethod) -> Iterator[Chunk | Pause]:
    """
    The chunks of a continuation as those of the stream that it resumes: its id and model, no second role, nothing that
    the client has already, the usage of both.
    """
    # A model may repeat the end of what it was given. Its beginning is held until that is decided.
    received, trimmed = transcript.text, False
    beginning = Beginning(received, method)
    for chunk in chunks:
        if chunk is PAUSE:
            yield chunk
            continue
        spliced = {**chunk, **transcript.identity}
        if not chunk["choices"]:
            if isinstance(chunk.get("usage"), dict):
                spliced["usage"] = add_usage(chunk["usage"], transcript.failed_usage)
            yield spliced
            continue
        choice = chunk["choices"][0]
        delta = {name: value for name, value in choice["delta"].items() if name != "role"}
        finished = bool(choice.get("finish_reason"))
        if not trimmed and isinstance(delta.get("content"), str):
            trimmed = not beginning.may_repeat(delta["content"])
            delta["content"] = beginning.without_repetition() if trimmed or finished else ""
        elif not trimmed and finished and beginning.length:
            delta["content"] = beginning.without_repetition()
        trimmed = trimmed or finished
        if finished or any(delta.values()):
            yield {**spliced, "choices": [{**choice, "delta": delta}]}


def repeated(received: str, beginning: str, method: ResumeMethod) -> int:
    """How many characters at the start of `beginning` repeat the end of `received`, or all of it, or its broken word."""
    if _may_echo(received, beginning, method) and beginning.startswith(received):
        return len(received)
    if method is not ResumeMethod.INSTRUCTION:
        return _overlap(_withheld(received, method), beginning)
    longest = _overlap(received, beginning)
    if longest >= min(MIN_REPEATED, len(received)) or not beginning[:longest].strip(" "):
        return longest
    word = LAST_WORD.search(received[-MAX_WORD:])
    completes_word = word is not None and beginning.startswith(word[0]) and beginning[len(word[0]) :][:1].isalnum()
    return len(word[0]) if word and completes_word else 0


class Beginning:
    """
    What a continuation begins with, held while only what follows tells whether it repeats what was received.

    A piece is compared with what follows the place that the pieces before it match: their cost is in proportion to their
    length in total.
    """

    def __init__(self, received: str, method: ResumeMethod) -> None:
        self._received, self._method = received, method
        self._pieces: list[str] = []
        self.length = 0
        # Whether it is the start of what was received.
        self._echoes = _can_echo(received, method)
        # Where in `_tail`, which a continuation may repeat a part of, it first occurs; -1: nowhere, and so it stays.
        self._tail = received[-MAX_OVERLAP:] if method is ResumeMethod.INSTRUCTION else _withheld(received, method)
        self._position = 0

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def may_repeat(self, piece: str) -> bool:
        """Add a piece; whether all that there is by now was received before, so that it cannot be decided yet."""
        before = self.length
        self._pieces.append(piece)
        self.length += len(piece)
        self._echoes = self._echoes and self._received.startswith(piece, before)
        end = len(self._tail) - 1
        if self._position >= 0 and not self._tail.startswith(piece, self._position + before, max(0, end)):
            self._position = self._tail.find(self.text, self._position, max(0, end)) if self.length <= end else -1
        if (self._echoes and self.length < len(self._received)) or self._position >= 0:
            return True
        is_short = self._method is ResumeMethod.INSTRUCTION and self.length < MIN_REPEATED
        return is_short and self._received.endswith(self.text)

    def without_repetition(self) -> str:
        """It, without what the client has already."""
        text = self.text
        return text[repeated(self._received, text, self._method) :]


def add_usage(usage: Json, failed: Json) -> Json:
    """A usage with that of the attempts that broke off before."""
    counts = {name: usage.get(name) for name in failed}
    totals = {name: (count if isinstance(count, int) else 0) + failed[name] for name, count in counts.items()}
    return {**usage, **totals, "total_tokens": sum(totals.values()), "estimated": True}


def _may_echo(received: str, beginning: str, method: ResumeMethod) -> bool:
    """Whether the answer may be repeated from its start on."""
    return _can_echo(received, method) and (received.startswith(beginning) or beginning.startswith(received))


def _can_echo(received: str, method: ResumeMethod) -> bool:
    return method is ResumeMethod.INSTRUCTION or len(received) >= MIN_ECHOED


def _withheld(received: str, method: ResumeMethod) -> str:
    """What the target did not get of the end of `received`, and may repeat."""
    # Anthropic refuses a prefill that ends with whitespace:
    # https://platform.claude.com/docs/en/build-with-claude/prefill-claudes-response
    return received[len(received.rstrip()) :] if method is ResumeMethod.PREFILL else ""


def _overlap(received: str, beginning: str) -> int:
    """The length of the longest start of `beginning` with which `received` ends."""
    # The prefix function of `beginning`, continued over the end of `received`: each step is taken back at most once.
    # https://en.wikipedia.org/wiki/Knuth-Morris-Pratt_algorithm
    size = min(len(received), len(beginning), MAX_OVERLAP)
    borders = [0] * size
    length = 0
    for n in range(1, size):
        while length and beginning[n] != beginning[length]:
            length = borders[length - 1]
        length += beginning[n] == beginning[length]
        borders[n] = length
    length = 0
    for character in received[len(received) - size :]:
        while length and character != beginning[length]:
            length = borders[length - 1]
        length += character == beginning[length]
    return length
