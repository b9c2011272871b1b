"""The YAML file that GATEWAY_CONFIG names, in the shape of LiteLLM's config.yaml; docs/configuration.md has its keys."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from gateway.catalog.registry import addressed, known
from gateway.catalog.routing_policy import USUAL, Policy
from gateway.catalog.vendors import GENERIC, Provider, Target, Vendor, bare_base
from gateway.config.parsers import Reader, Reading, number, pattern, secret, switch, text, web_url, whole
from gateway.config.yaml_routing import FALLBACKS, NOT_DONE, ROUTING, policies

FROM_ENVIRONMENT = "os.environ/"


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """What the file says: targets by model name, other names for models, and settings by their field in Settings."""

    models: Mapping[str, tuple[Target, ...]] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    master_key: str | None = field(default=None, repr=False)
    scalars: Mapping[str, Any] = field(default_factory=dict)
    policies: Mapping[str, Policy] = field(default_factory=dict)
    policy: Policy = USUAL


def attempts(written: Any) -> int:
    return int(whole(0)(written)) + 1


def refusing(written: Any) -> bool:
    return not switch(written)


def aliases(written: Any) -> dict[str, str]:
    """LiteLLM writes a model's name, or {model, hidden}."""
    match written:
        case dict():
            meant = {name: to.get("model") if isinstance(to, dict) else to for name, to in written.items()}
            return {pattern(name): text(to) for name, to in meant.items()}
    raise ValueError("must be names and the models that they stand for")


