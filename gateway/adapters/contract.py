"""
What an adapter is: one dialect's wire format, as pure functions between OpenAI's form and the vendor's.

No I/O, no Flask, no clock, no environment: what an adapter needs to know comes in with the `Ask`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from gateway.events import PAUSE, Event, Pause
from gateway.providers import NOTHING, Vendor

__all__ = ["PAUSE", "Adapter", "Ask", "Chat", "Chunk", "Completion", "Event", "Json", "Pause", "VendorRequest"]

Json = dict[str, Any]
Chat = dict[str, Any]
"""A validated OpenAI chat request, unknown fields included. Never edited: build a new value."""
Completion = dict[str, Any]
"""An OpenAI chat completion (`object: "chat.completion"`)."""
Chunk = dict[str, Any]
"""An OpenAI chat completion chunk."""


class Ask(NamedTuple):
    """
    One call of one target: what the client wants, of which upstream model.

    `id` and `created` (unix seconds) are for vendors that mint none; a completion's id begins with `chatcmpl-`.
    """

    chat: Chat
    model: str
    vendor: Vendor
    id: str
    created: int


class VendorRequest(NamedTuple):
    """
    What goes upstream: `path` follows the base URL; `dropped` are OpenAI field paths (`seed`, `messages[2].name`)
    of all that the client said and `body` does not say.
    """

    path: str
    body: Json
    headers: Mapping[str, str] = NOTHING
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Adapter:
    """A dialect. `Untranslatable` is raised by `request` for what the vendor's API cannot be told at all."""

    credentials: Callable[[str], Mapping[str, str]]
    """The headers that carry a key."""
    request: Callable[[Ask], VendorRequest]
    events: Callable[[Iterable[bytes | Pause]], Iterator[Event | Pause]]
    """The framing: how the events stand in the body of a stream."""
    completion: Callable[[Ask, Json], Completion]
    """The completion in a vendor's 200. Raises UpstreamFault for an error under a 200."""
    chunks: Callable[[Ask, Iterable[Event | Pause]], Iterator[Chunk | Pause]]
    """The chunks in a vendor's events: usage, when known, in a last chunk with `choices: []`, whether asked for or not.
    Raises UpstreamFault for an error event; ends early, without a finish_reason, when the events do."""
    error: Callable[[int, Json], Json]
    """Of an error's status and body: {"message"} and, where the vendor says so, "type", "param", "code", "retry_after"
    (seconds), and "status" where the status says something else than what is meant."""
    embeddings: Callable[[Ask], VendorRequest] | None = None
    """The vendor request for an OpenAI embeddings request; its answer is passed on. None: the dialect has none."""
    models_path: str = "/models"
