"""A YAML file in LiteLLM's shape in, targets and settings out."""

import re
from pathlib import Path

import pytest

from gateway.catalog import model_info
from gateway.catalog.routing_policy import Policy
from gateway.config.settings import ConfigurationError, read
from gateway.config.yaml_file import known_keys

DOCS = Path(__file__).parents[2] / "docs/configuration.md"


@pytest.fixture
def settings(tmp_path):
    def from_yaml(written, **environ):
        (tmp_path / "config.yaml").write_text(written)
        return read({"GATEWAY_CONFIG": str(tmp_path / "config.yaml"), **environ})

    return from_yaml


@pytest.fixture
def faults(settings, tmp_path):
    def from_yaml(written, **environ):
        with pytest.raises(ConfigurationError) as raised:
            settings(written, **environ)
        return [fault.removeprefix(f"{tmp_path}/") for fault in raised.value.errors]

    return from_yaml


def entry(params, name="m"):
    return f"model_list: [{{model_name: '{name}', litellm_params: {params}}}]"


def target(settings, params, **environ):
    (found,) = settings(entry(params), **environ).models["m"]
    return found


def test_the_docs_have_every_key_that_is_known_and_no_other():
    documented = re.findall(r"^\| `((?:model_list|[a-z]+_settings)[^`]*)` ", DOCS.read_text(), re.MULTILINE)
    assert sorted(documented) == sorted(known_keys())


