"""A YAML file in LiteLLM's shape in, targets and settings out."""

import re
from pathlib import Path

import pytest

from gateway.catalog import model_info
from gateway.catalog.routing_policy import Policy
from gateway.config.settings import ConfigurationError, read
from gateway.config.yaml_file import supported_keys

DOCS = Path(__file__).parents[2] / "docs/configuration.md"


@pytest.fixture
def read_yaml(tmp_path):
    def from_yaml(content, **environ):
        (tmp_path / "config.yaml").write_text(content)
        return read({"GATEWAY_CONFIG": str(tmp_path / "config.yaml"), **environ})

    return from_yaml


@pytest.fixture
def errors(read_yaml, tmp_path):
    def from_yaml(content, **environ):
        with pytest.raises(ConfigurationError) as raised:
            read_yaml(content, **environ)
        return [error.removeprefix(f"{tmp_path}/") for error in raised.value.errors]

    return from_yaml


def entry(params, name="m"):
    return f"model_list: [{{model_name: '{name}', litellm_params: {params}}}]"


def target(read_yaml, params, **environ):
    (only,) = read_yaml(entry(params), **environ).models["m"]
    return only


def test_the_docs_list_exactly_the_supported_keys():
    documented = re.findall(r"^\| `((?:model_list|[a-z]+_settings)[^`]*)` ", DOCS.read_text(), re.MULTILINE)
    assert sorted(documented) == sorted(supported_keys())


def test_entries_with_one_model_name_are_its_targets_in_order(read_yaml):
    settings = read_yaml(
        """
        model_list:
          - {model_name: fast, litellm_params: {model: groq/openai/gpt-oss-20b}}
          - {model_name: slow, litellm_params: {model: openai/gpt-5.4}}
          - {model_name: fast, litellm_params: {model: openai/gpt-5.4-mini}}
        """,
        GROQ_API_KEY="g",
        OPENAI_API_KEY="o",
    )
    assert {name: [(t.provider.name, t.model) for t in targets] for name, targets in settings.models.items()} == {
        "fast": [("groq", "openai/gpt-oss-20b"), ("openai", "gpt-5.4-mini")],
        "slow": [("openai", "gpt-5.4")],
    }


@pytest.mark.parametrize(
    "model, vendor, upstream",
    [
        ("openai/gpt-4o", "openai", "gpt-4o"),
        ("gpt-4o", "openai", "gpt-4o"),
        ("claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5"),
        ("together_ai/openai/gpt-oss-20b", "together", "openai/gpt-oss-20b"),
        ("fireworks_ai/accounts/fireworks/models/x", "fireworks", "accounts/fireworks/models/x"),
        ("nvidia_nim/meta/llama", "nvidia", "meta/llama"),
        ("github/gpt-4.1", "github-models", "gpt-4.1"),
        ("lm_studio/qwen", "lmstudio", "qwen"),
        ("hosted_vllm/qwen", "vllm", "qwen"),
        ("custom_openai/qwen", "openai-compatible", "qwen"),
        ("meta-llama/Llama-4", "openai-compatible", "meta-llama/Llama-4"),
        ("qwen3:8b", "dashscope", "qwen3:8b"),
        ("mine", "openai-compatible", "mine"),
    ],
)
def test_a_model_names_its_vendor(read_yaml, model, vendor, upstream):
    parsed = target(read_yaml, f"{{model: '{model}', api_base: 'http://localhost:1/v1'}}")
    assert (parsed.provider.name, parsed.model) == (vendor, upstream)


def test_api_base_loses_the_path_that_the_adapter_appends(read_yaml):
    parsed = target(read_yaml, "{model: anthropic/claude, api_base: 'https://proxy.example/v1/', api_key: k}")
    assert parsed.provider.base_url == "https://proxy.example"


