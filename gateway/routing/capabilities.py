"""Which targets can take a request: what it needs, beside what is known of their models."""

from typing import Any, NamedTuple

from gateway import token_estimate
from gateway.catalog.vendors import Target
from gateway.errors import Untranslatable
from gateway.openai_types import Chat

Targets = tuple[Target, ...]


class Needs(NamedTuple):
    """What a request asks of a model: the field that asks it, and the word for it; and its size in tokens, roughly."""

    features: tuple[tuple[str, str], ...]
    tokens: int


def needs(chat: Chat) -> Needs:
    """What a validated chat request needs."""
    features = []
    if any(_has_image(message.get("content")) for message in chat.get("messages", ())):
        features.append(("vision", "messages"))
    if chat.get("tools") or chat.get("functions"):
        features.append(("tools", "tools"))
    wanted = chat.get("response_format")
    if isinstance(wanted, dict) and wanted.get("type") == "json_schema":
        features.append(("json_schema", "response_format"))
    return Needs(tuple(features), token_estimate.of_prompt(chat))


def unfit(target: Target, wanted: Needs) -> str | None:
    """Why a target cannot take it; None if it can, or if that is not known."""
    lacking = [feature for feature, _ in wanted.features if getattr(target.facts, feature) is False]
    if lacking:
        return f"its model has no {lacking[0].replace('_', ' ')}"
    window = target.facts.context
    if window is not None and wanted.tokens > window:
        return f"its model takes {window} tokens, the request has some {wanted.tokens}"
    return None


def fitting(targets: Targets, chat: Chat) -> Targets:
    """
    The targets that can take a request.

    Raises Untranslatable where none has what it needs. Its size is our estimate: where it alone is in the way
    everywhere, the upstreams decide.
    """
    if all(_takes_all(target) for target in targets) and not _is_long(targets, chat):
        return targets
    fit = capable(targets, chat)
    if fit:
        return fit
    wanted = needs(chat)
    able = tuple(target for target in targets if unfit(target, wanted._replace(tokens=0)) is None)
    if not able:
        feature, field = wanted.features[0]
        raise Untranslatable(f"No target of this model has {feature.replace('_', ' ')}.", param=field)
    return able


def capable(targets: Targets, chat: Chat) -> Targets:
    """Those of the targets that can take a request, which may be none."""
    wanted = needs(chat)
    return tuple(target for target in targets if unfit(target, wanted) is None)


def _takes_all(target: Target) -> bool:
    return False not in (target.facts.vision, target.facts.tools, target.facts.json_schema)


def _is_long(targets: Targets, chat: Chat) -> bool:
    """Whether the request could be too large for any target: looked at only where there is a choice."""
    windows = [target.facts.context for target in targets if target.facts.context is not None]
    return len(targets) > 1 and bool(windows) and token_estimate.of_prompt(chat) > min(windows)


def _has_image(content: Any) -> bool:
    return isinstance(content, list) and any(part.get("type") == "image_url" for part in content)
