"""
Anthropic's Messages API, https://platform.claude.com/docs/en/api/messages.

Version 2023-06-01, since the one after it (2026-10-21) takes no temperature and no top_p.
"""

import re
from collections.abc import Iterator, Mapping

from gateway.dialects.anthropic import parameters as settings
from gateway.dialects.anthropic.dropped_fields import NATIVE, untranslated
from gateway.dialects.anthropic.errors import error
from gateway.dialects.anthropic.messages import dialogue
from gateway.dialects.anthropic.models import model_traits
from gateway.dialects.anthropic.response import completion
from gateway.dialects.anthropic.stream import chunks
from gateway.dialects.anthropic.tools import FORCING, toolbox
from gateway.dialects.contract import Adapter, TargetRequest, VendorRequest
from gateway.dialects.sse import sse_events
from gateway.errors import InvalidRequest
from gateway.openai_types import Json

VERSION = "2023-06-01"
BETAS: Mapping[str, str] = {
    "mcp_servers": "mcp-client-2025-04-04",
    "context_management": "context-management-2025-06-27",
    "fallbacks": "server-side-fallback-2026-07-01",
}
BETA = re.compile(r"[\w.-]+", re.ASCII)
FILES = "files-api-2025-04-14"
HANDLED = ("betas", "output_config", "thinking", "top_k")
THINKING = ("enabled", "adaptive")


def credentials(key: str) -> Mapping[str, str]:
    return {"x-api-key": key}


def vendor_request(request: TargetRequest) -> VendorRequest:
    """The vendor request. Raises Untranslatable for what Claude can't be told."""
    chat, model = request.chat, model_traits(request.model)
    talk, tools, limit = dialogue(chat), toolbox(chat, model), settings.max_tokens(chat, model)
    forced = tools.body.get("tool_choice", {}).get("type") in FORCING
    thinking = settings.thinking(chat, model, settings.Circumstances(forced, talk.bare, limit.body["max_tokens"]))
    thinks = thinking.body.get("thinking", {}).get("type") in THINKING
    shape, told = settings.answer_format(chat, model)
    sampling = settings.sampling(chat, model, thinks=thinks)
    pieces = [limit, tools, thinking, sampling, settings.stop(chat), settings.who(chat), settings.tier(chat)]
    system = [*talk.system, *([{"type": "text", "text": told}] if told else [])]
    output = {**thinking.body.get("output_config", {}), **shape.body, **_told_output(chat)}
    body = {
        "model": request.model,
        **{name: chat[name] for name in NATIVE if name not in HANDLED and chat.get(name) is not None},
        **({"system": system} if system else {}),
        "messages": talk.turns,
        **{name: value for piece in pieces for name, value in piece.body.items()},
        **({"output_config": output} if output else {}),
        **({"stream": True} if chat.get("stream") else {}),
    }
    dropped = [*untranslated(chat), *talk.dropped, *(path for piece in [shape, *pieces] for path in piece.dropped)]
    return VendorRequest("/v1/messages", body, _headers(chat, body), tuple(dict.fromkeys(dropped)))


def _told_output(chat: Json) -> Json:
    told = chat.get("output_config") or {}
    if not isinstance(told, dict):
        raise InvalidRequest("output_config must be an object.", param="output_config")
    return told


def _headers(chat: Json, body: Json) -> Mapping[str, str]:
    given = _betas(chat)
    needed = [beta for field, beta in BETAS.items() if body.get(field) is not None]
    files = any(_is_file(block.get("source")) for block in _blocks(body))
    wanted = [*needed, FILES] if files else needed
    # of one beta the client may want another version
    betas = [*given, *(beta for beta in wanted if not any(one.startswith(beta[: -len("2025-04-04")]) for one in given))]
    return {"anthropic-version": VERSION, **({"anthropic-beta": ",".join(betas)} if betas else {})}


def _betas(chat: Json) -> list[str]:
    """Those that the client asks for; they become a header, where no other character may stand."""
    given = chat.get("betas") or []
    listed = given if isinstance(given, list) else [given]
    if not all(isinstance(one, str) and BETA.fullmatch(one) for one in listed):
        raise InvalidRequest("betas must be a list of names.", param="betas")
    return listed


def _is_file(source: object) -> bool:
    return isinstance(source, dict) and source.get("type") == "file"


def _blocks(body: Json) -> Iterator[Json]:
    """Every block of the turns, those in tool results too."""
    for turn in body["messages"]:
        for block in turn["content"]:
            yield block
            yield from block.get("content") or () if block["type"] == "tool_result" else ()


ADAPTER = Adapter(
    credentials=credentials,
    vendor_request=vendor_request,
    events=sse_events,
    completion=completion,
    chunks=chunks,
    error=error,
    models_path="/v1/models",
)
