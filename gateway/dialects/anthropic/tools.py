"""
OpenAI's tools, functions and web search as Anthropic's tools, and the choice among them.

https://platform.claude.com/docs/en/agents-and-tools/tool-use/define-tools
"""

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.dialects.anthropic import json_schema
from gateway.dialects.anthropic.content_parts import Translated
from gateway.dialects.anthropic.dropped_fields import TOOL_EXTRAS
from gateway.dialects.anthropic.models import Model
from gateway.openai_types import Chat, Json

# https://platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool
WEB_SEARCH: Json = {"type": "web_search_20250305", "name": "web_search"}
# OpenAI's custom tools take text, Anthropic's tools an object: the text is its only property.
FREE_TEXT: Json = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
CHOICE_MODES: Mapping[str, str] = {"auto": "auto", "none": "none", "required": "any", "any": "any"}
FORCING_CHOICES = ("any", "tool")


def translate_tools(chat: Chat, model: Model) -> Translated:
    """`tools` and `tool_choice`."""
    requested, field = (chat.get("tools"), "tools") if chat.get("tools") else (chat.get("functions"), "functions")
    choice, allowed = _choice(chat, model)
    translated = [_tool(tool, f"{field}[{n}]", model) for n, tool in enumerate(requested or ())]
    # Anthropic has no allowed_tools: the other tools are not sent.
    names, allowed_names = [_name(tool.fields) for tool in translated], frozenset(allowed or ())
    is_sent = [allowed is None or name in allowed_names for name in names]
    sent = [tool for tool, included in zip(translated, is_sent, strict=True) if included]
    sent = [*sent, _web_search(chat, choice.fields, [_name(tool.fields) for tool in sent])]
    known, excluded = set(names), [n for n, included in enumerate(is_sent) if not included]
    unknown = [f"tool_choice.allowed_tools.tools[{n}]" for n, name in enumerate(allowed or ()) if name not in known]
    dropped = [*(path for tool in sent for path in tool.dropped), *(f"{field}[{n}]" for n in excluded), *unknown]
    tools = [tool.fields for tool in sent if tool.fields]
    if not tools:
        # The API refuses a tool_choice without tools. "auto" and "none" mean the same without them.
        lost_choice = [_choice_field(chat)] if choice.fields.get("type") in FORCING_CHOICES else []
        return Translated({}, (*dropped, *lost_choice))
    tool_choice = {"tool_choice": choice.fields} if choice.fields else {}
    return Translated({"tools": tools, **tool_choice}, (*dropped, *choice.dropped))


def custom_tool_names(chat: Chat) -> frozenset[str]:
    """The tools that take text; the client expects calls of the type `custom` for them."""
    return frozenset(tool["custom"]["name"] for tool in chat.get("tools") or () if tool.get("type") == "custom")


def _tool(tool: Json, path: str, model: Model) -> Translated:
    match tool:
        case {"type": "function", "function": dict() as function}:
            fields, dropped = _function(function, f"{path}.function", model)
        case {"type": "custom", "custom": dict() as function}:
            fields, dropped = _custom(function, f"{path}.custom")
        case {"name": str()} if path.startswith("functions"):
            function = tool
            fields, dropped = _function(tool, path, model)
        case _:
            # Anthropic's own tools, such as {"type": "web_fetch_20250910", ...}, are passed on.
            return Translated(tool)
    # Clients write cache_control and the like beside `function` as well as in it.
    extras = {
        name: part[name] for part in (function, tool) for name in TOOL_EXTRAS.split() if part.get(name) is not None
    }
    return Translated({**fields, **extras}, dropped)


def _function(function: Json, path: str, model: Model) -> Translated:
    parameters = function.get("parameters") or {}
    # "input_schema.type: Field required". OpenAI takes a function without parameters, or without their type.
    schema = {**parameters, "type": "object"} if parameters.get("type") is None else parameters
    schema = {"properties": {}, **schema} if schema["type"] == "object" else schema
    description = {"description": function["description"]} if function.get("description") else {}
    fields = {"name": function["name"], **description, "input_schema": schema}
    if not function.get("strict"):
        return Translated({**fields, "strict": False} if function.get("strict") is False else fields)
    if model.structured_outputs and json_schema.is_expressible({"additionalProperties": False, **schema}):
        return Translated({**fields, "input_schema": json_schema.closed(schema), "strict": True})
    return Translated(fields, (f"{path}.strict",))


