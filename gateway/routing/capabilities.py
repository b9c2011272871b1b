"""Which targets are capable of a request, by what it requires and what is known of their models."""

from typing import Any, NamedTuple

from gateway import token_estimate
from gateway.catalog.targets import Target, Targets
from gateway.errors import Untranslatable
from gateway.openai_types import Chat


class Requirements(NamedTuple):
    """What a request requires of a model: (feature, field of the request) pairs, and a size in tokens, estimated."""

    features: tuple[tuple[str, str], ...]
    tokens: int


def requirements(chat: Chat) -> Requirements:
    """What a validated chat request requires."""
    features = []
    if any(_has_image(message.get("content")) for message in chat.get("messages", ())):
        features.append(("vision", "messages"))
    if chat.get("tools") or chat.get("functions"):
        features.append(("tools", "tools"))
    response_format = chat.get("response_format")
    if isinstance(response_format, dict) and response_format.get("type") == "json_schema":
        features.append(("json_schema", "response_format"))
    return Requirements(tuple(features), token_estimate.of_prompt(chat))


def why_incapable(target: Target, required: Requirements) -> str | None:
    """Why a target is not capable; None if it is, or if that is not known."""
    missing = [feature for feature, _ in required.features if getattr(target.model_info, feature) is False]
    if missing:
        return f"its model has no {missing[0].replace('_', ' ')}"
    window = target.model_info.context_window
    if window is not None and required.tokens > window:
        return f"its model takes {window} tokens, the request has about {required.tokens}"
    return None


def capable_targets(targets: Targets, chat: Chat) -> Targets:
    """
    The targets that are capable of a request.

    Raises Untranslatable where none has a feature that it requires. Its size is only an estimate: where that alone
    excludes every target, the upstreams decide.
    """
    if all(_has_all_features(target) for target in targets) and not _may_be_too_large(targets, chat):
        return targets
    capable = filter_capable(targets, chat)
    if capable:
        return capable
    required = requirements(chat)
    capable = tuple(target for target in targets if why_incapable(target, required._replace(tokens=0)) is None)
    if not capable:
        feature, field = required.features[0]
        raise Untranslatable(f"No target of this model has {feature.replace('_', ' ')}.", param=field)
    return capable


def filter_capable(targets: Targets, chat: Chat) -> Targets:
    """Those of the targets that are capable of a request, which may be none."""
    required = requirements(chat)
    return tuple(target for target in targets if why_incapable(target, required) is None)


def _has_all_features(target: Target) -> bool:
    return False not in (target.model_info.vision, target.model_info.tools, target.model_info.json_schema)


def _may_be_too_large(targets: Targets, chat: Chat) -> bool:
    """Whether the request may be too large for one of several targets; of a single one, the upstream decides."""
    windows = [target.model_info.context_window for target in targets if target.model_info.context_window is not None]
    return len(targets) > 1 and bool(windows) and token_estimate.of_prompt(chat) > min(windows)


def _has_image(content: Any) -> bool:
    return isinstance(content, list) and any(part.get("type") == "image_url" for part in content)
