"""
What a dialect implements: pure functions between OpenAI's chat format and one wire format.

No I/O, Flask, clock or environment: whatever a function needs comes in its arguments.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from gateway.catalog.vendors import Vendor
from gateway.openai_types import Chat, Chunk, Completion, Json
from gateway.stream_events import Event, Pause


class TargetRequest(NamedTuple):
    """
    A chat request for one target.

    `model` is the upstream's name of the model. `id` (it begins with `chatcmpl-`) and `created` (Unix seconds) are
    used where a vendor sends none.
    """

    chat: Chat
    model: str
    vendor: Vendor
    id: str
    created: int


class VendorRequest(NamedTuple):
    """
    The request that is sent to a vendor; `path` is appended to the base URL.

    `dropped`: the OpenAI field paths (`seed`, `messages[2].name`) of what the client sent and `body` leaves out.
    """

    path: str
    body: Json
    headers: Mapping[str, str] = MappingProxyType({})
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Adapter:
    """The upstream side of a dialect. Request functions raise Untranslatable for what a vendor has no form for."""

    # The headers that authenticate with an API key.
    credentials: Callable[[str], Mapping[str, str]]
    vendor_request: Callable[[TargetRequest], VendorRequest]
    # The framing: the events in a response body, of so many bytes at most. Blocks may be cut anywhere; each PAUSE is passed on.
    events: Callable[[Iterable[bytes | Pause], int], Iterator[Event | Pause]]
    # The completion in the body of a 200. Raises UpstreamFault where the body is an error.
    completion: Callable[[TargetRequest, Json], Completion]
    # The chunks of a stream. Usage, where the vendor reports it, is in a last chunk with `choices: []` in any case.
    # Raises UpstreamFault for an error event. Where the events end early, the chunks end without a finish_reason.
    chunks: Callable[[TargetRequest, Iterable[Event | Pause]], Iterator[Chunk | Pause]]
    # What an error's status and body report: "message", and where the vendor states them "type", "param", "code" and
    # "retry_after" (seconds). "status" replaces a status that is misleading.
    error: Callable[[int, Json], Json]
    # For OpenAI's embeddings, whose response is passed on unchanged. None: the vendor has no embeddings.
    embeddings_request: Callable[[TargetRequest], VendorRequest] | None = None
    base_headers: Mapping[str, str] = field(default_factory=dict)
    """What the vendor demands on every request, beside the credentials."""
    models_path: str = "/models"


@dataclass(frozen=True, slots=True)
class ClientDialect:
    """
    The client side of a dialect: a format in which clients send requests to the gateway.

    A request is validated in its own format before it is translated. Where the upstream has the same dialect, the body
    passes through. OpenAI's chat format is the internal format, so both of its sides are identities.
    """

    # The chat request in a client's body. Raises Untranslatable.
    chat_request: Callable[[Json], Chat]
    # The body of the response to a request without `stream`.
    completion_body: Callable[[Completion], Json]
    # The server-sent events of a stream: one item per chunk, each PAUSE passed on, then the frame that ends the stream.
    stream_frames: Callable[[Iterable[Chunk | Pause]], Iterator[bytes | Pause]]
    # The frame that ends a stream with an error, from the error's body.
    error_frame: Callable[[Json], bytes]