def test_api_key_is_literal_or_a_reference_or_the_key_of_the_vendors_variable(read_yaml):
    environ = {"MINE": "from-mine", "OPENAI_API_KEY": "usual"}
    assert target(read_yaml, "{model: openai/x, api_key: literal}", **environ).provider.key == "literal"
    assert target(read_yaml, "{model: openai/x, api_key: os.environ/MINE}", **environ).provider.key == "from-mine"
    assert target(read_yaml, "{model: openai/x}", **environ).provider.key == "usual"
    assert target(read_yaml, "{model: openai/x, api_key: ''}", **environ).provider.key == "usual"


def test_api_base_may_be_a_reference_to_the_environment(read_yaml):
    parsed = target(read_yaml, "{model: x, api_base: os.environ/MINE}", MINE="http://localhost:1/v1")
    assert parsed.provider.base_url == "http://localhost:1/v1"


def test_an_entry_without_api_base_gets_the_base_url_of_the_environment(read_yaml):
    parsed = target(read_yaml, "{model: openai/x}", OPENAI_API_KEY="k", OPENAI_BASE_URL="http://localhost:1/v1")
    assert parsed.provider.base_url == "http://localhost:1/v1"


def test_timeout_rpm_tpm_and_weight_are_fields_of_the_target(read_yaml):
    params = "{model: openai/x, api_key: k, timeout: 12.5, rpm: 60, tpm: '100000', weight: 2}"
    parsed = target(read_yaml, params)
    assert (parsed.timeout, parsed.rpm, parsed.tpm, parsed.weight) == (12.5, 60, 100000, 2.0)


def test_the_id_in_model_info_causes_no_warning(read_yaml):
    settings = read_yaml(
        "model_list: [{model_name: m, litellm_params: {model: openai/x, api_key: k}, model_info: {id: 1}}]"
    )
    assert not any("model_info" in warning for warning in settings.warnings)


def test_a_wildcard_is_a_model_name(read_yaml):
    settings = read_yaml(entry("{model: 'anthropic/*', api_key: k}", name="anthropic/*"))
    assert settings.models["anthropic/*"][0].model == "*"


def test_an_entry_for_any_model_of_any_vendor_adds_no_target(read_yaml):
    assert read_yaml(entry("{model: '*'}", name="*"), OPENAI_API_KEY="k").models == {}


@pytest.mark.parametrize(
    "section, line, field, value",
    [
        ("router_settings", "num_retries: 0", "retry_max_attempts", 1),
        ("router_settings", "num_retries: 4", "retry_max_attempts", 5),
        ("router_settings", "timeout: 33", "request_timeout", 33.0),
        ("router_settings", "routing_strategy: simple-shuffle", "warnings", read({}).warnings),
        ("router_settings", "model_group_alias: {gpt-4: echo}", "aliases", {"gpt-4": "echo"}),
        ("router_settings", "model_group_alias: {gpt-4: {model: echo}}", "aliases", {"gpt-4": "echo"}),
        ("litellm_settings", "num_retries: 4", "retry_max_attempts", 5),
        ("litellm_settings", "request_timeout: 44", "request_timeout", 44.0),
        ("litellm_settings", "drop_params: false", "strict", True),
        ("litellm_settings", "drop_params: true", "strict", False),
        ("general_settings", "master_key: sk-master", "client_keys", ("sk-master",)),
        ("general_settings", "master_key: os.environ/MASTER", "client_keys", ("sk-from-environment",)),
    ],
)
def test_a_key_of_a_section_sets_its_field(read_yaml, section, line, field, value):
    settings = read_yaml(f"{section}: {{{line}}}", MASTER="sk-from-environment")
    assert getattr(settings, field) == value


