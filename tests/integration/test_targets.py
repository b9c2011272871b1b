"""Targets with keys, limits and capabilities of their own, as a client and an upstream see them."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support import servers
from tests.support.environment import KEY
from tests.support.http_client import chat_request, expect_error, get, post
from tests.support.scripted_upstream import completion, json_response

TARGETS = {
    "two-keys/*": [{"api_key": "sk-first-key"}, {"api_key": "sk-second-key"}],
    "limited/*": [{"api_key": "sk-first-key", "rpm": 2}, {"api_key": "sk-second-key", "rpm": 2}],
    "one-at-a-time/*": [{"max_parallel_requests": 1}],
    "unlimited/*": [{}],
    "no-fallback/*": [{}],
    "no-vision/*": [{"supports_vision": False}],
    "vision": [{"model": "openai/vision"}],
    "round-robin": [{"model": "openai/first"}, {"model": "openai/second"}],
    "same": [{"model": "openai/same"}],
}
FALLBACKS = {
    "one-at-a-time/*": ["vision"],
    "no-vision/*": ["vision"],
    "unlimited/*": ["round-robin"],
    "same": ["same", "vision"],
}
IMAGE = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]
MODEL_INFO_FIELDS = ("supports_vision",)


@pytest.fixture(scope="module")
def gateway(worker_class, folder, scripted_upstream):
    """A gateway with providers from its file alone, that makes one attempt per target."""
    defaults = {"model": "openai/*", "api_base": f"{scripted_upstream.url}/v1", "api_key": "sk-default-key"}
    entries = [
        {
            "model_name": name,
            "litellm_params": {
                **defaults,
                **{key: value for key, value in params.items() if key not in MODEL_INFO_FIELDS},
            },
            "model_info": {key: value for key, value in params.items() if key in MODEL_INFO_FIELDS},
        }
        for name, targets in TARGETS.items()
        for params in targets
    ]
    routing = {"fallbacks": [FALLBACKS], "models": {"round-robin": {"routing_strategy": "round-robin"}}}
    for name in ("vision", "first", "second"):
        scripted_upstream.scripts[name] = [json_response(completion(f"{name}."))]
    with servers.run_configured_gateway(
        folder / f"targets-{worker_class}",
        json.dumps({"model_list": entries, "router_settings": routing}),
        GATEWAY_WORKER_CLASS=worker_class,
        VALID_API_KEYS=KEY,
        HEALTH_CHECK_INTERVAL="0",
    ) as server:
        yield server


def received_keys(scripted_upstream, model):
    return [call.headers["authorization"].removeprefix("Bearer ") for call in scripted_upstream.calls[model]]


def test_a_gateway_with_providers_from_its_file_alone_is_ready(gateway):
    response = get(gateway, "/health/ready")
    assert response.status_code == 200
    assert response.json()["providers"] == ["openai"]


@pytest.mark.parametrize("status", [401, 429])
def test_the_second_key_is_used_while_the_first_is_refused_or_limited(gateway, scripted_upstream, status):
    model = scripted_upstream.add_model(
        json_response({"error": {"message": "No."}}, status, retry_after=30), json_response(completion())
    )
    for _ in range(2):
        assert post(gateway, chat_request(f"two-keys/{model}")).status_code == 200
    assert received_keys(scripted_upstream, model) == ["sk-first-key", "sk-second-key", "sk-second-key"]


def test_each_key_has_separate_limits(gateway, scripted_upstream):
    model = scripted_upstream.add_model(json_response(completion()))
    statuses = [post(gateway, chat_request(f"limited/{model}")).status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 200, 429]
    assert sorted(received_keys(scripted_upstream, model)) == ["sk-first-key"] * 2 + ["sk-second-key"] * 2


def test_an_error_never_shows_a_key_to_the_client(gateway, scripted_upstream):
    upstream_error = {
        "message": "sk-default-key",
        "param": "p-sk-default-key",
        "code": "c-sk-default-key",
        "type": "sk-default-key",
    }
    response = post(
        gateway,
        chat_request("no-fallback/" + scripted_upstream.add_model(json_response({"error": upstream_error}, 400))),
    )
    assert expect_error(response, 400)["param"] == "p-***"
    assert "sk-default-key" not in response.text


def test_a_concurrency_limit_applies_after_a_call_by_another_name(gateway, scripted_upstream):
    model = scripted_upstream.add_model(json_response(completion()), [0.5, *json_response(completion())])
    assert post(gateway, chat_request(f"unlimited/{model}")).status_code == 200
    with ThreadPoolExecutor(4) as pool:
        responses = list(pool.map(lambda _: post(gateway, chat_request(f"one-at-a-time/{model}")), range(4)))
    served = sorted(response.headers["x-gateway-model"] for response in responses)
    assert served == [model, "vision", "vision", "vision"], "one call at a time, the others by the fallback"


def test_the_fallback_serves_a_request_that_no_target_supports(gateway, scripted_upstream):
    model = scripted_upstream.add_model(json_response(completion()))
    request = {"model": f"no-vision/{model}", "messages": [{"role": "user", "content": IMAGE}]}
    assert post(gateway, request).headers["x-gateway-model"] == "vision"
    assert scripted_upstream.calls[model] == []
    explanation = post(gateway, request, "/v1/route/explain").json()
    assert (explanation["targets"], explanation["fallbacks"]) == ([], ["openai/vision"])


def test_the_targets_of_a_fallback_follow_its_strategy(gateway, scripted_upstream):
    model = scripted_upstream.add_model(json_response({"error": {"message": "No."}}, 500))
    preview = post(gateway, chat_request(f"unlimited/{model}"), "/v1/route/explain").json()["fallbacks"]
    served = [post(gateway, chat_request(f"unlimited/{model}")).headers["x-gateway-model"] for _ in range(4)]
    assert served in (["first", "second"] * 2, ["second", "first"] * 2)
    assert preview[0] == f"openai/{served[0]}"


def test_a_target_is_not_called_again_as_a_fallback_of_itself(gateway, scripted_upstream):
    scripted_upstream.scripts["same"] = [json_response({"error": {"message": "No."}}, 500)]
    response = post(gateway, chat_request("same", models=["same"]))
    assert response.headers["x-gateway-attempts"] == "openai:500,openai:200"
    assert len(scripted_upstream.calls["same"]) == 1
    scripted_upstream.calls["same"].clear()


def test_the_error_of_an_unknown_fallback_names_its_index(gateway):
    assert (
        expect_error(post(gateway, chat_request("vision", models=["round-robin", "nobody/knows"])), 404)["param"]
        == "models[1]"
    )


def test_short_client_timeouts_do_not_open_the_breaker_of_a_target(gateway, scripted_upstream):
    model = scripted_upstream.add_model([0.4, *json_response(completion())])
    for _ in range(6):
        response = post(gateway, chat_request(f"unlimited/{model}", models=[]), **{"x-gateway-timeout": "0.1"})
        assert expect_error(response, 504)["code"] == "upstream_timeout"
    assert post(gateway, chat_request(f"unlimited/{model}")).status_code == 200


@pytest.mark.parametrize("prompt_tokens", ["secret words", {"secret": "words"}, None, 1.5])
def test_a_token_count_that_is_not_an_integer_is_not_logged(gateway, scripted_upstream, prompt_tokens):
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": 2, "total_tokens": 3}
    response = post(
        gateway, chat_request("unlimited/" + scripted_upstream.add_model(json_response(completion(usage=usage))))
    )
    assert response.status_code == 200
    line = gateway.request_log(response.headers["x-request-id"])
    assert (line.get("prompt_tokens"), line["completion_tokens"]) == (None, 2)
