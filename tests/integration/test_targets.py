"""What is one target and what are two; what a full, a limited or an unable target leads to; as a client and an upstream see it."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support import servers
from tests.support.environment import KEY
from tests.support.http_client import chat, error, get, post
from tests.support.scripted_upstream import completion, plain

TARGETS = {
    "keys/*": [{"api_key": "sk-first-key"}, {"api_key": "sk-second-key"}],
    "rationed/*": [{"api_key": "sk-first-key", "rpm": 2}, {"api_key": "sk-second-key", "rpm": 2}],
    "narrow/*": [{"max_parallel_requests": 1}],
    "wide/*": [{}],
    "alone/*": [{}],
    "blind/*": [{"supports_vision": False}],
    "sighted": [{"model": "openai/sighted"}],
    "turns": [{"model": "openai/first"}, {"model": "openai/second"}],
    "same": [{"model": "openai/same"}],
}
FALLBACKS = {"narrow/*": ["sighted"], "blind/*": ["sighted"], "wide/*": ["turns"], "same": ["same", "sighted"]}
SEEN = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]
INFO = ("supports_vision",)


@pytest.fixture(scope="module")
def gateway(worker_class, folder, upstream):
    """A gateway that knows no provider but those of its file, and tries once."""
    usual = {"model": "openai/*", "api_base": f"{upstream.url}/v1", "api_key": "sk-usual-key"}
    entries = [
        {
            "model_name": name,
            "litellm_params": {**usual, **{key: value for key, value in one.items() if key not in INFO}},
            "model_info": {key: value for key, value in one.items() if key in INFO},
        }
        for name, found in TARGETS.items()
        for one in found
    ]
    routing = {"fallbacks": [FALLBACKS], "models": {"turns": {"routing_strategy": "round-robin"}}}
    for name in ("sighted", "first", "second"):
        upstream.scripts[name] = [plain(completion(f"{name}."))]
    with servers.configured(
        folder / f"targets-{worker_class}",
        json.dumps({"model_list": entries, "router_settings": routing}),
        GATEWAY_WORKER_CLASS=worker_class,
        VALID_API_KEYS=KEY,
        HEALTH_CHECK_INTERVAL="0",
    ) as server:
        yield server


def keys(upstream, model):
    return [call.headers["authorization"].removeprefix("Bearer ") for call in upstream.calls[model]]


def test_a_gateway_whose_providers_are_all_in_its_file_is_ready(gateway):
    answer = get(gateway, "/health/ready")
    assert answer.status_code == 200
    assert answer.json()["providers"] == ["openai"]


@pytest.mark.parametrize("status", [401, 429])
def test_where_one_key_is_refused_or_busy_the_other_is_used(gateway, upstream, status):
    model = upstream.model(plain({"error": {"message": "No."}}, status, retry_after=30), plain(completion()))
    for _ in range(2):
        assert post(gateway, chat(f"keys/{model}")).status_code == 200
    assert keys(upstream, model) == ["sk-first-key", "sk-second-key", "sk-second-key"]


def test_each_key_has_its_own_limits(gateway, upstream):
    model = upstream.model(plain(completion()))
    statuses = [post(gateway, chat(f"rationed/{model}")).status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 200, 429]
    assert sorted(keys(upstream, model)) == ["sk-first-key"] * 2 + ["sk-second-key"] * 2


def test_a_key_is_never_told_to_a_client(gateway, upstream):
    said = {"message": "sk-usual-key", "param": "p-sk-usual-key", "code": "c-sk-usual-key", "type": "sk-usual-key"}
    answer = post(gateway, chat("alone/" + upstream.model(plain({"error": said}, 400))))
    assert error(answer, 400)["param"] == "p-***"
    assert "sk-usual-key" not in answer.text


def test_a_limit_of_one_name_holds_whoever_asked_first_by_another(gateway, upstream):
    model = upstream.model(plain(completion()), [0.5, *plain(completion())])
    assert post(gateway, chat(f"wide/{model}")).status_code == 200
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: post(gateway, chat(f"narrow/{model}")), range(4)))
    served = sorted(answer.headers["x-gateway-model"] for answer in answers)
    assert served == [model, "sighted", "sighted", "sighted"], "one at a time, the others by the fallback"


def test_where_no_target_can_take_a_request_the_fallback_does(gateway, upstream):
    model = upstream.model(plain(completion()))
    request = {"model": f"blind/{model}", "messages": [{"role": "user", "content": SEEN}]}
    assert post(gateway, request).headers["x-gateway-model"] == "sighted"
    assert upstream.calls[model] == []
    told = post(gateway, request, "/v1/route/explain").json()
    assert (told["targets"], told["fallbacks"]) == ([], ["openai/sighted"])


def test_the_targets_of_a_fallback_have_their_own_order(gateway, upstream):
    model = upstream.model(plain({"error": {"message": "No."}}, 500))
    preview = post(gateway, chat(f"wide/{model}"), "/v1/route/explain").json()["fallbacks"]
    served = [post(gateway, chat(f"wide/{model}")).headers["x-gateway-model"] for _ in range(4)]
    assert served in (["first", "second"] * 2, ["second", "first"] * 2)
    assert preview[0] == f"openai/{served[0]}"


def test_a_target_is_not_tried_again_as_its_own_fallback(gateway, upstream):
    upstream.scripts["same"] = [plain({"error": {"message": "No."}}, 500)]
    answer = post(gateway, chat("same", models=["same"]))
    assert answer.headers["x-gateway-attempts"] == "openai:500,openai:200"
    assert len(upstream.calls["same"]) == 1
    upstream.calls["same"].clear()


def test_an_unknown_name_among_models_is_told_by_its_place(gateway):
    assert error(post(gateway, chat("sighted", models=["turns", "nobody/knows"])), 404)["param"] == "models[1]"


def test_a_client_in_a_hurry_does_not_spoil_a_target_for_others(gateway, upstream):
    model = upstream.model([0.4, *plain(completion())])
    for _ in range(6):
        answer = post(gateway, chat(f"wide/{model}", models=[]), **{"x-gateway-timeout": "0.1"})
        assert error(answer, 504)["code"] == "upstream_timeout"
    assert post(gateway, chat(f"wide/{model}")).status_code == 200


@pytest.mark.parametrize("used", ["secret words", {"secret": "words"}, None, 1.5])
def test_a_count_that_is_none_is_not_logged(gateway, upstream, used):
    usage = {"prompt_tokens": used, "completion_tokens": 2, "total_tokens": 3}
    answer = post(gateway, chat("wide/" + upstream.model(plain(completion(usage=usage)))))
    assert answer.status_code == 200
    line = gateway.log(answer.headers["x-request-id"])
    assert (line.get("prompt_tokens"), line["completion_tokens"]) == (None, 2)
