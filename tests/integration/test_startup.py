"""The start of the gateway: invalid configurations, gateways without keys, `.env`, and the exit."""

import subprocess

import pytest

from tests.support.http_client import chat_request, get, post
from tests.support.servers import free_port, run_gateway, start_gunicorn


def failed_start(folder, **environ):
    """Return the exit code and the output of a gateway that must not start."""
    defaults = {"PORT": str(free_port())}
    process = start_gunicorn(folder, {**defaults, **environ}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        output, _ = process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return process.returncode, output.decode()


def test_all_configuration_errors_are_reported_together_and_the_exit_code_is_1(tmp_path, worker_class):
    config = tmp_path / "config.yaml"
    config.write_text(
        "model_list:\n"
        "  - {model_name: a, litellm_params: {model: openai/x, timeout: soon}}\n"
        "  - {litellm_params: {model: openai/y, api_key: os.environ/NOT_THERE}}\n"
    )
    code, output = failed_start(
        tmp_path,
        GATEWAY_WORKER_CLASS=worker_class,
        RATE_LIMIT="a lot",
        MAX_BODY="huge",
        LOG_LEVEL="loud",
        OPENAI_API_KEY="sk-hidden-hidden",
        OPENAI_BASE_URL="nowhere",
        GATEWAY_CONFIG=str(config),
    )
    assert code == 1
    for setting in (
        "RATE_LIMIT",
        "MAX_BODY",
        "LOG_LEVEL",
        "OPENAI_BASE_URL",
        "model_list[0].litellm_params.timeout",
        "model_list[1]",
    ):
        assert setting in output, output
    assert "NOT_THERE" in output
    assert "Traceback" not in output
    assert "sk-hidden" not in output


@pytest.mark.parametrize("text", ["model_list: [", "[]", "model_list: 7", "\tmodel_list:", "\x00"])
def test_a_file_that_is_not_a_configuration_is_an_error(tmp_path, text):
    config = tmp_path / "config.yaml"
    config.write_text(text)
    code, output = failed_start(tmp_path, GATEWAY_CONFIG=str(config))
    assert code == 1
    assert "config.yaml" in output
    assert "Traceback" not in output


def test_a_gateway_without_keys_refuses_to_listen_on_all_addresses(tmp_path, worker_class):
    code, output = failed_start(tmp_path, GATEWAY_WORKER_CLASS=worker_class, HOST="0.0.0.0")
    assert code == 1
    assert "VALID_API_KEYS" in output
    assert "GATEWAY_AUTH" in output


def test_a_gateway_without_keys_may_listen_on_all_addresses_with_auth_off(tmp_path, worker_class):
    with run_gateway(tmp_path, GATEWAY_WORKER_CLASS=worker_class, HOST="0.0.0.0", GATEWAY_AUTH="off") as server:
        assert post(server, chat_request()).status_code == 200
        assert "NO API KEY" in server.output()


def test_a_gateway_without_keys_prints_a_warning(echo_gateway):
    assert "NO API KEY" in echo_gateway.output()


def test_a_gateway_with_keys_prints_no_warning(gateway):
    assert "NO API KEY" not in gateway.output()


def test_a_provider_key_enables_the_provider_and_disables_echo(tmp_path, scripted_upstream):
    mistral = {"MISTRAL_API_KEY": "sk-mistral-1", "MISTRAL_BASE_URL": scripted_upstream.url}
    with run_gateway(tmp_path, **mistral) as server:
        owners = {model["owned_by"] for model in get(server, "/v1/models").json()["data"]}
        assert owners == {"mistral"}
        assert post(server, chat_request("echo")).status_code == 404


def test_the_environment_overrides_the_env_file(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / ".env").write_text("VALID_API_KEYS=sk-from-file-1\nRATE_LIMIT=7 per hour\n")
    with run_gateway(tmp_path, RATE_LIMIT="9 per hour") as server:
        assert get(server, "/v1/models").status_code == 401
        response = get(server, "/v1/models", Authorization="Bearer sk-from-file-1")
        assert response.headers["x-ratelimit-limit-requests"] == "9"


def test_a_terminated_gateway_exits_with_code_0(tmp_path, worker_class):
    with run_gateway(tmp_path, GATEWAY_WORKER_CLASS=worker_class) as server:
        assert post(server, chat_request()).status_code == 200
        server.process.terminate()
        assert server.process.wait(20) == 0
