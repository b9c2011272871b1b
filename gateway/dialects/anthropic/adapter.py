"""Anthropic's Messages API: https://platform.claude.com/docs/en/api/messages"""

import re
from collections.abc import Iterator, Mapping

from gateway.dialects.anthropic import parameters
from gateway.dialects.anthropic.dropped_fields import NATIVE_FIELDS, untranslated
from gateway.dialects.anthropic.errors import error
from gateway.dialects.anthropic.messages import translate_messages
from gateway.dialects.anthropic.models import model_traits
from gateway.dialects.anthropic.response import completion
from gateway.dialects.anthropic.stream import chunks
from gateway.dialects.anthropic.tools import FORCING_CHOICES, translate_tools
from gateway.dialects.contract import Adapter, TargetRequest, VendorRequest
from gateway.dialects.sse import sse_events
from gateway.errors import InvalidRequest
from gateway.openai_types import Json

# https://platform.claude.com/docs/en/api/versioning. The next version, 2026-10-21, takes no temperature and no top_p.
VERSION = "2023-06-01"
# Fields that need a beta: https://platform.claude.com/docs/en/api/beta-headers
BETAS: Mapping[str, str] = {
    "mcp_servers": "mcp-client-2025-04-04",
    "context_management": "context-management-2025-06-27",
    "fallbacks": "server-side-fallback-2026-07-01",
}
BETA_NAME = re.compile(r"[\w.-]+", re.ASCII)
DATE_LENGTH = len("2025-04-04")
# https://platform.claude.com/docs/en/build-with-claude/files
FILES_BETA = "files-api-2025-04-14"
# The native fields that are translated together with others, or become a header.
HANDLED_FIELDS = ("betas", "output_config", "thinking", "top_k")
THINKING_TYPES = ("enabled", "adaptive")


def credentials(key: str) -> Mapping[str, str]:
    return {"x-api-key": key}


def vendor_request(request: TargetRequest) -> VendorRequest:
    """Raises Untranslatable for what the API has no form for, InvalidRequest for what it would refuse."""
    chat, model = request.chat, model_traits(request.model)
    conversation, tools = translate_messages(chat), translate_tools(chat, model)
    limit = parameters.max_tokens(chat, model)
    # These three decide whether the model can think, and thinking decides which of the sampling parameters it takes.
    tool_forced = tools.fields.get("tool_choice", {}).get("type") in FORCING_CHOICES
    constraints = parameters.ThinkingConstraints(tool_forced, conversation.lacks_thinking, limit.fields["max_tokens"])
    thinking = parameters.thinking(chat, model, constraints)
    is_thinking = thinking.fields.get("thinking", {}).get("type") in THINKING_TYPES
    sampling = parameters.sampling(chat, model, is_thinking=is_thinking)
    output_format, instruction = parameters.response_format(chat, model)
    others = [parameters.stop_sequences(chat), parameters.user_metadata(chat), parameters.service_tier(chat)]
    translated = [limit, tools, thinking, sampling, *others]
    system = [*conversation.system, *([{"type": "text", "text": instruction}] if instruction else [])]
    # The effort and the format of the output share a field with what the client sends in it.
    effort = thinking.fields.get("output_config", {})
    output_config = {**effort, **output_format.fields, **_native_output_config(chat)}
    body = {
        "model": request.model,
        **{name: chat[name] for name in NATIVE_FIELDS if name not in HANDLED_FIELDS and chat.get(name) is not None},
        **({"system": system} if system else {}),
        "messages": conversation.turns,
        **{name: value for part in translated for name, value in part.fields.items()},
        **({"output_config": output_config} if output_config else {}),
        **({"stream": True} if chat.get("stream") else {}),
    }
    paths = [path for part in [output_format, *translated] for path in part.dropped]
    dropped = [*untranslated(chat), *conversation.dropped, *paths]
    return VendorRequest("/v1/messages", body, _headers(chat, body), tuple(dict.fromkeys(dropped)))


def _native_output_config(chat: Json) -> Json:
    output_config = chat.get("output_config") or {}
    if not isinstance(output_config, dict):
        raise InvalidRequest("output_config must be an object.", param="output_config")
    return output_config


def _headers(chat: Json, body: Json) -> Mapping[str, str]:
    requested = _requested_betas(chat)
    required = [beta for field, beta in BETAS.items() if body.get(field) is not None]
    if any(_is_file(block.get("source")) for block in _blocks(body)):
        required.append(FILES_BETA)
    # A beta's name ends with its date. The client may have requested another version of it.
    missing = [beta for beta in required if not any(name.startswith(beta[:-DATE_LENGTH]) for name in requested)]
    betas = ",".join([*requested, *missing])
    return {"anthropic-beta": betas} if betas else {}


def _requested_betas(chat: Json) -> list[str]:
    """The betas that the client requests. They become a header, so that other characters are refused."""
    betas = chat.get("betas") or []
    names = betas if isinstance(betas, list) else [betas]
    if not all(isinstance(name, str) and BETA_NAME.fullmatch(name) for name in names):
        raise InvalidRequest("betas must be a list of names.", param="betas")
    return names


def _is_file(source: object) -> bool:
    return isinstance(source, dict) and source.get("type") == "file"


def _blocks(body: Json) -> Iterator[Json]:
    """Every block of the turns, those in tool results included."""
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
    # The API refuses any request without its version, and lists 20 models where no limit is named.
    # https://platform.claude.com/docs/en/api/versioning, https://platform.claude.com/docs/en/api/models-list
    base_headers={"anthropic-version": VERSION},
    models_path="/v1/models?limit=1000",
)