def test_router_settings_take_precedence_over_litellm_settings_and_the_environment_over_both(read_yaml):
    content = (
        "litellm_settings: {num_retries: 7, request_timeout: 7, drop_params: false}\nrouter_settings: {num_retries: 1}"
    )
    assert read_yaml(content).retry_max_attempts == 2
    settings = read_yaml(content, RETRY_MAX_ATTEMPTS="9", REQUEST_TIMEOUT="9", STRICT_PARAMS="0")
    assert (settings.retry_max_attempts, settings.request_timeout, settings.strict) == (9, 9.0, False)


def test_the_master_key_is_added_to_the_keys_of_the_environment(read_yaml):
    settings = read_yaml("general_settings: {master_key: sk-master}", VALID_API_KEYS="gw-one")
    assert (settings.client_keys, settings.auth, settings.host) == (("gw-one", "sk-master"), True, "0.0.0.0")


def test_model_map_takes_precedence_over_model_group_alias(read_yaml):
    content = "router_settings: {model_group_alias: {a: echo, b: echo}}"
    settings = read_yaml(content, MODEL_MAP="a=echo/echo")
    assert settings.aliases == {"a": "echo/echo", "b": "echo"}


def test_echo_is_disabled_where_the_file_has_a_target(read_yaml):
    assert not read_yaml(entry("{model: openai/x, api_key: k}")).providers


def test_the_file_adds_models_to_the_providers_of_the_environment(read_yaml):
    settings = read_yaml(entry("{model: openai/x, api_key: k}"), GROQ_API_KEY="g")
    assert (list(settings.providers), list(settings.models)) == (["groq"], ["m"])


def test_one_warning_names_all_unknown_keys(read_yaml):
    settings = read_yaml(
        """
        model_list:
          - {model_name: a, litellm_params: {model: openai/x, api_key: k, colour: red}, extra: 1}
          - {model_name: b, litellm_params: {model: openai/x, api_key: k, colour: blue}}
        router_settings: {redis_host: h}
        environment_variables: {A: b}
        """,
        VALID_API_KEYS="sk-client-0123456789",
    )
    (warning,) = settings.warnings
    keys = warning.partition("unknown keys are ignored: ")[2].split(", ")
    assert sorted(keys) == [
        "environment_variables",
        "model_list[].extra",
        "model_list[].litellm_params.colour",
        "router_settings.redis_host",
    ]


def test_an_unsupported_strategy_of_litellm_causes_a_warning_and_means_weighted(read_yaml):
    settings = read_yaml("router_settings: {routing_strategy: usage-based-routing-v2}")
    assert any("usage-based-routing-v2" in warning for warning in settings.warnings)
    assert settings.policy.strategy == "weighted"


@pytest.mark.parametrize(
    "name, strategy",
    [
        ("simple-shuffle", "weighted"),
        ("least-busy", "least-busy"),
        ("latency-based-routing", "lowest-latency"),
        ("cost-based-routing", "lowest-cost"),
        ("sticky", "sticky"),
        ("round-robin", "round-robin"),
    ],
)
def test_a_strategy_has_our_name_or_litellms(read_yaml, name, strategy):
    settings = read_yaml(f"router_settings: {{routing_strategy: {name}}}")
    assert settings.policy.strategy == strategy


def test_a_model_may_have_its_own_strategy_and_fallbacks(read_yaml):
    settings = read_yaml(
        """
        model_list:
          - {model_name: a, litellm_params: {model: echo}}
          - {model_name: b, litellm_params: {model: echo}}
        router_settings:
          routing_strategy: least-busy
          models: {b: {routing_strategy: sticky}}
          default_fallbacks: [b]
          context_window_fallbacks: [{a: [b]}]
        litellm_settings:
          content_policy_fallbacks: [{a: [b, echo]}]
          context_window_fallbacks: [{a: [echo]}]
        """,
        GATEWAY_ECHO="1",
    )
    assert settings.policy == Policy(strategy="least-busy", fallbacks=("b",))
    assert settings.policies["b"] == Policy(strategy="sticky", fallbacks=("b",))
    assert settings.policies["a"] == Policy(
        strategy="least-busy",
        fallbacks=("b",),
        context_window_fallbacks=("b",),
        content_policy_fallbacks=("b", "echo"),
    )


