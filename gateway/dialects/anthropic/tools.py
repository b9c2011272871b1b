"""OpenAI's tools, functions and web search as Anthropic's tools, and the choice among them."""

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.dialects.anthropic import json_schema
from gateway.dialects.anthropic.content_parts import Piece
from gateway.dialects.anthropic.dropped_fields import TOOL_EXTRAS
from gateway.dialects.anthropic.models import Model
from gateway.openai_types import Chat, Json

WEB_SEARCH: Json = {"type": "web_search_20250305", "name": "web_search"}
FREE_TEXT: Json = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
MODES: Mapping[str, str] = {"auto": "auto", "none": "none", "required": "any", "any": "any"}
FORCING = ("any", "tool")


def toolbox(chat: Chat, model: Model) -> Piece:
    """`tools` and `tool_choice`."""
    asked, field = (chat.get("tools"), "tools") if chat.get("tools") else (chat.get("functions"), "functions")
    choice, meant = _choice(chat, model)
    pieces = [_tool(tool, f"{field}[{n}]", model) for n, tool in enumerate(asked or ())]
    left = [n for n, piece in enumerate(pieces) if meant is not None and piece.body.get("name") not in meant]
    kept = [piece for n, piece in enumerate(pieces) if n not in left]
    kept = [*kept, _search(chat, choice.body, [piece.body.get("name") for piece in kept])]
    known = {piece.body.get("name") for piece in pieces}
    unknown = [f"tool_choice.allowed_tools.tools[{n}]" for n, name in enumerate(meant or ()) if name not in known]
    dropped = [*(path for piece in kept for path in piece.dropped), *(f"{field}[{n}]" for n in left), *unknown]
    tools = [piece.body for piece in kept if piece.body]
    if not tools:  # a choice among no tools is refused
        unsaid = [_choice_field(chat)] if choice.body.get("type") in FORCING else []
        return Piece({}, (*dropped, *unsaid))
    chosen = {"tool_choice": choice.body} if choice.body else {}
    return Piece({"tools": tools, **chosen}, (*dropped, *choice.dropped))


def custom_names(chat: Chat) -> frozenset[str]:
    """The tools that take free text, whose calls are shown as calls of custom tools."""
    return frozenset(tool["custom"]["name"] for tool in chat.get("tools") or () if tool.get("type") == "custom")


def _tool(tool: Json, path: str, model: Model) -> Piece:
    match tool:
        case {"type": "function", "function": dict() as function}:
            said, dropped = _function(function, f"{path}.function", model)
        case {"type": "custom", "custom": dict() as function}:
            said, dropped = _custom(function, f"{path}.custom")
        case {"name": str()} if path.startswith("functions"):
            function = tool
            said, dropped = _function(tool, path, model)
        case _:  # Anthropic's own
            return Piece(tool)
    extras = {name: one[name] for one in (function, tool) for name in TOOL_EXTRAS.split() if one.get(name) is not None}
    return Piece({**said, **extras}, dropped)


def _function(function: Json, path: str, model: Model) -> Piece:
    given = function.get("parameters") or {}
    schema = {**given, "type": "object"} if given.get("type") is None else given
    schema = {"properties": {}, **schema} if schema["type"] == "object" else schema
    described = {"description": function["description"]} if function.get("description") else {}
    said = {"name": function["name"], **described, "input_schema": schema}
    if not function.get("strict"):
        return Piece({**said, "strict": False} if function.get("strict") is False else said)
    if model.structured and json_schema.expressible({"additionalProperties": False, **schema}):
        return Piece({**said, "input_schema": json_schema.closed(schema), "strict": True})
    return Piece(said, (f"{path}.strict",))


def _custom(tool: Json, path: str) -> Piece:
    """A tool that takes text: a function of one text. A grammar is told, not enforced."""
    grammar = (tool.get("format") or {}).get("grammar") or {}
    rule = f"The input must match this {grammar.get('syntax')} grammar:\n{grammar['definition']}" if grammar else None
    words = "\n\n".join(text for text in (tool.get("description"), rule) if text)
    described = {"description": words} if words else {}
    said = {"name": tool["name"], **described, "input_schema": FREE_TEXT}
    return Piece(said, (f"{path}.format",) if grammar else ())


def _search(chat: Chat, choice: Json, names: Iterable[Any]) -> Piece:
    """The web search that Anthropic does itself: it is a tool like others, which `none` would forbid."""
    options = chat.get("web_search_options")
    if options is None:
        return Piece({})
    if WEB_SEARCH["name"] in names or choice.get("type") == "none":
        return Piece({}, ("web_search_options",))
    size = (
        ("web_search_options.search_context_size",)
        if options.get("search_context_size") not in (None, "medium")
        else ()
    )
    place = options.get("user_location")
    where = (place or {}).get("approximate") or {}
    known = {name: where[name] for name in ("city", "country", "region", "timezone") if where.get(name)}
    origin_of = {"user_location": {"type": "approximate", **known}} if place else {}
    return Piece({**WEB_SEARCH, **origin_of}, size)


def _choice(chat: Chat, model: Model) -> tuple[Piece, tuple[str, ...] | None]:
    """The choice, and the names of the tools it leaves, None for all of them."""
    meant = None
    asked = chat.get("tool_choice") or chat.get("function_call")
    match asked:
        case str() as mode:
            chosen: Json = {"type": MODES.get(mode, "auto")}
        case {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": list() as tools}}:
            chosen = {"type": MODES.get(mode, "auto")}
            meant = tuple((tool.get(tool.get("type", "")) or tool).get("name", "") for tool in tools)
        case {"function": {"name": name}} | {"custom": {"name": name}} | {"name": name}:
            chosen = {"type": "tool", "name": name}
        case {"type": str() as mode}:
            chosen = {"type": MODES.get(mode, "auto")}
        case _:
            chosen = {}
    # an answer in the legacy form has room for one call
    alone = chat.get("parallel_tool_calls") is False or (not chat.get("tools") and bool(chat.get("functions")))
    alone = alone or (isinstance(asked, dict) and asked.get("disable_parallel_tool_use") is True)
    if chosen.get("type") in FORCING and not model.forced:
        return Piece(_alone({"type": "auto"}, alone=alone), (_choice_field(chat),)), meant
    return Piece(_alone(chosen, alone=alone)), meant


def _choice_field(chat: Chat) -> str:
    return "tool_choice" if chat.get("tool_choice") else "function_call"


def _alone(choice: Json, *, alone: bool) -> Json:
    if not alone or choice.get("type") == "none":
        return choice
    return {"type": "auto", **choice, "disable_parallel_tool_use": True}
