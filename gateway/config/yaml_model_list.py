"""The YAML file's `model_list`: the targets of each model name, in LiteLLM's shape."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from gateway.catalog.registry import split_address, with_model_info
from gateway.catalog.targets import Provider, Target, Targets
from gateway.catalog.vendors import GENERIC, Vendor, strip_endpoint
from gateway.config.parsers import (
    ConfigReport,
    Parser,
    base_url,
    boolean,
    from_environment,
    integer,
    is_set,
    mapping,
    number,
    optional_mapping,
    positive_number,
    secret,
    wildcard_name,
)

ENTRY_KEYS = ("model_name", "litellm_params", "model_info")
# LiteLLM's keys (https://docs.litellm.ai/docs/proxy/configs), and three timeouts that it does not have: the last ones.
LITELLM_PARAMS: Mapping[str, Parser] = {
    "model": wildcard_name,
    "api_base": base_url,
    "api_key": secret,
    "timeout": positive_number,
    "rpm": integer(1),
    "tpm": integer(1),
    "weight": number(0),
    "max_parallel_requests": integer(1),
    "connect_timeout": positive_number,
    "first_content_timeout": positive_number,
    "silence_timeout": positive_number,
}
# Key: (field of ModelInfo, parser). The keys are those of LiteLLM's model_prices_and_context_window.json.
MODEL_INFO: Mapping[str, tuple[str, Parser]] = {
    "max_input_tokens": ("context_window", integer(1)),
    "supports_vision": ("vision", boolean),
    "supports_function_calling": ("tools", boolean),
    "supports_response_schema": ("json_schema", boolean),
    "supports_reasoning": ("reasoning", boolean),
    "input_cost_per_token": ("input_cost", number(0)),
    "output_cost_per_token": ("output_cost", number(0)),
}
# LiteLLM's name of a deployment, and the kind of its health check: they have no effect here, and cause no warning.
UNUSED_MODEL_INFO = ("id", "mode")
SUPPORTED_KEYS = {"litellm_params": {*LITELLM_PARAMS}, "model_info": {*MODEL_INFO, *UNUSED_MODEL_INFO}}


def model_targets(
    path: str,
    entries: list[Any],
    environ: Mapping[str, str],
    default_providers: Mapping[str, Provider],
    report: ConfigReport,
) -> dict[str, Targets]:
    """The targets of each model name, in the order of the file. `path` is that of `model_list` in error messages."""
    targets: dict[str, Targets] = {}
    for index, raw in enumerate(entries):
        if parsed := _parse_entry(f"{path}[{index}]", raw, environ, default_providers, report):
            name, target = parsed
            targets[name] = (*targets.get(name, ()), target)
    return targets


def unknown_keys(entries: list[Any]) -> Iterator[str]:
    """The keys of entries that have no effect. Values of a wrong type are passed over: _parse_entry reports them."""
    for entry in (entry for entry in entries if isinstance(entry, dict)):
        yield from (f"model_list[].{key}" for key in entry if key not in ENTRY_KEYS)
        for section, supported in SUPPORTED_KEYS.items():
            if isinstance(fields := entry.get(section), dict):
                yield from (f"model_list[].{section}.{key}" for key in fields if key not in supported)


def _parse_entry(
    path: str, raw: Any, environ: Mapping[str, str], default_providers: Mapping[str, Provider], report: ConfigReport
) -> tuple[str, Target] | None:
    """The name and the target of an entry; None where it has an error, or no effect."""
    errors_before = len(report.errors)
    entry = report.parse(path, mapping, raw)
    if entry is None:
        return None
    raw_params = report.parse(f"{path}.litellm_params", optional_mapping, entry.get("litellm_params"), {})
    raw_info = report.parse(f"{path}.model_info", optional_mapping, entry.get("model_info"), {})
    name = report.parse(f"{path}.model_name", wildcard_name, entry.get("model_name"))
    params = {
        key: report.parse(f"{path}.litellm_params.{key}", from_environment(parser, environ), raw_params.get(key))
        for key, parser in LITELLM_PARAMS.items()
        if is_set(raw_params.get(key)) or key == "model"  # the only required one
    }
    info = {
        field: report.parse(f"{path}.model_info.{key}", from_environment(parser, environ), raw_info[key])
        for key, (field, parser) in MODEL_INFO.items()
        if is_set(raw_info.get(key))
    }
    if len(report.errors) > errors_before:
        return None
    # LiteLLM's entry for "any model of any vendor": split_address does that for every name without an entry.
    if name == params["model"] == "*" and "api_base" not in params:
        return None
    target = report.parse(f"{path}.litellm_params", lambda params: _target(name, params, default_providers), params)
    if target is None:
        return None
    if info:
        target = with_model_info(target)
        target = replace(target, model_info=replace(target.model_info, **info))
    return name, target


def _target(name: str, params: Mapping[str, Any], default_providers: Mapping[str, Provider]) -> Target:
    if "*" in params["model"] and "*" not in name:
        raise ValueError("model has a * but model_name has none")
    vendor, model = _vendor_and_model(params)
    return Target(
        _provider(vendor, params, default_providers[vendor.name]),
        model,
        timeout=params.get("timeout"),
        rpm=params.get("rpm"),
        tpm=params.get("tpm"),
        weight=params.get("weight"),
        max_parallel_requests=params.get("max_parallel_requests"),
        connect_timeout=params.get("connect_timeout"),
        first_content_timeout=params.get("first_content_timeout"),
        idle_timeout=params.get("silence_timeout"),
    )


def _vendor_and_model(params: Mapping[str, Any]) -> tuple[Vendor, str]:
    match split_address(params["model"]):
        case (vendor, model) if model:
            return vendor, model
        case None if "api_base" in params:
            return GENERIC, params["model"]
    raise ValueError("model names no known vendor: write vendor/model, or set api_base")


def _provider(vendor: Vendor, params: Mapping[str, Any], default: Provider) -> Provider:
    url = strip_endpoint(vendor, params["api_base"]) if "api_base" in params else default.base_url
    key = params.get("api_key", default.key)
    if not url:
        raise ValueError(f"api_base is required, or {vendor.base_url_variable} in the environment")
    if key is None and not vendor.keyless and "api_base" not in params:
        raise ValueError(f"api_key is required, or {vendor.key_variables[0]} in the environment")
    return default if (url, key) == (default.base_url, default.key) else Provider(vendor, url, key)