def _custom(tool: Json, path: str) -> Translated:
    """A tool that takes text. Anthropic has no grammars: a grammar is described, and not enforced."""
    grammar = (tool.get("format") or {}).get("grammar") or {}
    rule = f"The input must match this {grammar.get('syntax')} grammar:\n{grammar['definition']}" if grammar else None
    description = "\n\n".join(text for text in (tool.get("description"), rule) if text)
    described = {"description": description} if description else {}
    fields = {"name": tool["name"], **described, "input_schema": FREE_TEXT}
    return Translated(fields, (f"{path}.format",) if grammar else ())


def _web_search(chat: Chat, choice: Json, names: Iterable[Any]) -> Translated:
    """web_search_options as a tool that Anthropic runs itself. It has a name and obeys tool_choice."""
    options = chat.get("web_search_options")
    if options is None:
        return Translated({})
    if WEB_SEARCH["name"] in names or choice.get("type") == "none":
        return Translated({}, ("web_search_options",))
    # Anthropic has no search_context_size; "medium" is OpenAI's default.
    has_size = options.get("search_context_size") not in (None, "medium")
    dropped = ("web_search_options.search_context_size",) if has_size else ()
    location = options.get("user_location")
    # OpenAI nests the location's fields in `approximate`, Anthropic has them beside `type`.
    approximate = (location or {}).get("approximate") or {}
    fields = {name: approximate[name] for name in ("city", "country", "region", "timezone") if approximate.get(name)}
    user_location = {"user_location": {"type": "approximate", **fields}} if location else {}
    return Translated({**WEB_SEARCH, **user_location}, dropped)


def _choice(chat: Chat, model: Model) -> tuple[Translated, tuple[str, ...] | None]:
    """`tool_choice`, and the names of the tools that it allows; None for all."""
    allowed = None
    requested = chat.get("tool_choice") or chat.get("function_call")
    match requested:
        case str() as mode:
            choice: Json = {"type": CHOICE_MODES.get(mode, "auto")}
        case {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": list() as tools}}:
            choice = {"type": CHOICE_MODES.get(mode, "auto")}
            allowed = tuple(_allowed_name(tool) for tool in tools)
        case {"function": {"name": name}} | {"custom": {"name": name}} | {"name": name}:
            choice = {"type": "tool", "name": name}
        case {"type": str() as mode}:
            choice = {"type": CHOICE_MODES.get(mode, "auto")}
        case _:
            choice = {}
    # A response in the deprecated form has one `function_call`.
    single_call = chat.get("parallel_tool_calls") is False or (not chat.get("tools") and bool(chat.get("functions")))
    single_call = single_call or (isinstance(requested, dict) and requested.get("disable_parallel_tool_use") is True)
    if choice.get("type") in FORCING_CHOICES and not model.tool_forcing:
        return Translated(_limited({"type": "auto"}, single_call=single_call), (_choice_field(chat),)), allowed
    return Translated(_limited(choice, single_call=single_call)), allowed


def _allowed_name(tool: Json) -> str:
    kind = tool.get("type")
    nested = tool.get(kind) if isinstance(kind, str) else None
    return _name(nested if nested and isinstance(nested, dict) else tool)


def _name(tool: Json) -> str:
    """A tool's name; "" where it has none: the shapes of the vendor's own tools are not checked."""
    name = tool.get("name")
    return name if isinstance(name, str) else ""


def _choice_field(chat: Chat) -> str:
    return "tool_choice" if chat.get("tool_choice") else "function_call"


def _limited(choice: Json, *, single_call: bool) -> Json:
    """The choice, limited to one call where that is requested; Anthropic has the limit within the choice."""
    if not single_call or choice.get("type") == "none":
        return choice
    return {"type": "auto", **choice, "disable_parallel_tool_use": True}
