"""The YAML file that GATEWAY_CONFIG names, in the shape of LiteLLM's config.yaml; docs/configuration.md has its keys."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from gateway.catalog.registry import split_address, with_model_info
from gateway.catalog.routing_policy import DEFAULT_POLICY, Policy
from gateway.catalog.targets import Provider, Target
from gateway.catalog.vendors import GENERIC, Vendor, strip_endpoint
from gateway.config.parsers import ConfigReport, Parser, boolean, integer, number, pattern, secret, text, web_url
from gateway.config.yaml_routing import FALLBACKS, NOT_DONE, ROUTING, policies

FROM_ENVIRONMENT = "os.environ/"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFile:
    """What the file says: targets by model name, other names for models, and settings by their field in Settings."""

    models: Mapping[str, tuple[Target, ...]] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    master_key: str | None = field(default=None, repr=False)
    scalars: Mapping[str, Any] = field(default_factory=dict)
    policies: Mapping[str, Policy] = field(default_factory=dict)
    policy: Policy = DEFAULT_POLICY


def attempts(written: Any) -> int:
    return int(integer(0)(written)) + 1


def refusing(written: Any) -> bool:
    return not boolean(written)


def aliases(written: Any) -> dict[str, str]:
    """LiteLLM writes a model's name, or {model, hidden}."""
    match written:
        case dict():
            meant = {name: to.get("model") if isinstance(to, dict) else to for name, to in written.items()}
            return {pattern(name): text(to) for name, to in meant.items()}
    raise ValueError("must be names and the models that they stand for")


ENTRY = ("model_name", "litellm_params", "model_info")
INFO: Mapping[str, tuple[str, Parser]] = {
    "max_input_tokens": ("context_window", integer(1)),
    "supports_vision": ("vision", boolean),
    "supports_function_calling": ("tools", boolean),
    "supports_response_schema": ("json_schema", boolean),
    "supports_reasoning": ("reasoning", boolean),
    "input_cost_per_token": ("input_cost", number(0)),
    "output_cost_per_token": ("output_cost", number(0)),
}
"""What model_info says of a model, and the fact that it is."""
PARAMS: Mapping[str, Parser] = {
    "model": pattern,
    "api_base": web_url,
    "api_key": secret,
    "timeout": number(0, open=True),
    "rpm": integer(1),
    "tpm": integer(1),
    "weight": number(0),
    "max_parallel_requests": integer(1),
    "connect_timeout": number(0, open=True),
    "first_content_timeout": number(0, open=True),
    "silence_timeout": number(0, open=True),
}
SECTIONS: Mapping[str, Mapping[str, tuple[str, Parser]]] = {
    "router_settings": {
        "num_retries": ("retry_max_attempts", attempts),
        "timeout": ("request_timeout", number(0, open=True)),
        "model_group_alias": ("aliases", aliases),
        **ROUTING,
    },
    "litellm_settings": {
        "num_retries": ("retry_max_attempts", attempts),
        "request_timeout": ("request_timeout", number(0, open=True)),
        "drop_params": ("strict", refusing),
        **FALLBACKS,
    },
    "general_settings": {"master_key": ("master_key", secret)},
}
"""Section, key, and what it sets; of two keys that set the same, the first one here wins."""


def known_keys() -> set[str]:
    """Every key that means something here, as docs/configuration.md writes it."""
    entry = {"model_list[].model_name"}
    params = {f"model_list[].litellm_params.{key}" for key in PARAMS}
    info = {f"model_list[].model_info.{key}" for key in INFO}
    return entry | params | info | {f"{section}.{key}" for section, keys in SECTIONS.items() for key in keys}