def test_model_info_of_the_file_takes_precedence_over_the_catalog(read_yaml):
    settings = read_yaml(
        """
        model_list:
          - model_name: a
            litellm_params: {model: openai/gpt-4o, api_key: k, max_parallel_requests: 3}
            model_info: {supports_vision: false, max_input_tokens: 99, input_cost_per_token: 1e-6}
        """
    )
    (target,) = settings.models["a"]
    assert (target.model_info.vision, target.model_info.context_window, target.model_info.input_cost) == (
        False,
        99,
        1e-6,
    )
    assert target.model_info.tools is model_info.lookup("openai", "gpt-4o").tools
    assert target.max_parallel_requests == 3


@pytest.mark.parametrize(
    "content, beginning",
    [
        ("[1, 2]", "config.yaml: must be a mapping"),
        ("a: [", "config.yaml: line 1, column 5: is not YAML"),
        ("model_list: {}", "config.yaml: model_list: must be a list"),
        ("model_list: [7]", "config.yaml: model_list[0]: must be a mapping"),
        ("model_list: [null]", "config.yaml: model_list[0]: must be a mapping"),
        ("model_list: [{litellm_params: {model: echo}}]", "config.yaml: model_list[0].model_name: must be text"),
        ("model_list: [{model_name: m}]", "config.yaml: model_list[0].litellm_params.model: must be text"),
        ("router_settings: 3", "config.yaml: router_settings: must be a mapping"),
        ("router_settings: {num_retries: -1}", "config.yaml: router_settings.num_retries: "),
        ("router_settings: {timeout: soon}", "config.yaml: router_settings.timeout: "),
        ("router_settings: {fallbacks: [a]}", "config.yaml: router_settings.fallbacks: "),
        ("router_settings: {fallbacks: [{echo: [nobody/x]}]}", "fallbacks: echo falls back to nobody/x: "),
        ("router_settings: {models: {a: {colour: red}}}", "config.yaml: router_settings.models: "),
        ("router_settings: {models: {a: {routing_strategy: coin}}}", "config.yaml: router_settings.models: "),
        ("router_settings: {default_fallbacks: b}", "config.yaml: router_settings.default_fallbacks: "),
        ("router_settings: {routing_strategy: coin}", "config.yaml: router_settings.routing_strategy: "),
        ("router_settings: {model_group_alias: [a]}", "config.yaml: router_settings.model_group_alias: "),
        (
            "router_settings: {model_group_alias: {a: nowhere/x}}",
            "MODEL_MAP or model_group_alias: a refers to nowhere/x",
        ),
        ("litellm_settings: {drop_params: maybe}", "config.yaml: litellm_settings.drop_params: "),
        (
            "general_settings: {master_key: os.environ/NOPE}",
            "config.yaml: general_settings.master_key: NOPE is not set",
        ),
        (
            entry("{model: openai/x, api_key: os.environ/NOPE}"),
            "config.yaml: model_list[0].litellm_params.api_key: NOPE",
        ),
        (entry("{model: openai/x, api_key: k, timeout: 0}"), "config.yaml: model_list[0].litellm_params.timeout: "),
        (entry("{model: openai/x, api_key: k, rpm: 1.5}"), "config.yaml: model_list[0].litellm_params.rpm: "),
        (entry("{model: openai/x, api_key: k, tpm: none}"), "config.yaml: model_list[0].litellm_params.tpm: "),
        (entry("{model: openai/x, api_key: k, weight: -1}"), "config.yaml: model_list[0].litellm_params.weight: "),
        (entry("{model: openai/x, api_key: k, api_base: x}"), "config.yaml: model_list[0].litellm_params.api_base: "),
        (
            entry("{model: openai/x}"),
            "config.yaml: model_list[0].litellm_params: api_key is required, or OPENAI_API_KEY",
        ),
        (entry("{model: openai/}"), "config.yaml: model_list[0].litellm_params: model names no known vendor"),
        (entry("{model: meta-llama/x}"), "config.yaml: model_list[0].litellm_params: model names no known vendor"),
        (entry("{model: custom_openai/x}"), "config.yaml: model_list[0].litellm_params: api_base is required"),
        (entry("{model: 'openai/*', api_key: k}"), "config.yaml: model_list[0].litellm_params: model has a *"),
        (
            entry("{model: openai/x, api_key: k}", name="a*b*"),
            "config.yaml: model_list[0].model_name: may have at most one *",
        ),
    ],
)
def test_an_error_begins_with_its_path(errors, content, beginning):
    (error,) = errors(content)
    assert error.startswith(beginning)


