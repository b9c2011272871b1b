"""The environment in, one frozen object or a list of errors out."""

import re
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from limits import parse_many

from gateway.config.checks import exposed_listeners
from gateway.config.parsers import rate_limit
from gateway.config.settings import COMBINED_VARIABLES, VARIABLES, ConfigurationError, read

ROOT = Path(__file__).parents[2]


def errors(environ):
    with pytest.raises(ConfigurationError) as raised:
        read(environ)
    return raised.value.errors


def test_an_empty_environment_means_echo_on_loopback():
    settings = read({})
    assert (settings.host, settings.port, settings.auth, settings.client_keys) == ("127.0.0.1", 8000, False, ())
    assert list(settings.providers) == ["echo"]
    assert settings.routing_order == ("echo",)


@pytest.mark.parametrize(
    "variable, raw, field, value",
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
        ("REDIS_URL", "valkey://[::1]?db=3", "redis_url", "redis://[::1]?db=3"),
        ("REDIS_URL", "redis://:h%23sh@my_cache", "redis_url", "redis://:h%23sh@my_cache"),
        ("REDIS_URL", "rediss://c:1?ssl_cert_reqs=none", "redis_url", "rediss://c:1?ssl_cert_reqs=none"),
        ("REDIS_URL", "redis+unix:///run/redis.sock?db=2", "redis_url", "redis+unix:///run/redis.sock?db=2"),
        ("REDIS_URL", "valkeys://cache", "redis_url", "rediss://cache"),
        ("REDIS_URL", "redis+cluster://:hush@a:1,b:2", "redis_url", "redis+cluster://:hush@a:1,b:2"),
        ("REDIS_URL", "redis+sentinel://a:1,b:2/main", "redis_url", "redis+sentinel://a:1,b:2/main"),
        ("MAX_BODY", "512kb", "max_body", 512 * 1024),
        ("MAX_BODY", "20MB", "max_body", 20 * 1024 * 1024),
        ("MAX_BODY", "1000", "max_body", 1000),
        ("BODY_TIMEOUT", "2.5", "body_timeout", 2.5),
        ("MAX_MODEL_NAME", "100", "max_model_name", 100),
        ("MAX_BETAS", "1kb", "max_betas", 1024),
        ("MAX_RESPONSE", "1mb", "max_response", 1 << 20),
        ("MAX_EVENT", "1mb", "max_event", 1 << 20),
        ("MAX_BEFORE_CONTENT", "64kb", "max_before_content", 1 << 16),
        ("MAX_LISTED_MODELS", "100", "max_listed_models", 100),
        (
            "CORS_ORIGINS",
            "https://a.example, https://b.example",
            "cors_origins",
            ("https://a.example", "https://b.example"),
        ),
        ("CORS_ORIGINS", "", "cors_origins", ()),
        ("ALLOWED_HOSTS", "gateway.lan, *.Example.com", "allowed_hosts", ("gateway.lan", "*.example.com")),
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
def test_a_variable_sets_its_field(variable, raw, field, value):
    assert getattr(read({variable: raw}), field) == value


@pytest.mark.parametrize(
    "variable, raw",
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
        ("REDIS_URL", "redis://:hush@cache:port/0"),
        ("REDIS_URL", "redis://:hush@cache:0/0"),
        ("REDIS_URL", "redis://:hush@cache:65536/0"),
        ("REDIS_URL", "redis://:hush@/0"),
        ("REDIS_URL", "redis://:hu/sh@cache/0"),
        ("REDIS_URL", "redis://:hu#sh@cache/0"),
        ("REDIS_URL", "redis://user:hush@[::1/0"),
        ("REDIS_URL", "redis://:hush@cache/first"),
        ("REDIS_URL", "redis://:hush@cache/0?surprise=1"),
        ("REDIS_URL", "redis://:hush@cache/0?db"),
        ("REDIS_URL", "redis://:hush@cache/0?db=hush"),
        ("REDIS_URL", "redis://:hush@cache/0?ssl_cert_reqs=none"),
        ("REDIS_URL", "rediss://:hush@cache/0?ssl_cert_reqs=hush"),
        ("REDIS_URL", "redis://:hush@one:1,two:2/0"),
        ("REDIS_URL", "redis+unix://:hush@cache:1"),
        ("REDIS_URL", "redis+cluster://:hush@one,two:2"),
        ("REDIS_URL", "redis+sentinel://:hush@one:1"),
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
        ("CORS_ORIGINS", "^https://a$"),
        ("ALLOWED_HOSTS", "gateway.lan:8000"),
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
def test_an_invalid_value_is_one_error_that_begins_with_its_variable(variable, raw):
    (error,) = errors({variable: raw})
    assert error.startswith(variable)
    assert "hush" not in error


def test_every_error_is_reported_at_once():
    invalid = {
        "PORT": "x",
        "MAX_BODY": "x",
        "OPENAI_BASE_URL": "x",
        "HOST": "0.0.0.0",
        "GATEWAY_CONFIG": "/nowhere.yaml",
    }
    assert {error.split(":")[0] for error in errors(invalid)} == set(invalid)


@pytest.mark.parametrize(
    "variable", ["PORT", "OPENAI_API_KEY", "OPENAI_BASE_URL", "LOG_LEVEL", "GATEWAY_ECHO", "MODEL_MAP"]
)
def test_an_empty_variable_counts_as_unset(variable):
    assert read({variable: " "}) == read({})


def test_client_keys_are_separated_by_commas_and_never_shown():
    settings = read(
        {"VALID_API_KEYS": "gw-one, gw-two,,gw-one", "OPENAI_API_KEY": "sk-hush", "REDIS_URL": "redis://:hush@h"}
    )
    assert settings.client_keys == ("gw-one", "gw-two")
    assert settings.providers["openai"].key == "sk-hush"
    assert not {"gw-one", "gw-two", "hush"} & set(re.split(r"[^a-z-]", repr(settings)))


def test_an_error_never_quotes_a_secret(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text(
        "general_settings: {master_key: 'hush hush'}\nmodel_list: [{model_name: 'a', litellm_params: {model: x/y, api_key: 'hush hush'}}]"
    )
    invalid = {
        "OPENAI_API_KEY": "hush hush",
        "VALID_API_KEYS": "hush hush",
        "REDIS_URL": "hush",
        "OPENAI_BASE_URL": "https://a:hush@b",
        "PORT": "hush",
        "GATEWAY_CONFIG": str(file),
    }
    messages = errors(invalid)
    assert len(messages) == 7
    assert "hush" not in "".join(messages)


def test_with_client_keys_the_gateway_listens_on_all_interfaces():
    settings = read({"VALID_API_KEYS": "gw-one"})
    assert (settings.host, settings.auth) == ("0.0.0.0", True)
    assert not any("API KEY" in warning for warning in settings.warnings)


def test_without_client_keys_there_is_a_warning():
    assert any("NO API KEY" in warning for warning in read({}).warnings)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "gateway.example"])
def test_without_client_keys_an_address_other_than_loopback_is_an_error(host):
    (error,) = errors({"HOST": host})
    assert "GATEWAY_AUTH=off" in error


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_client_keys(host):
    assert read({"HOST": host}).host == host


def test_auth_off_allows_open_access():
    settings = read({"HOST": "0.0.0.0", "GATEWAY_AUTH": "off"})
    assert (settings.host, settings.auth, settings.open_access) == ("0.0.0.0", False, True)
    assert any("NO API KEY" in warning for warning in settings.warnings)


def test_pages_of_all_origins_may_call_by_default_only_where_they_need_a_key():
    assert read({}).cors_origins == ()
    assert read({"VALID_API_KEYS": "gw-one"}).cors_origins == ("*",)
    assert read({"CORS_ORIGINS": "*"}).cors_origins == ("*",)
    assert read({"VALID_API_KEYS": "gw-one", "CORS_ORIGINS": ""}).cors_origins == ()


def test_short_client_keys_are_a_warning_that_does_not_quote_them():
    (warning,) = (
        text for text in read({"VALID_API_KEYS": "fifteen-letters,sk-client-012345"}).warnings if "fewer" in text
    )
    assert "1 of 2 keys" in warning
    assert "fifteen" not in warning
    assert not any("fewer" in text for text in read({"VALID_API_KEYS": "sixteen-letters-"}).warnings)


@pytest.mark.parametrize(
    ("addresses", "exposed"),
    [
        ([("127.0.0.1", 8000), ("::1", 8000, 0, 0), "/run/gateway.sock", b"\0abstract"], []),
        ([("127.0.0.1", 8000), ("0.0.0.0", 8001)], ["0.0.0.0:8001"]),
        ([("::", 8000, 0, 0), ("192.168.1.5", 80)], [":::8000", "192.168.1.5:80"]),
        ([("::ffff:192.168.1.5", 80, 0, 0)], ["::ffff:192.168.1.5:80"]),
    ],
)
def test_listeners_that_other_machines_may_reach_are_exposed(addresses, exposed):
    assert exposed_listeners(addresses) == exposed


def test_auth_off_with_client_keys_and_auth_on_without_them_are_errors():
    assert errors({"GATEWAY_AUTH": "off", "VALID_API_KEYS": "gw-one"})
    assert errors({"GATEWAY_AUTH": "on"})


@pytest.mark.parametrize(
    "raw", ["1/second", "100 per 15 minutes", "10/minute;5 per 2 hours", "1 PER DAY", "3/5month,4/years|1/hour"]
)
def test_a_rate_limit_that_the_limiter_accepts_is_valid(raw):
    assert parse_many(raw)
    assert rate_limit(raw) == raw


@pytest.mark.parametrize("raw", ["x", "5 per", "per minute", "1/fortnight", "1/second;", "-1/second", "1.5/second"])
def test_a_rate_limit_that_the_limiter_refuses_is_an_error(raw):
    with pytest.raises(ValueError, match=r"couldn't parse|no granularity"):
        parse_many(raw)
    with pytest.raises(ValueError, match="must be a limit"):
        rate_limit(raw)


def test_an_api_key_enables_its_provider_in_the_order_of_the_vendors():
    settings = read({"GROQ_API_KEY": "g", "ANTHROPIC_API_KEY": "a", "OPENAI_API_KEY": "o"})
    assert list(settings.providers) == ["openai", "anthropic", "groq"]
    assert settings.routing_order == ("openai", "anthropic", "groq")
    assert settings.providers["groq"].base_url == "https://api.groq.com/openai/v1"


@pytest.mark.parametrize(
    "variable, raw, provider, base_url",
    [
        ("OPENAI_BASE_URL", "http://127.0.0.1:9100/v1/", "openai", "http://127.0.0.1:9100/v1"),
        ("OPENAI_BASE_URL", "https://proxy.example/v1/chat/completions", "openai", "https://proxy.example/v1"),
        ("ANTHROPIC_BASE_URL", "http://127.0.0.1:9100", "anthropic", "http://127.0.0.1:9100"),
        ("ANTHROPIC_BASE_URL", "http://127.0.0.1:9100/v1/", "anthropic", "http://127.0.0.1:9100"),
        ("ANTHROPIC_BASE_URL", "https://proxy.example/v1/messages", "anthropic", "https://proxy.example"),
        ("GITHUB_MODELS_BASE_URL", "https://models.example", "github-models", "https://models.example"),
    ],
)
def test_a_variable_overrides_the_base_url(variable, raw, provider, base_url):
    keys = {"OPENAI_API_KEY": "o", "ANTHROPIC_API_KEY": "a", "GITHUB_MODELS_API_KEY": "g"}
    assert read({**keys, variable: raw}).providers[provider].base_url == base_url


@pytest.mark.parametrize("provider", ["lmstudio", "llamacpp", "vllm", "openai-compatible"])
def test_a_base_url_enables_a_keyless_provider(provider):
    prefix = provider.upper().replace("-", "_")
    settings = read({f"{prefix}_BASE_URL": "http://localhost:1/v1", f"{prefix}_API_KEY": "k"})
    assert list(settings.providers) == [provider]
    assert (settings.providers[provider].base_url, settings.providers[provider].key) == ("http://localhost:1/v1", "k")


def test_a_half_configured_provider_stays_disabled_with_a_warning():
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
def test_echo_is_enabled_by_its_variable_or_where_no_other_provider_is(environ, providers):
    assert list(read(environ).providers) == providers


def test_routing_order_lists_the_providers_that_may_substitute():
    keys = {"OPENAI_API_KEY": "o", "ANTHROPIC_API_KEY": "a", "TOGETHER_API_KEY": "t"}
    settings = read({**keys, "ROUTING_ORDER": "together_ai, anthropic, groq"})
    assert settings.routing_order == ("together", "anthropic")
    assert "ROUTING_ORDER: not configured and therefore skipped: groq" in settings.warnings


def test_model_map_sets_aliases():
    settings = read({"ANTHROPIC_API_KEY": "a", "MODEL_MAP": "gpt-4=anthropic/claude-opus-4-5, fast*=claude-haiku-4-5"})
    assert settings.aliases == {"gpt-4": "anthropic/claude-opus-4-5", "fast*": "claude-haiku-4-5"}


def test_settings_are_frozen():
    settings = read({})
    with pytest.raises(FrozenInstanceError):
        settings.port = 1
    with pytest.raises(TypeError):
        settings.providers["x"] = None


def test_the_environment_takes_precedence_over_the_dot_env_file_and_is_not_changed_by_it(tmp_path):
    (tmp_path / ".env").write_text("PORT=9001\nRATE_LIMIT=5/minute\nKEEPALIVE\n")
    code = "from gateway.config.settings import active_settings; import os; s = active_settings(); print(s.port, s.rate_limit, os.getenv('RATE_LIMIT'))"
    environ = {"PORT": "9002", "PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environ, check=True, capture_output=True)
    assert result.stdout.decode().strip() == "9002 5/minute None"


def test_reading_the_settings_imports_nothing_that_gevent_must_patch_first():
    code = "import sys, gateway.config.settings as s; s.read({}); sys.exit(bool({'ssl', 'requests', 'flask'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_every_variable_is_in_the_docs_and_in_the_example_file():
    variables = {*VARIABLES, *COMBINED_VARIABLES}
    documented = set(re.findall(r"^\| `([A-Z_]+)` ", (ROOT / "docs/configuration.md").read_text(), re.MULTILINE))
    example = set(re.findall(r"^#([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert documented == variables
    assert variables <= example