def read(
    name: str, written: str, environ: Mapping[str, str], default_providers: Mapping[str, Provider], report: ConfigReport
) -> ConfigFile:
    """
    The file called `name` with the text `written`; its faults and warnings go to `reading`.

    `usual`: every vendor with the base URL and key that the environment has for it.
    """
    tree = report.value(name, _tree, written, {})
    listed = _list(tree.get("model_list"), f"{name}: model_list", report)
    sections = {section: _mapping(tree.get(section), f"{name}: {section}", report) for section in SECTIONS}
    settings = _settings(name, sections, environ, report)
    report.warnings.extend(f"{name}: {warning}" for warning in _warnings(tree, sections))
    policy, by_name = policies(settings)
    return ConfigFile(
        models=_models(name, listed, environ, default_providers, report),
        aliases=settings.pop("aliases", {}),
        master_key=settings.pop("master_key", None),
        scalars=settings,
        policy=policy,
        policies=by_name,
    )


def _tree(written: str) -> Any:
    try:
        tree = yaml.safe_load(written)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = re.sub(r"'[^']*'|\"[^\"]*\"", "...", error.problem or "")  # it quotes the file, which holds keys
        raise ValueError(f"{where}is not YAML: {problem}") from None
    except (yaml.YAMLError, RecursionError, ValueError):
        raise ValueError("is not YAML") from None
    if tree is not None and not isinstance(tree, dict):
        raise ValueError("must be a mapping with model_list, router_settings, ...")
    return tree or {}


def _mapping(written: Any, path: str, report: ConfigReport) -> Mapping[str, Any]:
    if written is not None and not isinstance(written, dict):
        report.errors.append(f"{path}: must be a mapping")
    return written if isinstance(written, dict) else {}


def _list(written: Any, path: str, report: ConfigReport) -> list[Any]:
    if written is not None and not isinstance(written, list):
        report.errors.append(f"{path}: must be a list")
    return written if isinstance(written, list) else []


def _said(written: Any) -> bool:
    return written is not None and written != ""


def _resolved(reader: Parser, environ: Mapping[str, str]) -> Parser:
    """`reader` for a value that may say `os.environ/NAME`, or have values in it that do."""

    def resolve(written: Any) -> Any:
        if isinstance(written, dict):
            return {key: resolve(value) for key, value in written.items()}
        if isinstance(written, list):
            return [resolve(value) for value in written]
        if not isinstance(written, str) or not written.startswith(FROM_ENVIRONMENT):
            return written
        name = written.removeprefix(FROM_ENVIRONMENT)
        if not environ.get(name, "").strip():
            raise ValueError(f"{name} is not set in the environment")
        return environ[name].strip()

    return lambda written: reader(resolve(written))


def _settings(
    name: str, sections: Mapping[str, Mapping[str, Any]], environ: Mapping[str, str], report: ConfigReport
) -> dict[str, Any]:
    found = [
        (field, report.value(f"{name}: {section}.{key}", _resolved(reader, environ), sections[section][key]))
        for section, keys in SECTIONS.items()
        for key, (field, reader) in keys.items()
        if _said(sections[section].get(key))
    ]
    return {field: value for field, value in reversed(found) if value is not None}


def _models(
    name: str,
    listed: list[Any],
    environ: Mapping[str, str],
    default_providers: Mapping[str, Provider],
    report: ConfigReport,
) -> dict[str, tuple[Target, ...]]:
    entries = [
        entry
        for index, written in enumerate(listed)
        for entry in _entry(f"{name}: model_list[{index}]", written, environ, default_providers, report)
    ]
    return {named: tuple(target for other, target in entries if other == named) for named, _ in entries}


