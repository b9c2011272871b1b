"""
What an adapter is: one dialect's wire format, as pure functions between OpenAI's form and the vendor's.

No I/O, no Flask, no clock, no environment: what an adapter needs to know comes in with the `Ask`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from gateway.catalog.vendors import EMPTY, Vendor
from gateway.openai_types import Chat, Chunk, Completion, Json
from gateway.stream_events import Event, Pause


class TargetRequest(NamedTuple):
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
    headers: Mapping[str, str] = EMPTY
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Adapter:
    """A dialect. `Untranslatable` is raised by `request` for what the vendor's API cannot be told at all."""

    credentials: Callable[[str], Mapping[str, str]]
    """The headers that carry a key."""
    vendor_request: Callable[[TargetRequest], VendorRequest]
    events: Callable[[Iterable[bytes | Pause]], Iterator[Event | Pause]]
    """The framing: how the events stand in the body of a stream."""
    completion: Callable[[TargetRequest, Json], Completion]
    """The completion in a vendor's 200. Raises UpstreamFault for an error under a 200."""
    chunks: Callable[[TargetRequest, Iterable[Event | Pause]], Iterator[Chunk | Pause]]
    """The chunks in a vendor's events: usage, when known, in a last chunk with `choices: []`, whether asked for or not.
    Raises UpstreamFault for an error event; ends early, without a finish_reason, when the events do."""
    error: Callable[[int, Json], Json]
    """Of an error's status and body: {"message"} and, where the vendor says so, "type", "param", "code", "retry_after"
    (seconds), and "status" where the status says something else than what is meant."""
    embeddings_request: Callable[[TargetRequest], VendorRequest] | None = None
    """The vendor request for an OpenAI embeddings request; its answer is passed on. None: the dialect has none."""
    models_path: str = "/models"


@dataclass(frozen=True, slots=True)
class ClientDialect:
    """
    A format in which clients speak to the gateway, as pure functions between it and OpenAI's chat format.

    A request is validated in its own format before it comes here. Where the upstream speaks the client's dialect too,
    the body passes through: OpenAI's chat format is the internal one, so that both of its sides are identities.
    """

    chat_request: Callable[[Json], Chat]
    """The chat request in a client's body. Raises Untranslatable."""
    completion_body: Callable[[Completion], Json]
    """The body of the response to a plain request."""
    stream_frames: Callable[[Iterable[Chunk | Pause]], Iterator[bytes | Pause]]
    """The server-sent events of a stream, one item a chunk, PAUSE where it stands, and the frame that ends it well."""
    error_frame: Callable[[Json], bytes]
    """The frame that ends a stream with an error, from the error's body."""
