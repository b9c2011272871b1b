"""
OpenAI's chat completions and compatible vendors: https://platform.openai.com/docs/api-reference/chat

Nearly an identity: fields that need no change, unknown ones included, pass through at every depth in both directions.
How a vendor departs from OpenAI is data, its row in gateway/catalog/vendors.py.
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

MESSAGE_FIELD = "messages[]."


def credentials(key: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {key}"}


def vendor_request(request: TargetRequest) -> VendorRequest:
    body, dropped = _top_level_fields(request)
    unsupported = _unsupported_message_fields(request.vendor.reasoning_field, request.vendor.unsupported)
    messages = body["messages"]
    if not all(_passes_unchanged(message, request.vendor, unsupported) for message in messages):
        body["messages"] = [_translated(message, request.vendor, unsupported) for message in messages]
        dropped += [
            f"messages[{n}].{name}"
            for n, message in enumerate(messages)
            for name in unsupported
            if message.get(name) is not None
        ]
    if request.chat.get("stream") and request.vendor.stream_usage:
        # The gateway counts the tokens of every stream. "If set, an additional chunk will be streamed before the
        # data: [DONE] message": https://platform.openai.com/docs/api-reference/chat/create
        body["stream_options"] = {**(request.chat.get("stream_options") or {}), "include_usage": True}
    return VendorRequest("/chat/completions", body, dropped=tuple(dropped))


def embeddings_request(request: TargetRequest) -> VendorRequest:
    return VendorRequest("/embeddings", {**request.chat, "model": request.model})


def _top_level_fields(request: TargetRequest) -> tuple[Json, list[str]]:
    """The request's fields under the vendor's names, and the names of those that are dropped."""
    names = _vendor_names(request.model, request.vendor.renames)
    if request.vendor.unsupported.isdisjoint(request.chat) and names.keys().isdisjoint(request.chat):
        body, dropped = dict(request.chat), list[str]()
    else:
        unsupported = {name for name in request.chat if name in request.vendor.unsupported}
        # Where the client sends a field under both names (max_tokens, max_completion_tokens), the vendor's name counts.
        duplicates = {name for name in request.chat if names.get(name, name) != name and names[name] in request.chat}
        excluded = unsupported | duplicates
        body = {names.get(name, name): value for name, value in request.chat.items() if name not in excluded}
        dropped = [name for name in request.chat if name in excluded and request.chat[name] is not None]
    if not request.vendor.stream_usage:
        # Such a vendor reports usage in every stream, so that include_usage is not lost.
        options = body.pop("stream_options", None) or {}
        dropped += [f"stream_options.{name}" for name in options if name != "include_usage"]
    body["model"] = request.model
    return body, dropped


@lru_cache(1024)
def _vendor_names(model: str, renames: tuple[tuple[str, str, str], ...]) -> dict[str, str]:
    """OpenAI's name -> the vendor's name, of the fields that this model takes under another name."""
    return {openai_name: vendor_name for glob, openai_name, vendor_name in renames if fnmatchcase(model, glob)}


@lru_cache(64)
def _unsupported_message_fields(reasoning_field: str | None, unsupported: frozenset[str]) -> frozenset[str]:
    """
    The message fields that the vendor refuses.

    `reasoning_content` and `thinking_blocks` are not OpenAI's: the gateway puts them into responses, and clients send
    them back with the history. Vendors that take `reasoning_content` are sent both.
    """
    reasoning = {
        None: {"reasoning_content", "thinking_blocks"},
        "reasoning_content": set[str](),
    }.get(reasoning_field, {"thinking_blocks"})
    message_fields = {name.removeprefix(MESSAGE_FIELD) for name in unsupported if name.startswith(MESSAGE_FIELD)}
    return frozenset(reasoning | message_fields)


def _passes_unchanged(message: Chat, vendor: Vendor, unsupported: frozenset[str]) -> bool:
    if not unsupported.isdisjoint(message) or (message["role"] == "developer" and not vendor.developer_role):
        return False
    return "reasoning_content" not in message or vendor.reasoning_field == "reasoning_content"


def _translated(message: Chat, vendor: Vendor, unsupported: frozenset[str]) -> Chat:
    """A message with the vendor's roles and field names."""
    changed: Json = {}
    if message["role"] == "developer" and not vendor.developer_role:
        # "With o1 models and newer, developer messages replace the previous system messages"; other vendors have the
        # older role only: https://platform.openai.com/docs/api-reference/chat/create
        changed["role"] = "system"
    reasoning = message.get("reasoning_content")
    if reasoning is not None and vendor.reasoning_field not in (None, "reasoning_content"):
        changed[vendor.reasoning_field] = reasoning
        unsupported |= {"reasoning_content"}
    return {**{name: value for name, value in message.items() if name not in unsupported}, **changed}


ADAPTER = Adapter(
    credentials=credentials,
    vendor_request=vendor_request,
    embeddings_request=embeddings_request,
    events=sse_events,
    completion=completion,
    chunks=chunks,
    error=error,
)
