"""The environment in, one frozen object or a list of faults out."""

import re
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from limits import parse_many

from gateway.config.parsers import rate_limit
from gateway.config.settings import COMBINED_VARIABLES, VARIABLES, ConfigurationError, read

ROOT = Path(__file__).parents[2]


def faults(environ):
    with pytest.raises(ConfigurationError) as raised:
        read(environ)
    return raised.value.errors


def test_nothing_set_means_echo_on_loopback():
    settings = read({})
    assert (settings.host, settings.port, settings.auth, settings.client_keys) == ("127.0.0.1", 8000, False, ())
    assert list(settings.providers) == ["echo"]
    assert settings.routing_order == ("echo",)


@pytest.mark.parametrize(
    "variable, written, setting, value",
    [
        ("HOST", "localhost", "host", "localhost"),
        ("PORT", "9000", "port", 9000),
        ("WEB_CONCURRENCY", "4", "workers", 4),
        ("GATEWAY_WORKER_CLASS", "gthread", "worker_class", "gthread"),
        ("GATEWAY_THREADS", "8", "threads", 8),
        ("GATEWAY_CONNECTIONS", "5000", "connections", 5000),
        ("GRACEFUL_TIMEOUT", "25", "graceful_timeout", 25),
        ("KEEPALIVE", "95", "keepalive", 95),
        ("TRUSTED_PROXIES", "1", "trusted_proxies", 1),
        ("GATEWAY_DATA", "/var/lib/gateway", "data_dir", Path("/var/lib/gateway")),
        ("RATE_LIMIT", "10/second;500/hour", "rate_limit", "10/second;500/hour"),
        ("RATE_LIMIT", "", "rate_limit", ""),
        ("REDIS_URL", "rediss://user:hush@cache:6380/1", "redis_url", "rediss://user:hush@cache:6380/1"),
        ("MAX_BODY", "512kb", "max_body", 512 * 1024),
        ("MAX_BODY", "20MB", "max_body", 20 * 1024 * 1024),
        ("MAX_BODY", "1000", "max_body", 1000),
        ("BODY_TIMEOUT", "2.5", "body_timeout", 2.5),
        (
            "CORS_ORIGINS",
            "https://a.example, https://b.example",
            "cors_origins",
            ("https://a.example", "https://b.example"),
        ),
        ("CORS_ORIGINS", "", "cors_origins", ()),
        ("LOG_LEVEL", "DEBUG", "log_level", "debug"),
        ("LOG_FORMAT", "console", "log_format", "console"),
        ("REQUEST_TIMEOUT", "30", "request_timeout", 30.0),
        ("CONNECT_TIMEOUT", "3", "connect_timeout", 3.0),
        ("RETRY_MAX_ATTEMPTS", "1", "retry_max_attempts", 1),
        ("STRICT_PARAMS", "1", "strict", True),
        ("STRICT_PARAMS", "off", "strict", False),
        ("GATEWAY_ECHO_PACE", "0", "echo_pace", 0.0),
    ],
)
def test_a_variable_sets_its_field(variable, written, setting, value):
    assert getattr(read({variable: written}), setting) == value


@pytest.mark.parametrize(
    "variable, written",
    [
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "80a"),
        ("PORT", "8_000"),
        ("WEB_CONCURRENCY", "0"),
        ("GATEWAY_WORKER_CLASS", "sync"),
        ("TRUSTED_PROXIES", "-1"),
        ("RATE_LIMIT", "a hundred"),
        ("RATE_LIMIT", "5 per fortnight"),
        ("REDIS_URL", "http://cache"),
        ("REDIS_URL", "cache:6379"),
        ("MAX_BODY", "20 parsecs"),
        ("MAX_BODY", "0"),
        ("BODY_TIMEOUT", "0"),
        ("BODY_TIMEOUT", "nan"),
        ("BODY_TIMEOUT", "inf"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("RETRY_MAX_ATTEMPTS", "0"),
        ("STRICT_PARAMS", "perhaps"),
        ("GATEWAY_ECHO_PACE", "-1"),
        ("GATEWAY_AUTH", "perhaps"),
        ("GATEWAY_ECHO", "loud"),
        ("GATEWAY_CONFIG", "/nowhere/config.yaml"),
        ("HOST", "127.0.0.1/24"),
        ("OPENAI_BASE_URL", "ftp://example.com"),
        ("OPENAI_BASE_URL", "example.com/v1"),
        ("OPENAI_BASE_URL", "https://example.com/v1?key=1"),
        ("OPENAI_BASE_URL", "https://me:hush@example.com/v1"),
        ("OPENAI_BASE_URL", "https://example.com:port/v1"),
        ("OPENAI_BASE_URL", "https://example..com/v1"),
        ("OPENAI_BASE_URL", f"https://{'x' * 64}.com/v1"),
        ("OPENAI_API_KEY", "sk-\u00fc"),
        ("VALID_API_KEYS", "good,not good"),
        ("MODEL_MAP", "gpt-4"),
        ("MODEL_MAP", "a*b*=echo"),
        ("MODEL_MAP", "gpt-4=anthropic/claude-opus-4-5"),
        ("ROUTING_ORDER", "anthropic,nobody"),
    ],
)
def test_a_wrong_value_is_one_fault_that_begins_with_its_variable(variable, written):
    (fault,) = faults({variable: written})
    assert fault.startswith(variable)


