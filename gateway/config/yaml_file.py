"""
The YAML file that GATEWAY_CONFIG names.

It has the shape of LiteLLM's config.yaml, https://docs.litellm.ai/docs/proxy/configs, so that an existing one works.
docs/configuration.md lists the keys.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from gateway.catalog.routing_policy import DEFAULT_POLICY, Policy
from gateway.catalog.targets import Provider, Targets
from gateway.config import yaml_model_list
from gateway.config.parsers import (
    ConfigReport,
    Parser,
    boolean,
    from_environment,
    integer,
    is_set,
    optional_list,
    optional_mapping,
    positive_number,
    secret,
    text,
    wildcard_name,
)
from gateway.config.yaml_routing import FALLBACK_SETTINGS, ROUTING_SETTINGS, UNSUPPORTED_STRATEGIES, policies

Sections = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFile:
    """What a file defines; `settings` by the names of the fields of Settings."""

    models: Mapping[str, Targets] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    master_key: str | None = field(default=None, repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict)
    policies: Mapping[str, Policy] = field(default_factory=dict)
    policy: Policy = DEFAULT_POLICY


def max_attempts(raw: Any) -> int:
    """From `num_retries`: the first attempt is no retry."""
    return int(integer(0)(raw)) + 1


def strict(raw: Any) -> bool:
    """From `drop_params`, the opposite."""
    return not boolean(raw)


def model_aliases(raw: Any) -> dict[str, str]:
    """`{alias: model}` or `{alias: {model: ..., hidden: true}}`: LiteLLM's `model_group_alias` takes both."""
    match raw:
        case dict():
            models = {alias: to.get("model") if isinstance(to, dict) else to for alias, to in raw.items()}
            return {wildcard_name(alias): text(model) for alias, model in models.items()}
    raise ValueError("must be a mapping of aliases to model names")


# Section: key: (name of the value, parser). Where two keys set the same value, the first of them wins.
SECTIONS: Mapping[str, Mapping[str, tuple[str, Parser]]] = {
    "router_settings": {
        "num_retries": ("retry_max_attempts", max_attempts),
        "timeout": ("request_timeout", positive_number),
        "model_group_alias": ("aliases", model_aliases),
        **ROUTING_SETTINGS,
    },
    "litellm_settings": {
        "num_retries": ("retry_max_attempts", max_attempts),
        "request_timeout": ("request_timeout", positive_number),
        "drop_params": ("strict", strict),
        **FALLBACK_SETTINGS,
    },
    "general_settings": {"master_key": ("master_key", secret)},
}
# The values of SECTIONS that are no fields of Settings.
NOT_SETTINGS = frozenset({"aliases", "master_key", *(name for name, _ in ROUTING_SETTINGS.values())})


def supported_keys() -> set[str]:
    """Every key that has an effect, as docs/configuration.md writes it."""
    return {
        "model_list[].model_name",
        *(f"model_list[].litellm_params.{key}" for key in yaml_model_list.LITELLM_PARAMS),
        *(f"model_list[].model_info.{key}" for key in yaml_model_list.MODEL_INFO),
        *(f"{section}.{key}" for section, keys in SECTIONS.items() for key in keys),
    }


def parse(
    name: str, content: str, environ: Mapping[str, str], default_providers: Mapping[str, Provider], report: ConfigReport
) -> ConfigFile:
    """The configuration in the `content` of the file called `name`; errors and warnings are added to `report`."""
    root = report.parse(name, _root, content, {})
    entries = report.parse(f"{name}: model_list", optional_list, root.get("model_list"), [])
    sections = {
        section: report.parse(f"{name}: {section}", optional_mapping, root.get(section), {}) for section in SECTIONS
    }
    values = _values(name, sections, environ, report)
    report.warnings.extend(f"{name}: {warning}" for warning in _warnings(root, entries, sections))
    policy, model_policies = policies(values)
    return ConfigFile(
        models=yaml_model_list.model_targets(f"{name}: model_list", entries, environ, default_providers, report),
        aliases=values.get("aliases", {}),
        master_key=values.get("master_key"),
        settings={field: value for field, value in values.items() if field not in NOT_SETTINGS},
        policy=policy,
        policies=model_policies,
    )


def _root(content: str) -> dict[Any, Any]:
    try:
        root = yaml.safe_load(content)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        # PyYAML's message quotes the file, which may hold keys.
        problem = re.sub(r"'[^']*'|\"[^\"]*\"", "...", error.problem or "")
        raise ValueError(f"{position}is not YAML: {problem}") from None
    # safe_load raises RecursionError for deep nesting, and ValueError for a date such as 2024-99-99.
    except (yaml.YAMLError, RecursionError, ValueError):
        raise ValueError("is not YAML") from None
    match root:
        case None:
            return {}
        case dict():
            return root
    raise ValueError("must be a mapping with model_list, router_settings, ...")


def _values(name: str, sections: Sections, environ: Mapping[str, str], report: ConfigReport) -> dict[str, Any]:
    values = [
        (
            value_name,
            report.parse(f"{name}: {section}.{key}", from_environment(parser, environ), sections[section][key]),
        )
        for section, keys in SECTIONS.items()
        for key, (value_name, parser) in keys.items()
        if is_set(sections[section].get(key))
    ]
    return {value_name: value for value_name, value in reversed(values) if value is not None}


def _warnings(root: Mapping[Any, Any], entries: list[Any], sections: Sections) -> Iterator[str]:
    unknown = dict.fromkeys((*_unknown_keys(root, sections), *yaml_model_list.unknown_keys(entries)))
    if unknown:
        yield f"unknown keys are ignored: {', '.join(unknown)}"
    strategy = sections["router_settings"].get("routing_strategy")
    if strategy in UNSUPPORTED_STRATEGIES:
        yield f"router_settings.routing_strategy: {strategy} is not supported; targets are chosen by weight instead"


def _unknown_keys(root: Mapping[Any, Any], sections: Sections) -> Iterator[str]:
    yield from (str(key) for key in root if key not in ("model_list", *SECTIONS))
    for section, keys in sections.items():
        yield from (f"{section}.{key}" for key in keys if key not in SECTIONS[section])