ENTRY = ("model_name", "litellm_params", "model_info")
INFO: Mapping[str, tuple[str, Reader]] = {
    "max_input_tokens": ("context", whole(1)),
    "supports_vision": ("vision", switch),
    "supports_function_calling": ("tools", switch),
    "supports_response_schema": ("json_schema", switch),
    "supports_reasoning": ("reasoning", switch),
    "input_cost_per_token": ("input_cost", number(0)),
    "output_cost_per_token": ("output_cost", number(0)),
}
"""What model_info says of a model, and the fact that it is."""
PARAMS: Mapping[str, Reader] = {
    "model": pattern,
    "api_base": web_url,
    "api_key": secret,
    "timeout": number(0, open=True),
    "rpm": whole(1),
    "tpm": whole(1),
    "weight": number(0),
    "max_parallel_requests": whole(1),
    "connect_timeout": number(0, open=True),
    "first_content_timeout": number(0, open=True),
    "silence_timeout": number(0, open=True),
}
SECTIONS: Mapping[str, Mapping[str, tuple[str, Reader]]] = {
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


def read(name: str, written: str, environ: Mapping[str, str], usual: Mapping[str, Provider], reading: Reading) -> File:
    """
    The file called `name` with the text `written`; its faults and warnings go to `reading`.

    `usual`: every vendor with the base URL and key that the environment has for it.
    """
    tree = reading.value(name, _tree, written, {})
    listed = _list(tree.get("model_list"), f"{name}: model_list", reading)
    sections = {section: _mapping(tree.get(section), f"{name}: {section}", reading) for section in SECTIONS}
    settings = _settings(name, sections, environ, reading)
    reading.warnings.extend(f"{name}: {warning}" for warning in _warnings(tree, sections))
    policy, by_name = policies(settings)
    return File(
        models=_models(name, listed, environ, usual, reading),
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


def _mapping(written: Any, path: str, reading: Reading) -> Mapping[str, Any]:
    if written is not None and not isinstance(written, dict):
        reading.faults.append(f"{path}: must be a mapping")
    return written if isinstance(written, dict) else {}


def _list(written: Any, path: str, reading: Reading) -> list[Any]:
    if written is not None and not isinstance(written, list):
        reading.faults.append(f"{path}: must be a list")
    return written if isinstance(written, list) else []


def _said(written: Any) -> bool:
    return written is not None and written != ""


def _resolved(reader: Reader, environ: Mapping[str, str]) -> Reader:
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
    name: str, sections: Mapping[str, Mapping[str, Any]], environ: Mapping[str, str], reading: Reading
) -> dict[str, Any]:
    found = [
        (field, reading.value(f"{name}: {section}.{key}", _resolved(reader, environ), sections[section][key]))
        for section, keys in SECTIONS.items()
        for key, (field, reader) in keys.items()
        if _said(sections[section].get(key))
    ]
    return {field: value for field, value in reversed(found) if value is not None}


def _models(
    name: str, listed: list[Any], environ: Mapping[str, str], usual: Mapping[str, Provider], reading: Reading
) -> dict[str, tuple[Target, ...]]:
    entries = [
        entry
        for index, written in enumerate(listed)
        for entry in _entry(f"{name}: model_list[{index}]", written, environ, usual, reading)
    ]
    return {named: tuple(target for other, target in entries if other == named) for named, _ in entries}


def _entry(
    path: str, written: Any, environ: Mapping[str, str], usual: Mapping[str, Provider], reading: Reading
) -> Iterator[tuple[str, Target]]:
    """The name and the target of one entry of model_list; nothing where it has a fault, or adds nothing."""
    before = len(reading.faults)
    entry = _mapping(written if written is not None else "", path, reading)
    if len(reading.faults) > before:
        return
    params = _mapping(entry.get("litellm_params"), f"{path}.litellm_params", reading)
    named = reading.value(f"{path}.model_name", pattern, entry.get("model_name"))
    said = {
        key: reading.value(f"{path}.litellm_params.{key}", _resolved(reader, environ), params.get(key))
        for key, reader in PARAMS.items()
        if _said(params.get(key)) or key == "model"
    }
    info = _mapping(entry.get("model_info"), f"{path}.model_info", reading)
    facts = {
        fact: reading.value(f"{path}.model_info.{key}", _resolved(reader, environ), info[key])
        for key, (fact, reader) in INFO.items()
        if _said(info.get(key))
    }
    if len(reading.faults) > before or (named == said["model"] == "*" and "api_base" not in said):
        return  # "*" for "*" says what is so anyway: a model goes to the vendor that its name says
    target = reading.value(f"{path}.litellm_params", lambda params: _target(named, params, usual), said)
    if target is not None and facts:
        target = replace(known(target), facts=replace(known(target).facts, **facts))
    if target is not None:
        yield named, target


def _target(named: str, params: Mapping[str, Any], usual: Mapping[str, Provider]) -> Target:
    if "*" in params["model"] and "*" not in named:
        raise ValueError("model has a * that model_name has nothing for")
    vendor, model = _upstream(params)
    provider = _provider(vendor, params, usual[vendor.name])
    limits: dict[str, Any] = {key: params.get(key) for key in ("timeout", "rpm", "tpm", "weight")}
    waits: dict[str, Any] = {name: params.get(f"{name}_timeout") for name in ("connect", "first_content", "silence")}
    return Target(provider, model, max_parallel=params.get("max_parallel_requests"), **limits, **waits)


def _upstream(params: Mapping[str, Any]) -> tuple[Vendor, str]:
    match addressed(params["model"]):
        case (vendor, model) if model:
            return vendor, model
        case None if "api_base" in params:
            return GENERIC, params["model"]
    raise ValueError("model names no vendor known here: write vendor/model, or give api_base")


def _provider(vendor: Vendor, params: Mapping[str, Any], usual: Provider) -> Provider:
    base_url = bare_base(vendor, params["api_base"]) if "api_base" in params else usual.base_url
    key = params.get("api_key", usual.key)
    if not base_url:
        raise ValueError(f"api_base is needed, or {vendor.prefix}_BASE_URL")
    if key is None and not vendor.keyless and "api_base" not in params:
        raise ValueError(f"api_key is needed, or {vendor.keys[0]}")
    return usual if (base_url, key) == (usual.base_url, usual.key) else Provider(vendor, base_url, key)


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