def test_several_entries_of_one_model_name_are_its_targets_in_order(settings):
    found = settings(
        """
        model_list:
          - {model_name: fast, litellm_params: {model: groq/openai/gpt-oss-20b}}
          - {model_name: slow, litellm_params: {model: openai/gpt-5.4}}
          - {model_name: fast, litellm_params: {model: openai/gpt-5.4-mini}}
        """,
        GROQ_API_KEY="g",
        OPENAI_API_KEY="o",
    )
    assert {name: [(t.provider.name, t.model) for t in targets] for name, targets in found.models.items()} == {
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
def test_model_names_its_vendor(settings, model, vendor, upstream):
    found = target(settings, f"{{model: '{model}', api_base: 'http://localhost:1/v1'}}")
    assert (found.provider.name, found.model) == (vendor, upstream)


def test_api_base_is_a_base_url_of_the_vendors_dialect(settings):
    found = target(settings, "{model: anthropic/claude, api_base: 'https://proxy.example/v1/', api_key: k}")
    assert found.provider.base_url == "https://proxy.example"


def test_api_key_is_literal_from_the_environment_or_the_vendors_usual(settings):
    environ = {"MINE": "from-mine", "OPENAI_API_KEY": "usual"}
    assert target(settings, "{model: openai/x, api_key: literal}", **environ).provider.key == "literal"
    assert target(settings, "{model: openai/x, api_key: os.environ/MINE}", **environ).provider.key == "from-mine"
    assert target(settings, "{model: openai/x}", **environ).provider.key == "usual"
    assert target(settings, "{model: openai/x, api_key: ''}", **environ).provider.key == "usual"


def test_api_base_may_come_from_the_environment(settings):
    found = target(settings, "{model: x, api_base: os.environ/MINE}", MINE="http://localhost:1/v1")
    assert found.provider.base_url == "http://localhost:1/v1"


def test_an_entry_takes_the_environments_base_url(settings):
    found = target(settings, "{model: openai/x}", OPENAI_API_KEY="k", OPENAI_BASE_URL="http://localhost:1/v1")
    assert found.provider.base_url == "http://localhost:1/v1"


def test_timeout_rpm_tpm_and_weight_are_the_targets(settings):
    params = "{model: openai/x, api_key: k, timeout: 12.5, rpm: 60, tpm: '100000', weight: 2}"
    found = target(settings, params)
    assert (found.timeout, found.rpm, found.tpm, found.weight) == (12.5, 60, 100000, 2.0)


def test_model_info_has_no_effect(settings):
    found = settings(
        "model_list: [{model_name: m, litellm_params: {model: openai/x, api_key: k}, model_info: {id: 1}}]"
    )
    assert not any("model_info" in warning for warning in found.warnings)


def test_a_wildcard_stays_a_key(settings):
    found = settings(entry("{model: 'anthropic/*', api_key: k}", name="anthropic/*"))
    assert found.models["anthropic/*"][0].model == "*"


def test_star_for_star_is_what_is_so_anyway(settings):
    assert settings(entry("{model: '*'}", name="*"), OPENAI_API_KEY="k").models == {}


@pytest.mark.parametrize(
    "section, said, setting, value",
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
def test_a_key_of_a_section_sets_its_setting(settings, section, said, setting, value):
    found = settings(f"{section}: {{{said}}}", MASTER="sk-from-environment")
    assert getattr(found, setting) == value


def test_router_settings_win_over_litellm_settings_and_the_environment_over_both(settings):
    written = (
        "litellm_settings: {num_retries: 7, request_timeout: 7, drop_params: false}\nrouter_settings: {num_retries: 1}"
    )
    assert settings(written).retry_max_attempts == 2
    found = settings(written, RETRY_MAX_ATTEMPTS="9", REQUEST_TIMEOUT="9", STRICT_PARAMS="0")
    assert (found.retry_max_attempts, found.request_timeout, found.strict) == (9, 9.0, False)


def test_the_master_key_joins_the_keys_of_the_environment(settings):
    found = settings("general_settings: {master_key: sk-master}", VALID_API_KEYS="gw-one")
    assert (found.client_keys, found.auth, found.host) == (("gw-one", "sk-master"), True, "0.0.0.0")


def test_model_map_wins_over_model_group_alias(settings):
    written = "router_settings: {model_group_alias: {a: echo, b: echo}}"
    found = settings(written, MODEL_MAP="a=echo/echo")
    assert found.aliases == {"a": "echo/echo", "b": "echo"}


def test_a_target_is_enough_for_echo_to_stay_off(settings):
    assert not settings(entry("{model: openai/x, api_key: k}")).providers


def test_the_file_joins_what_the_environment_turned_on(settings):
    found = settings(entry("{model: openai/x, api_key: k}"), GROQ_API_KEY="g")
    assert (list(found.providers), list(found.models)) == (["groq"], ["m"])


def test_unknown_keys_are_named_in_one_warning(settings):
    found = settings(
        """
        model_list:
          - {model_name: a, litellm_params: {model: openai/x, api_key: k, colour: red}, extra: 1}
          - {model_name: b, litellm_params: {model: openai/x, api_key: k, colour: blue}}
        router_settings: {redis_host: h}
        environment_variables: {A: b}
        """,
        VALID_API_KEYS="k",
    )
    (warning,) = found.warnings
    named = warning.partition("mean nothing here: ")[2].split(", ")
    assert sorted(named) == [
        "environment_variables",
        "model_list[].extra",
        "model_list[].litellm_params.colour",
        "router_settings.redis_host",
    ]


def test_another_strategy_of_litellm_is_a_warning(settings):
    found = settings("router_settings: {routing_strategy: usage-based-routing-v2}")
    assert any("usage-based-routing-v2" in warning for warning in found.warnings)
    assert found.policy.strategy == "weighted"


@pytest.mark.parametrize(
    "written, ours",
    [
        ("simple-shuffle", "weighted"),
        ("least-busy", "least-busy"),
        ("latency-based-routing", "lowest-latency"),
        ("cost-based-routing", "lowest-cost"),
        ("sticky", "sticky"),
        ("round-robin", "round-robin"),
    ],
)
def test_strategies_have_our_names_and_litellms(settings, written, ours):
    found = settings(f"router_settings: {{routing_strategy: {written}}}")
    assert found.policy.strategy == ours


def test_a_model_has_a_strategy_and_fallbacks_of_its_own(settings):
    found = settings(
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
    assert found.policy == Policy(strategy="least-busy", fallbacks=("b",))
    assert found.policies["b"] == Policy(strategy="sticky", fallbacks=("b",))
    assert found.policies["a"] == Policy(
        strategy="least-busy",
        fallbacks=("b",),
        context_window_fallbacks=("b",),
        content_policy_fallbacks=("b", "echo"),
    )


def test_model_info_is_believed_rather_than_the_table(settings):
    found = settings(
        """
        model_list:
          - model_name: a
            litellm_params: {model: openai/gpt-4o, api_key: k, max_parallel_requests: 3}
            model_info: {supports_vision: false, max_input_tokens: 99, input_cost_per_token: 1e-6}
        """
    )
    (target,) = found.models["a"]
    assert (target.model_info.vision, target.model_info.context_window, target.model_info.input_cost) == (
        False,
        99,
        1e-6,
    )
    assert target.model_info.tools is model_info.lookup("openai", "gpt-4o").tools
    assert target.max_parallel_requests == 3


@pytest.mark.parametrize(
    "written, path",
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
            "MODEL_MAP or model_group_alias: a leads to nowhere/x",
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
        (entry("{model: openai/x}"), "config.yaml: model_list[0].litellm_params: api_key is needed, or OPENAI_API_KEY"),
        (entry("{model: openai/}"), "config.yaml: model_list[0].litellm_params: model names no vendor"),
        (entry("{model: meta-llama/x}"), "config.yaml: model_list[0].litellm_params: model names no vendor"),
        (entry("{model: custom_openai/x}"), "config.yaml: model_list[0].litellm_params: api_base is needed"),
        (entry("{model: 'openai/*', api_key: k}"), "config.yaml: model_list[0].litellm_params: model has a *"),
        (entry("{model: openai/x, api_key: k}", name="a*b*"), "config.yaml: model_list[0].model_name: may have one *"),
    ],
)
def test_a_fault_has_its_path(faults, written, path):
    (fault,) = faults(written)
    assert fault.startswith(path)


def test_every_fault_of_a_file_is_reported_at_once(faults):
    found = faults(
        """
        model_list:
          - {model_name: a, litellm_params: {model: openai/x, api_key: k, rpm: x, tpm: x}}
          - {model_name: b, litellm_params: {model: nobody/x}}
        router_settings: {timeout: x}
        """,
        PORT="x",
    )
    assert len(found) == 5


def test_a_syntax_error_does_not_quote_the_file(faults):
    (fault,) = faults("general_settings:\n  master_key: *hush\n")
    assert "hush" not in fault
    assert "line 2" in fault


def test_a_file_that_is_not_utf8_is_a_fault(tmp_path):
    (tmp_path / "config.yaml").write_bytes(b"a: \xff")
    with pytest.raises(ConfigurationError) as raised:
        read({"GATEWAY_CONFIG": str(tmp_path / "config.yaml")})
    assert "is not UTF-8" in raised.value.errors[0]


def test_an_empty_file_says_nothing(settings):
    assert settings("# nothing yet\n") == read({})


def test_the_example_of_the_docs_works(settings):
    (example,) = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    found = settings(example, GROQ_API_KEY="g", OPENAI_API_KEY="o", ANTHROPIC_API_KEY="a", GATEWAY_MASTER_KEY="m")
    assert list(found.models) == ["fast", "anthropic/*", "local"]
    assert [t.provider.name for t in found.models["fast"]] == ["groq", "openai"]
    assert not found.warnings


def test_what_is_said_of_every_name_that_is_called_so(settings):
    found = settings(
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
    assert found.policies["*"].strategy == "least-busy"
    assert found.policies["*"].hedge_after is None
    assert found.policies["*"].fallbacks == found.policy.fallbacks == ("spare",)
    assert found.policy.hedge_after == 5


def test_what_is_said_of_single_names_has_its_path_and_may_be_in_the_environment(settings, faults):
    written = "router_settings: {models: {openai/x: {hedge_after: os.environ/LATE}}}"
    assert settings(written, LATE="3", OPENAI_API_KEY="k").policies["openai/x"].hedge_after == 3
    (fault,) = faults("router_settings: {models: {openai/x: {hedge_after: soon}}}", OPENAI_API_KEY="k")
    assert "openai/x.hedge_after" in fault


def test_names_that_no_model_has_are_warned_of(settings):
    found = settings("router_settings: {fallbacks: [{nobody/knows: [openai/x]}]}", OPENAI_API_KEY="k")
    assert any("nobody/knows" in warning for warning in found.warnings)
