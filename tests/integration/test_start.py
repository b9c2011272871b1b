"""What the gateway says when its configuration is wrong, and when it is open."""

import subprocess

import pytest

from tests.support.http_client import chat, get, post
from tests.support.servers import free_port, gateway, gunicorn


def end(folder, **environ):
    """Exit code and output of a gateway that must not start."""
    usual = {"PORT": str(free_port())}
    process = gunicorn(folder, {**usual, **environ}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        out, _ = process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return process.returncode, out.decode()


def test_every_fault_is_reported_at_once_and_the_exit_code_is_1(tmp_path, worker_class):
    config = tmp_path / "config.yaml"
    config.write_text(
        "model_list:\n"
        "  - {model_name: a, litellm_params: {model: openai/x, timeout: soon}}\n"
        "  - {litellm_params: {model: openai/y, api_key: os.environ/NOT_THERE}}\n"
    )
    code, out = end(
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
    for path in (
        "RATE_LIMIT",
        "MAX_BODY",
        "LOG_LEVEL",
        "OPENAI_BASE_URL",
        "model_list[0].litellm_params.timeout",
        "model_list[1]",
    ):
        assert path in out, out
    assert "NOT_THERE" in out
    assert "Traceback" not in out
    assert "sk-hidden" not in out


@pytest.mark.parametrize("text", ["model_list: [", "[]", "model_list: 7", "\tmodel_list:", "\x00"])
def test_a_file_that_is_no_configuration_is_a_fault(tmp_path, text):
    config = tmp_path / "config.yaml"
    config.write_text(text)
    code, out = end(tmp_path, GATEWAY_CONFIG=str(config))
    assert code == 1
    assert "config.yaml" in out
    assert "Traceback" not in out


def test_an_open_gateway_refuses_to_listen_to_the_world(tmp_path, worker_class):
    code, out = end(tmp_path, GATEWAY_WORKER_CLASS=worker_class, HOST="0.0.0.0")
    assert code == 1
    assert "VALID_API_KEYS" in out
    assert "GATEWAY_AUTH" in out


def test_an_open_gateway_may_listen_to_the_world_where_that_is_meant(tmp_path, worker_class):
    with gateway(tmp_path, GATEWAY_WORKER_CLASS=worker_class, HOST="0.0.0.0", GATEWAY_AUTH="off") as server:
        assert post(server, chat()).status_code == 200
        assert "NO API KEY" in server.said()


def test_a_gateway_without_keys_says_so_loudly(echo):
    assert "NO API KEY" in echo.said()


def test_a_gateway_with_keys_does_not(gateway):
    assert "NO API KEY" not in gateway.said()


def test_a_key_turns_its_provider_on_and_echo_off(tmp_path, upstream):
    mistral = {"MISTRAL_API_KEY": "sk-mistral-1", "MISTRAL_BASE_URL": upstream.url}
    with gateway(tmp_path, **mistral) as server:
        owners = {model["owned_by"] for model in get(server, "/v1/models").json()["data"]}
        assert owners == {"mistral"}
        assert post(server, chat("echo")).status_code == 404


def test_an_env_file_is_read_and_the_environment_wins(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / ".env").write_text("VALID_API_KEYS=sk-from-file-1\nRATE_LIMIT=7 per hour\n")
    with gateway(tmp_path, RATE_LIMIT="9 per hour") as server:
        assert get(server, "/v1/models").status_code == 401
        answer = get(server, "/v1/models", Authorization="Bearer sk-from-file-1")
        assert answer.headers["x-ratelimit-limit-requests"] == "9"


def test_a_worker_that_is_told_to_end_ends(tmp_path, worker_class):
    with gateway(tmp_path, GATEWAY_WORKER_CLASS=worker_class) as server:
        assert post(server, chat()).status_code == 200
        server.process.terminate()
        assert server.process.wait(20) == 0