def _entry(
    path: str, written: Any, environ: Mapping[str, str], default_providers: Mapping[str, Provider], report: ConfigReport
) -> Iterator[tuple[str, Target]]:
    """The name and the target of one entry of model_list; nothing where it has a fault, or adds nothing."""
    before = len(report.errors)
    entry = _mapping(written if written is not None else "", path, report)
    if len(report.errors) > before:
        return
    params = _mapping(entry.get("litellm_params"), f"{path}.litellm_params", report)
    named = report.value(f"{path}.model_name", pattern, entry.get("model_name"))
    said = {
        key: report.value(f"{path}.litellm_params.{key}", _resolved(reader, environ), params.get(key))
        for key, reader in PARAMS.items()
        if _said(params.get(key)) or key == "model"
    }
    info = _mapping(entry.get("model_info"), f"{path}.model_info", report)
    facts = {
        fact: report.value(f"{path}.model_info.{key}", _resolved(reader, environ), info[key])
        for key, (fact, reader) in INFO.items()
        if _said(info.get(key))
    }
    if len(report.errors) > before or (named == said["model"] == "*" and "api_base" not in said):
        return  # "*" for "*" says what is so anyway: a model goes to the vendor that its name says
    target = report.value(f"{path}.litellm_params", lambda params: _target(named, params, default_providers), said)
    if target is not None and facts:
        target = replace(with_model_info(target), model_info=replace(with_model_info(target).model_info, **facts))
    if target is not None:
        yield named, target


def _target(named: str, params: Mapping[str, Any], default_providers: Mapping[str, Provider]) -> Target:
    if "*" in params["model"] and "*" not in named:
        raise ValueError("model has a * that model_name has nothing for")
    vendor, model = _upstream(params)
    provider = _provider(vendor, params, default_providers[vendor.name])
    limits: dict[str, Any] = {key: params.get(key) for key in ("timeout", "rpm", "tpm", "weight")}
    return Target(
        provider,
        model,
        **limits,
        max_parallel_requests=params.get("max_parallel_requests"),
        connect_timeout=params.get("connect_timeout"),
        first_content_timeout=params.get("first_content_timeout"),
        idle_timeout=params.get("silence_timeout"),
    )


def _upstream(params: Mapping[str, Any]) -> tuple[Vendor, str]:
    match split_address(params["model"]):
        case (vendor, model) if model:
            return vendor, model
        case None if "api_base" in params:
            return GENERIC, params["model"]
    raise ValueError("model names no vendor known here: write vendor/model, or give api_base")


def _provider(vendor: Vendor, params: Mapping[str, Any], default_providers: Provider) -> Provider:
    base_url = strip_endpoint(vendor, params["api_base"]) if "api_base" in params else default_providers.base_url
    key = params.get("api_key", default_providers.key)
    if not base_url:
        raise ValueError(f"api_base is needed, or {vendor.base_url_variable}")
    if key is None and not vendor.keyless and "api_base" not in params:
        raise ValueError(f"api_key is needed, or {vendor.key_variables[0]}")
    return (
        default_providers
        if (base_url, key) == (default_providers.base_url, default_providers.key)
        else Provider(vendor, base_url, key)
    )


def _warnings(tree: Mapping[str, Any], sections: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    unknown = dict.fromkeys((*_unknown_sections(tree, sections), *_unknown_of_models(tree.get("model_list"))))
    if unknown:
        yield f"these keys mean nothing here: {', '.join(unknown)}"
    wanted = sections["router_settings"].get("routing_strategy")
    if wanted in NOT_DONE:
        yield f"router_settings.routing_strategy: {wanted} is not done here; targets are shared out by weight"


def _unknown_sections(tree: Mapping[str, Any], sections: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield from (str(key) for key in tree if key not in ("model_list", *SECTIONS))
    for section, said in sections.items():
        yield from (f"{section}.{key}" for key in said if key not in SECTIONS[section])


def _unknown_of_models(listed: Any) -> Iterator[str]:
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    for entry in entries:
        yield from (f"model_list[].{key}" for key in entry if key not in ENTRY)
        params = entry.get("litellm_params")
        if isinstance(params, dict):
            yield from (f"model_list[].litellm_params.{key}" for key in params if key not in PARAMS)
        info = entry.get("model_info")
        if isinstance(info, dict):
            yield from (f"model_list[].model_info.{key}" for key in info if key not in (*INFO, "id", "mode"))