def test_every_fault_is_reported_at_once():
    wrong = {"PORT": "x", "MAX_BODY": "x", "OPENAI_BASE_URL": "x", "HOST": "0.0.0.0", "GATEWAY_CONFIG": "/nowhere.yaml"}
    assert {fault.split(":")[0] for fault in faults(wrong)} == set(wrong)


@pytest.mark.parametrize(
    "variable", ["PORT", "OPENAI_API_KEY", "OPENAI_BASE_URL", "LOG_LEVEL", "GATEWAY_ECHO", "MODEL_MAP"]
)
def test_an_empty_variable_counts_as_unset(variable):
    assert read({variable: " "}) == read({})


def test_keys_are_between_commas_and_never_shown():
    settings = read(
        {"VALID_API_KEYS": "gw-one, gw-two,,gw-one", "OPENAI_API_KEY": "sk-hush", "REDIS_URL": "redis://:hush@h"}
    )
    assert settings.client_keys == ("gw-one", "gw-two")
    assert settings.providers["openai"].key == "sk-hush"
    assert not {"gw-one", "gw-two", "hush"} & set(re.split(r"[^a-z-]", repr(settings)))


def test_a_secret_is_never_in_a_fault(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text(
        "general_settings: {master_key: 'hush hush'}\nmodel_list: [{model_name: 'a', litellm_params: {model: x/y, api_key: 'hush hush'}}]"
    )
    wrong = {
        "OPENAI_API_KEY": "hush hush",
        "VALID_API_KEYS": "hush hush",
        "REDIS_URL": "hush",
        "OPENAI_BASE_URL": "https://a:hush@b",
        "PORT": "hush",
        "GATEWAY_CONFIG": str(file),
    }
    found = faults(wrong)
    assert len(found) == 7
    assert "hush" not in "".join(found)


def test_with_keys_it_listens_everywhere():
    settings = read({"VALID_API_KEYS": "gw-one"})
    assert (settings.host, settings.auth) == ("0.0.0.0", True)
    assert not any("API KEY" in warning for warning in settings.warnings)


def test_without_keys_it_warns_loudly():
    assert any("NO API KEY" in warning for warning in read({}).warnings)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "gateway.example"])
def test_without_keys_it_refuses_to_listen_elsewhere(host):
    (fault,) = faults({"HOST": host})
    assert "GATEWAY_AUTH=off" in fault


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_keys(host):
    assert read({"HOST": host}).host == host


def test_auth_off_says_that_open_is_meant():
    settings = read({"HOST": "0.0.0.0", "GATEWAY_AUTH": "off"})
    assert (settings.host, settings.auth) == ("0.0.0.0", False)
    assert any("NO API KEY" in warning for warning in settings.warnings)


def test_auth_off_beside_keys_and_auth_on_without_are_mistakes():
    assert faults({"GATEWAY_AUTH": "off", "VALID_API_KEYS": "gw-one"})
    assert faults({"GATEWAY_AUTH": "on"})


@pytest.mark.parametrize(
    "written", ["1/second", "100 per 15 minutes", "10/minute;5 per 2 hours", "1 PER DAY", "3/5month,4/years|1/hour"]
)
def test_rate_limits_are_those_that_the_limiter_takes(written):
    assert parse_many(written)
    assert rate_limit(written) == written


@pytest.mark.parametrize("written", ["x", "5 per", "per minute", "1/fortnight", "1/second;", "-1/second", "1.5/second"])
def test_what_the_limiter_refuses_is_a_fault(written):
    with pytest.raises(ValueError, match=r"couldn't parse|no granularity"):
        parse_many(written)
    with pytest.raises(ValueError, match="must be a limit"):
        rate_limit(written)


def test_a_key_turns_its_provider_on_in_the_tables_order():
    settings = read({"GROQ_API_KEY": "g", "ANTHROPIC_API_KEY": "a", "OPENAI_API_KEY": "o"})
    assert list(settings.providers) == ["openai", "anthropic", "groq"]
    assert settings.routing_order == ("openai", "anthropic", "groq")
    assert settings.providers["groq"].base_url == "https://api.groq.com/openai/v1"


