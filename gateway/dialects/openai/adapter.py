"""
OpenAI's dialect and its look-alikes: nearly an identity, with each vendor's quirks made into one contract.

https://platform.openai.com/docs/api-reference/chat. What passes through unharmed is not rebuilt: unknown fields stay,
at every depth, in both directions.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache

from gateway.catalog.vendors import Vendor
from gateway.dialects.contract import Adapter, TargetRequest, VendorRequest
from gateway.dialects.openai.errors import error
from gateway.dialects.openai.response import completion
from gateway.dialects.openai.stream import chunks
from gateway.dialects.sse import sse_events
from gateway.openai_types import Chat, Json

OF_MESSAGES = "messages[]."


def credentials(key: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {key}"}


def vendor_request(request: TargetRequest) -> VendorRequest:
    body, dropped = _parameters(request)
    refused = _refused_of_messages(request.vendor.reasoning_field, request.vendor.unsupported)
    messages = body["messages"]
    if not all(_as_taken(message, request.vendor, refused) for message in messages):
        body["messages"] = [_message(message, request.vendor, refused) for message in messages]
        dropped += [
            f"messages[{n}].{name}"
            for n, message in enumerate(messages)
            for name in refused
            if message.get(name) is not None
        ]
    if request.chat.get("stream") and request.vendor.stream_usage:
        body["stream_options"] = {**(request.chat.get("stream_options") or {}), "include_usage": True}
    return VendorRequest("/chat/completions", body, dropped=tuple(dropped))


def embeddings_request(request: TargetRequest) -> VendorRequest:
    return VendorRequest("/embeddings", {**request.chat, "model": request.model})


def _parameters(request: TargetRequest) -> tuple[Json, list[str]]:
    """The top-level fields under the vendor's names, and those that it refuses."""
    names = _renamed(request.model, request.vendor.renames)
    if request.vendor.unsupported.isdisjoint(request.chat) and names.keys().isdisjoint(request.chat):
        body, dropped = dict(request.chat), list[str]()
    else:
        refused = {name for name in request.chat if name in request.vendor.unsupported}
        twice = {name for name in request.chat if names.get(name, name) != name and names[name] in request.chat}
        gone = refused | twice
        body = {names.get(name, name): value for name, value in request.chat.items() if name not in gone}
        dropped = [name for name in request.chat if name in gone and request.chat[name] is not None]
    if not request.vendor.stream_usage:
        options = body.pop("stream_options", None) or {}  # the wish for usage is fulfilled all the same
        dropped += [f"stream_options.{name}" for name in options if name != "include_usage"]
    body["model"] = request.model
    return body, dropped


@lru_cache(1024)
def _renamed(model: str, renames: tuple[tuple[str, str, str], ...]) -> dict[str, str]:
    """OpenAI's names of the fields that have another with this model, and that."""
    return {theirs: ours for glob, theirs, ours in renames if fnmatchcase(model, glob)}


@lru_cache(64)
def _refused_of_messages(thoughts: str | None, unsupported: frozenset[str]) -> frozenset[str]:
    """The fields of messages that the vendor refuses: among them ours, which come back in a client's history."""
    ours = {
        None: {"reasoning_content", "thinking_blocks"},
        "reasoning_content": set[str](),
    }.get(thoughts, {"thinking_blocks"})
    listed = {name.removeprefix(OF_MESSAGES) for name in unsupported if name.startswith(OF_MESSAGES)}
    return frozenset(ours | listed)


def _as_taken(message: Chat, vendor: Vendor, refused: frozenset[str]) -> bool:
    """Whether a message goes out as it is."""
    if not refused.isdisjoint(message) or (message["role"] == "developer" and not vendor.developer_role):
        return False
    return "reasoning_content" not in message or vendor.reasoning_field == "reasoning_content"


def _message(message: Chat, vendor: Vendor, refused: frozenset[str]) -> Chat:
    """A message as the vendor takes it."""
    changed: Json = {}
    if message["role"] == "developer" and not vendor.developer_role:
        changed["role"] = "system"
    thoughts = message.get("reasoning_content")
    if thoughts is not None and vendor.reasoning_field not in (None, "reasoning_content"):
        changed[vendor.reasoning_field] = thoughts
        refused |= {"reasoning_content"}
    return {**{name: value for name, value in message.items() if name not in refused}, **changed}


ADAPTER = Adapter(
    credentials=credentials,
    vendor_request=vendor_request,
    embeddings_request=embeddings_request,
    events=sse_events,
    completion=completion,
    chunks=chunks,
    error=error,
)
