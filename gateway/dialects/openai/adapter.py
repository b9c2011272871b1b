"""
OpenAI's dialect and its look-alikes: nearly an identity, with each vendor's quirks made into one contract.

https://platform.openai.com/docs/api-reference/chat. What passes through unharmed is not rebuilt: unknown fields stay,
at every depth, in both directions.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache

from gateway.catalog.vendors import Vendor
from gateway.dialects.contract import Adapter, Ask, VendorRequest
from gateway.dialects.openai.errors import error
from gateway.dialects.openai.response import completion
from gateway.dialects.openai.stream import chunks
from gateway.dialects.sse import sse
from gateway.openai_types import Chat, Json

OF_MESSAGES = "messages[]."


def credentials(key: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {key}"}


def request(ask: Ask) -> VendorRequest:
    body, dropped = _parameters(ask)
    refused = _refused_of_messages(ask.vendor.thoughts, ask.vendor.refuses)
    messages = body["messages"]
    if not all(_as_taken(message, ask.vendor, refused) for message in messages):
        body["messages"] = [_message(message, ask.vendor, refused) for message in messages]
        dropped += [
            f"messages[{n}].{name}"
            for n, message in enumerate(messages)
            for name in refused
            if message.get(name) is not None
        ]
    if ask.chat.get("stream") and ask.vendor.stream_usage:
        body["stream_options"] = {**(ask.chat.get("stream_options") or {}), "include_usage": True}
    return VendorRequest("/chat/completions", body, dropped=tuple(dropped))


def embeddings(ask: Ask) -> VendorRequest:
    return VendorRequest("/embeddings", {**ask.chat, "model": ask.model})


def _parameters(ask: Ask) -> tuple[Json, list[str]]:
    """The top-level fields under the vendor's names, and those that it refuses."""
    names = _renamed(ask.model, ask.vendor.renames)
    if ask.vendor.refuses.isdisjoint(ask.chat) and names.keys().isdisjoint(ask.chat):
        body, dropped = dict(ask.chat), list[str]()
    else:
        refused = {name for name in ask.chat if name in ask.vendor.refuses}
        twice = {name for name in ask.chat if names.get(name, name) != name and names[name] in ask.chat}
        gone = refused | twice
        body = {names.get(name, name): value for name, value in ask.chat.items() if name not in gone}
        dropped = [name for name in ask.chat if name in gone and ask.chat[name] is not None]
    if not ask.vendor.stream_usage:
        options = body.pop("stream_options", None) or {}  # the wish for usage is fulfilled all the same
        dropped += [f"stream_options.{name}" for name in options if name != "include_usage"]
    body["model"] = ask.model
    return body, dropped


@lru_cache(1024)
def _renamed(model: str, renames: tuple[tuple[str, str, str], ...]) -> dict[str, str]:
    """OpenAI's names of the fields that have another with this model, and that."""
    return {theirs: ours for glob, theirs, ours in renames if fnmatchcase(model, glob)}


@lru_cache(64)
def _refused_of_messages(thoughts: str | None, refuses: frozenset[str]) -> frozenset[str]:
    """The fields of messages that the vendor refuses: among them ours, which come back in a client's history."""
    ours = {
        None: {"reasoning_content", "thinking_blocks"},
        "reasoning_content": set[str](),
    }.get(thoughts, {"thinking_blocks"})
    listed = {name.removeprefix(OF_MESSAGES) for name in refuses if name.startswith(OF_MESSAGES)}
    return frozenset(ours | listed)


def _as_taken(message: Chat, vendor: Vendor, refused: frozenset[str]) -> bool:
    """Whether a message goes out as it is."""
    if not refused.isdisjoint(message) or (message["role"] == "developer" and not vendor.developer):
        return False
    return "reasoning_content" not in message or vendor.thoughts == "reasoning_content"


def _message(message: Chat, vendor: Vendor, refused: frozenset[str]) -> Chat:
    """A message as the vendor takes it."""
    changed: Json = {}
    if message["role"] == "developer" and not vendor.developer:
        changed["role"] = "system"
    thoughts = message.get("reasoning_content")
    if thoughts is not None and vendor.thoughts not in (None, "reasoning_content"):
        changed[vendor.thoughts] = thoughts
        refused |= {"reasoning_content"}
    return {**{name: value for name, value in message.items() if name not in refused}, **changed}


ADAPTER = Adapter(
    credentials=credentials,
    request=request,
    embeddings=embeddings,
    events=sse,
    completion=completion,
    chunks=chunks,
    error=error,
)