def test_every_error_of_a_file_is_reported_at_once(errors):
    messages = errors(
        """
        model_list:
          - {model_name: a, litellm_params: {model: openai/x, api_key: k, rpm: x, tpm: x}}
          - {model_name: b, litellm_params: {model: nobody/x}}
        router_settings: {timeout: x}
        """,
        PORT="x",
    )
    assert len(messages) == 5


def test_a_syntax_error_does_not_quote_the_file(errors):
    (error,) = errors("general_settings:\n  master_key: *hush\n")
    assert "hush" not in error
    assert "line 2" in error


def test_a_file_that_is_not_utf8_is_an_error(tmp_path):
    (tmp_path / "config.yaml").write_bytes(b"a: \xff")
    with pytest.raises(ConfigurationError) as raised:
        read({"GATEWAY_CONFIG": str(tmp_path / "config.yaml")})
    assert "is not UTF-8" in raised.value.errors[0]


def test_an_empty_file_changes_nothing(read_yaml):
    assert read_yaml("# nothing yet\n") == read({})


def test_the_example_of_the_docs_works(read_yaml):
    (example,) = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    settings = read_yaml(
        example, GROQ_API_KEY="g", OPENAI_API_KEY="o", ANTHROPIC_API_KEY="a", GATEWAY_MASTER_KEY="sk-master-0123456789"
    )
    assert list(settings.models) == ["fast", "anthropic/*", "local"]
    assert [t.provider.name for t in settings.models["fast"]] == ["groq", "openai"]
    assert not settings.warnings


def test_a_star_means_the_model_name_under_models_and_every_model_under_fallbacks(read_yaml):
    settings = read_yaml(
        """
        model_list:
          - {model_name: "*", litellm_params: {model: openai/x, api_key: k}}
          - {model_name: spare, litellm_params: {model: openai/spare, api_key: k}}
        router_settings:
          hedge_after: 5
          models: {"*": {routing_strategy: least-busy, hedge_after: false}}
          fallbacks: [{"*": [spare]}]
        """
    )
    assert settings.policies["*"].strategy == "least-busy"
    assert settings.policies["*"].hedge_after is None
    assert settings.policies["*"].fallbacks == settings.policy.fallbacks == ("spare",)
    assert settings.policy.hedge_after == 5


def test_a_setting_of_one_model_may_be_a_reference_and_its_error_has_the_path(read_yaml, errors):
    content = "router_settings: {models: {openai/x: {hedge_after: os.environ/LATE}}}"
    assert read_yaml(content, LATE="3", OPENAI_API_KEY="k").policies["openai/x"].hedge_after == 3
    (error,) = errors("router_settings: {models: {openai/x: {hedge_after: soon}}}", OPENAI_API_KEY="k")
    assert "openai/x.hedge_after" in error


def test_a_policy_for_an_unknown_model_causes_a_warning(read_yaml):
    settings = read_yaml("router_settings: {fallbacks: [{nobody/knows: [openai/x]}]}", OPENAI_API_KEY="k")
    assert any("nobody/knows" in warning for warning in settings.warnings)
