"""Which targets can take a request: what it needs, beside what is known of their models."""

from typing import Any, NamedTuple

from gateway import token_estimate
from gateway.catalog.vendors import Target, Targets
from gateway.errors import Untranslatable
from gateway.openai_types import Chat


class Requirements(NamedTuple):
    """What a request asks of a model: the field that asks it, and the word for it; and its size in tokens, roughly."""

    features: tuple[tuple[str, str], ...]
    tokens: int


def requirements(chat: Chat) -> Requirements:
    """What a validated chat request needs."""
    features = []
    if any(_has_image(message.get("content")) for message in chat.get("messages", ())):
        features.append(("vision", "messages"))
    if chat.get("tools") or chat.get("functions"):
        features.append(("tools", "tools"))
    required = chat.get("response_format")
    if isinstance(required, dict) and required.get("type") == "json_schema":
        features.append(("json_schema", "response_format"))
    return Requirements(tuple(features), token_estimate.of_prompt(chat))


def why_incapable(target: Target, required: Requirements) -> str | None:
    """Why a target cannot take it; None if it can, or if that is not known."""
    lacking = [feature for feature, _ in required.features if getattr(target.model_info, feature) is False]
    if lacking:
        return f"its model has no {lacking[0].replace('_', ' ')}"
    window = target.model_info.context_window
    if window is not None and required.tokens > window:
        return f"its model takes {window} tokens, the request has some {required.tokens}"
    return None


def capable_targets(targets: Targets, chat: Chat) -> Targets:
    """
    The targets that can take a request.

    Raises Untranslatable where none has what it needs. Its size is our estimate: where it alone is in the way
    everywhere, the upstreams decide.
    """
    if all(_takes_all(target) for target in targets) and not _is_long(targets, chat):
        return targets
    fit = filter_capable(targets, chat)
    if fit:
        return fit
    required = requirements(chat)
    able = tuple(target for target in targets if why_incapable(target, required._replace(tokens=0)) is None)
    if not able:
        feature, field = required.features[0]
        raise Untranslatable(f"No target of this model has {feature.replace('_', ' ')}.", param=field)
    return able


def filter_capable(targets: Targets, chat: Chat) -> Targets:
    """Those of the targets that can take a request, which may be none."""
    required = requirements(chat)
    return tuple(target for target in targets if why_incapable(target, required) is None)


def _takes_all(target: Target) -> bool:
    return False not in (target.model_info.vision, target.model_info.tools, target.model_info.json_schema)


def _is_long(targets: Targets, chat: Chat) -> bool:
    """Whether the request could be too large for any target: looked at only where there is a choice."""
    windows = [target.model_info.context_window for target in targets if target.model_info.context_window is not None]
    return len(targets) > 1 and bool(windows) and token_estimate.of_prompt(chat) > min(windows)


def _has_image(content: Any) -> bool:
    return isinstance(content, list) and any(part.get("type") == "image_url" for part in content)