@pytest.mark.parametrize(
    "variable, written, provider, base_url",
    [
        ("OPENAI_BASE_URL", "http://127.0.0.1:9100/v1/", "openai", "http://127.0.0.1:9100/v1"),
        ("OPENAI_BASE_URL", "https://proxy.example/v1/chat/completions", "openai", "https://proxy.example/v1"),
        ("ANTHROPIC_BASE_URL", "http://127.0.0.1:9100", "anthropic", "http://127.0.0.1:9100"),
        ("ANTHROPIC_BASE_URL", "http://127.0.0.1:9100/v1/", "anthropic", "http://127.0.0.1:9100"),
        ("ANTHROPIC_BASE_URL", "https://proxy.example/v1/messages", "anthropic", "https://proxy.example"),
        ("GITHUB_MODELS_BASE_URL", "https://models.example", "github-models", "https://models.example"),
    ],
)
def test_a_base_url_is_overridden(variable, written, provider, base_url):
    keys = {"OPENAI_API_KEY": "o", "ANTHROPIC_API_KEY": "a", "GITHUB_MODELS_API_KEY": "g"}
    assert read({**keys, variable: written}).providers[provider].base_url == base_url


@pytest.mark.parametrize("provider", ["lmstudio", "llamacpp", "vllm", "openai-compatible"])
def test_a_base_url_turns_a_keyless_provider_on(provider):
    prefix = provider.upper().replace("-", "_")
    settings = read({f"{prefix}_BASE_URL": "http://localhost:1/v1", f"{prefix}_API_KEY": "k"})
    assert list(settings.providers) == [provider]
    assert (settings.providers[provider].base_url, settings.providers[provider].key) == ("http://localhost:1/v1", "k")


def test_a_half_configured_provider_stays_off_with_a_warning():
    settings = read({"OPENAI_BASE_URL": "http://localhost:1", "VLLM_API_KEY": "k"})
    assert list(settings.providers) == ["echo"]
    assert any(warning.startswith("OPENAI_BASE_URL is set") for warning in settings.warnings)
    assert any(warning.startswith("VLLM_API_KEY is set") for warning in settings.warnings)


@pytest.mark.parametrize(
    "environ, providers",
    [
        ({"OPENAI_API_KEY": "o"}, ["openai"]),
        ({"OPENAI_API_KEY": "o", "GATEWAY_ECHO": "1"}, ["openai", "echo"]),
        ({"GATEWAY_ECHO": "1"}, ["echo"]),
        ({"GATEWAY_ECHO": "0"}, []),
    ],
)
def test_echo_is_on_while_nothing_else_is_or_when_asked_for(environ, providers):
    assert list(read(environ).providers) == providers


def test_routing_order_names_those_that_stand_in():
    keys = {"OPENAI_API_KEY": "o", "ANTHROPIC_API_KEY": "a", "TOGETHER_API_KEY": "t"}
    settings = read({**keys, "ROUTING_ORDER": "together_ai, anthropic, groq"})
    assert settings.routing_order == ("together", "anthropic")
    assert "ROUTING_ORDER: not configured, so passed over: groq" in settings.warnings


def test_model_map_gives_other_names():
    settings = read({"ANTHROPIC_API_KEY": "a", "MODEL_MAP": "gpt-4=anthropic/claude-opus-4-5, fast*=claude-haiku-4-5"})
    assert settings.aliases == {"gpt-4": "anthropic/claude-opus-4-5", "fast*": "claude-haiku-4-5"}


def test_settings_are_frozen():
    settings = read({})
    with pytest.raises(FrozenInstanceError):
        settings.port = 1
    with pytest.raises(TypeError):
        settings.providers["x"] = None


def test_the_environment_wins_over_the_dot_env_file_which_is_not_written_into_it(tmp_path):
    (tmp_path / ".env").write_text("PORT=9001\nRATE_LIMIT=5/minute\nKEEPALIVE\n")
    code = "from gateway.config.settings import active_settings; import os; s = active_settings(); print(s.port, s.rate_limit, os.getenv('RATE_LIMIT'))"
    known = {"PORT": "9002", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=known, check=True, capture_output=True)
    assert done.stdout.decode().strip() == "9002 5/minute None"


def test_reading_the_settings_imports_nothing_that_gevent_must_patch_first():
    code = "import sys, gateway.config.settings as s; s.read({}); sys.exit(bool({'ssl', 'requests', 'flask'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_every_variable_is_in_the_docs_and_in_the_example():
    known = {*VARIABLES, *COMBINED_VARIABLES}
    documented = set(re.findall(r"^\| `([A-Z_]+)` ", (ROOT / "docs/configuration.md").read_text(), re.MULTILINE))
    example = set(re.findall(r"^#([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert documented == known
    assert known <= example
