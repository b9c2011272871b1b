"""Which target is asked: strategies, fallbacks, breakers, limits of time and number; as a client, an upstream and the log see it."""

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families as parsed

from gateway.health.circuit_breaker import MIN_FAILURES
from tests.support import servers
from tests.support.environment import KEY, provider_urls
from tests.support.http_client import chat, error, get, opened, post, stream
from tests.support.scripted_upstream import DONE, RESET, ROLE, STOP, USAGE, completion, message, plain, streamed, text
from tests.support.servers import eventually

CONFIG = """
model_list:
  - {model_name: "turns/*", litellm_params: {model: "openai/*"}}
  - {model_name: "turns/*", litellm_params: {model: "anthropic/*"}}
  - {model_name: "held/*", litellm_params: {model: "openai/*", max_parallel_requests: 1}}
  - {model_name: "patient/*", litellm_params: {model: "openai/*", first_content_timeout: 9, silence_timeout: 9}}
  - {model_name: "blind/*", litellm_params: {model: "openai/*"}, model_info: {supports_vision: false}}
  - {model_name: "hedged/*", litellm_params: {model: "openai/*"}}
  - {model_name: "hedged/*", litellm_params: {model: "anthropic/*"}}
  - {model_name: "on/*", litellm_params: {model: "openai/*"}}
  - {model_name: "on/*", litellm_params: {model: "groq/*"}}
  - {model_name: main, litellm_params: {model: openai/main}}
  - {model_name: spare, litellm_params: {model: anthropic/spare}}
  - {model_name: roomy, litellm_params: {model: anthropic/roomy}}
router_settings:
  models:
    "turns/*": {routing_strategy: round-robin}
    "hedged/*": {hedge_after: 0.3}
    "on/*": {continue_on_break: true}
  fallbacks: [{main: [spare]}]
  context_window_fallbacks: [{main: [roomy]}]
"""
FAILED = plain({"error": {"message": "Not now.", "type": "x"}}, 500)
TOO_LONG = plain({"error": {"message": "Too long.", "type": "x", "code": "context_length_exceeded"}}, 400)


@pytest.fixture(scope="module")
def router(worker_class, folder, upstream):
    """A gateway that tries once, and is patient for a second."""
    upstream.scripts |= {"spare": [plain(message("Spare."))], "roomy": [plain(message("Roomy."))]}
    with servers.configured(
        folder / f"router-{worker_class}",
        CONFIG,
        **provider_urls(upstream.url),
        GATEWAY_WORKER_CLASS=worker_class,
        VALID_API_KEYS=KEY,
        FIRST_CONTENT_TIMEOUT="1",
        SILENCE_TIMEOUT="1",
        HEALTH_CHECK_INTERVAL="0",
    ) as server:
        yield server


def test_targets_take_turns(router, upstream):
    request = chat("turns/" + upstream.model(plain(completion()), plain(message()), plain(completion())))
    providers = [post(router, request).headers["x-gateway-provider"] for _ in range(3)]
    assert providers == ["openai", "anthropic", "openai"]


@pytest.mark.parametrize("streams", [False, True])
def test_the_configured_fallback_answers_for_a_model_that_fails(router, upstream, streams):
    upstream.scripts["main"] = [FAILED]
    answer = post(router, chat("main", stream=streams))
    assert answer.status_code == 200
    assert "Spare." in answer.text
    assert answer.headers["x-gateway-attempts"] == "openai:500,anthropic:200"
    assert answer.headers["x-gateway-model"] == "spare"


def test_what_is_too_large_goes_to_the_model_for_that(router, upstream):
    upstream.scripts["main"] = [TOO_LONG]
    answer = post(router, chat("main"))
    assert answer.headers["x-gateway-attempts"] == "openai:400,anthropic:200"
    assert answer.headers["x-gateway-model"] == "roomy"


@pytest.mark.parametrize("streams", [False, True])
def test_a_request_names_fallbacks_of_its_own(router, upstream, streams):
    model = upstream.model(FAILED)
    answer = post(router, chat(f"openai/{model}", models=["spare"], stream=streams))
    assert answer.headers["x-gateway-model"] == "spare"
    assert "models" not in upstream.calls[model][0].json
    said = error(post(router, chat(f"openai/{model}", models=["nobody/knows"])), 404)
    assert said["code"] == "model_not_found"
    assert error(post(router, chat("spare", models="spare")), 400)["param"] == "models"


def test_a_request_is_explained_and_nobody_is_called(router, upstream):
    model = upstream.model(plain(completion()))
    request = chat(f"turns/{model}", models=["spare"])
    answer = post(router, request, "/v1/route/explain")
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["strategy"] == "round-robin"
    assert {one["target"] for one in told["targets"]} == {f"openai/{model}", f"anthropic/{model}"}
    assert told["unavailable"] == []
    assert told["fallbacks"] == ["anthropic/spare"]
    assert upstream.calls[model] == []
    assert error(post(router, {"model": "spare"}, "/v1/route/explain"), 400)["param"] == "messages"


def test_what_a_model_cannot_see_is_refused(router, upstream):
    model = "blind/" + upstream.model(plain(completion()))
    seen = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]
    request = {"model": model, "messages": [{"role": "user", "content": seen}]}
    assert error(post(router, request), 400)["code"] == "unsupported_parameter"
    told = post(router, request, "/v1/route/explain").json()
    assert (told["targets"], told["unavailable"][0]["reason"]) == ([], "its model has no vision")
    assert post(router, chat(model)).status_code == 200


@pytest.mark.parametrize("streams", [False, True])
def test_a_target_that_keeps_failing_is_left_alone(router, upstream, streams):
    model = upstream.model(FAILED)
    for _ in range(MIN_FAILURES):
        error(post(router, chat(f"openai/{model}", stream=streams)), 502)
    answer = post(router, chat(f"openai/{model}", stream=streams))
    assert error(answer, 503)["code"] == "no_healthy_upstream"
    assert 1 <= int(answer.headers["retry-after"]) <= 15
    assert len(upstream.calls[model]) == MIN_FAILURES
    assert get(router, "/health/ready").json()["breakers"][f"openai/{model}"] == "open"
    told = post(router, chat(f"openai/{model}"), "/v1/route/explain").json()
    assert told["targets"] == []
    assert told["unavailable"][0]["reason"] == "breaker open"


def test_prometheus_reads_how_targets_stand_in_all_processes(worker_class, folder, upstream):
    model, busy = upstream.model(FAILED), upstream.model(plain({"error": {"message": "No."}}, 429, retry_after=60))
    place = folder / f"measured-{worker_class}"
    options = {"RETRY_MAX_ATTEMPTS": "1", "VALID_API_KEYS": KEY, "WEB_CONCURRENCY": "2"}
    with servers.gateway(
        place, **provider_urls(upstream.url), GATEWAY_WORKER_CLASS=worker_class, **options
    ) as measured:
        assert error(requests.get(f"{measured.url}/metrics", timeout=10), 401)
        for _ in range(4 * MIN_FAILURES):
            post(measured, chat(f"openai/{model}"))
        post(measured, chat(f"openai/{busy}"))
        host = upstream.url.removeprefix("http://")
        for _ in range(10):  # whichever process answers
            answer = get(measured, "/metrics")
            assert answer.headers["content-type"].startswith("text/plain")
            told = {sample: value for family in parsed(answer.text) for sample, value in samples(family)}
            assert told["pointsman_breaker_open", f"openai/{model}", host] == 1
            assert 0 < told["pointsman_target_cooldown_until_seconds", f"openai/{model}", host] - time.time() <= 15
            assert 45 < told["pointsman_target_cooldown_until_seconds", f"openai/{busy}", host] - time.time() <= 60


def samples(family):
    return [((one.name, one.labels["target"], one.labels["host"]), one.value) for one in family.samples]


def test_a_probe_that_costs_nothing_brings_a_target_back(worker_class, folder, upstream):
    model = upstream.model(*[FAILED] * MIN_FAILURES, plain(completion()))
    place = folder / f"probed-{worker_class}"
    options = {"RETRY_MAX_ATTEMPTS": "1", "HEALTH_CHECK_INTERVAL": "2", "GATEWAY_DATA": str(place / "data")}
    with servers.gateway(place, **provider_urls(upstream.url), GATEWAY_WORKER_CLASS=worker_class, **options) as probed:
        for _ in range(MIN_FAILURES):
            error(post(probed, chat(f"openai/{model}")), 502)
        assert eventually(lambda: get(probed, "/health/ready").json()["breakers"] == {}, 8)
        assert post(probed, chat(f"openai/{model}")).status_code == 200
    assert len(upstream.calls[model]) == MIN_FAILURES + 1
    assert '"event":"breaker_closed"' in probed.out()


def test_a_client_says_how_long_it_waits(router, upstream):
    model = "openai/" + upstream.model([5.0, *plain(completion())])
    answer = post(router, chat(model), **{"x-gateway-timeout": "0.5"})
    said = error(answer, 504)
    assert said["code"] == "upstream_timeout"
    assert "whole request" in said["message"]
    assert answer.headers["x-gateway-attempts"] == "openai:timeout"
    assert answer.elapsed.total_seconds() < 3
    for wrong in ("soon", "0", "-1", "nan", "inf"):
        assert "x-gateway-timeout" in error(post(router, chat(model), **{"x-gateway-timeout": wrong}), 400)["message"]


def test_a_stream_without_content_is_late(router, upstream):
    answer = post(router, chat("openai/" + upstream.model(streamed(ROLE, 5.0)), stream=True))
    assert "no content came in time" in error(answer, 504)["message"]
    assert answer.headers["x-gateway-attempts"] == "openai:first_content_timeout"


def test_a_stream_that_falls_silent_ends_with_an_error(router, upstream):
    heard = stream(router, chat("openai/" + upstream.model(streamed(ROLE, text("Hel"), 5.0, text("lo"), STOP, DONE))))
    assert heard.text == "Hel"
    assert heard.error["code"] == "upstream_timeout"
    assert "nothing more came" in heard.error["message"]
    assert not heard.done


def test_a_target_may_have_patience_of_its_own(router, upstream):
    heard = stream(
        router, chat("patient/" + upstream.model(streamed(ROLE, 1.3, text("Hel"), 1.3, text("lo"), STOP, DONE)))
    )
    assert (heard.text, heard.done) == ("Hello", True)


def test_events_may_take_longer_together_than_a_silence(router, upstream):
    paced = [step for n in range(4) for step in (text(str(n)), 0.6)]
    heard = stream(router, chat("openai/" + upstream.model(streamed(ROLE, *paced, STOP, DONE))))
    assert heard.text == "0123"
    assert heard.done


@pytest.mark.parametrize("streams", [False, True])
def test_a_target_gets_no_more_calls_at_once_than_it_takes(router, upstream, streams):
    slow = streamed(ROLE, text("a"), 0.4, STOP, DONE) if streams else [0.4, *plain(completion())]
    model = upstream.model(slow)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: post(router, chat(f"held/{model}", stream=streams)), range(4)))
    assert [one.status_code for one in answers] == [200] * 4
    began = sorted(call.began for call in upstream.calls[model])
    assert all(later - earlier >= 0.35 for earlier, later in pairwise(began))


@pytest.mark.parametrize("streams", [False, True])
def test_where_the_first_is_late_the_second_answers_and_the_first_is_cancelled(router, upstream, streams):
    model = upstream.model([10.0, *plain(completion("Late."))], plain(message("In time.")))
    answer = post(router, chat(f"hedged/{model}", stream=streams))
    assert "In time." in answer.text
    assert answer.headers["x-gateway-attempts"] == "openai:cancelled,anthropic:200"
    assert answer.elapsed.total_seconds() < 3
    assert eventually(lambda: [call.end for call in upstream.calls[model]] == ["client-gone", "sent"], 2)


def test_where_the_first_is_in_time_nobody_else_is_asked(router, upstream):
    model = upstream.model(streamed(ROLE, text("a"), 0.6, text("b"), STOP, DONE))
    heard = stream(router, chat(f"hedged/{model}"))
    assert (heard.text, heard.done) == ("ab", True)
    assert len(upstream.calls[model]) == 1


def test_where_both_fail_the_client_hears_so(router, upstream):
    model = upstream.model([0.5, *FAILED], FAILED)
    answer = post(router, chat(f"hedged/{model}"))
    error(answer, 502)
    assert sorted(answer.headers["x-gateway-attempts"].split(",")) == ["anthropic:500", "openai:500"]


def test_where_one_refuses_our_key_the_other_answers_and_the_log_says_so(router, upstream):
    model = upstream.model([0.5, *plain({"error": {"message": "No."}}, 401)], [1.0, *plain(message("Well."))])
    answer = post(router, chat(f"hedged/{model}"))
    assert "Well." in answer.text
    assert answer.headers["x-gateway-attempts"] == "openai:401,anthropic:200"
    ident = answer.headers["x-request-id"]
    assert any(ident in line and '"credential_refused"' in line for line in router.out().splitlines())


def test_a_client_that_leaves_ends_both(router, upstream):
    model = upstream.model([10.0, *plain(completion())])
    with opened(router, chat(f"hedged/{model}")):
        assert eventually(lambda: len(upstream.calls[model]) == 2, 3)
    assert eventually(lambda: [call.end for call in upstream.calls[model]] == ["client-gone"] * 2, 2)


def test_a_stream_that_breaks_is_carried_on(router, upstream):
    model = upstream.model(
        streamed(ROLE, text("The quick "), text("brown"), RESET),
        streamed(ROLE, text(" fox"), STOP, USAGE, DONE),
    )
    heard = stream(router, chat(f"on/{model}", stream_options={"include_usage": True}))
    assert heard.text == "The quick brown fox"
    assert heard.done
    assert heard.finishes == ["stop"]
    assert len({one["id"] for one in heard.chunks}) == 1
    assert heard.chunks[-1]["gateway"]["attempts"] == "openai:200,openai:connection,groq:200"
    assert heard.chunks[-1]["usage"]["estimated"] is True
    said = upstream.calls[model][1].json["messages"]
    assert said[1] == {"role": "assistant", "content": "The quick brown"}


def test_the_log_has_each_attempt(router, upstream):
    upstream.scripts["main"] = [FAILED]
    answer = post(router, chat("main"))
    line = router.log(answer.headers["x-request-id"])
    assert [(one["target"], one["status"]) for one in line["attempts"]] == [
        ("openai/main", "500"),
        ("anthropic/spare", "200"),
    ]
    assert all(one["ms"] > 0 for one in line["attempts"])


def test_a_refused_credential_of_ours_is_logged_as_an_error_and_not_tried_again(router, upstream):
    model = upstream.model(plain({"error": {"message": "Incorrect API key."}}, 401))
    answer = post(router, chat(f"openai/{model}"))
    assert error(answer, 502)["code"] == "upstream_credentials"
    assert error(post(router, chat(f"openai/{model}")), 502)["code"] == "upstream_credentials"
    assert len(upstream.calls[model]) == 1
    written = [line for line in router.out().splitlines() if answer.headers["x-request-id"] in line]
    assert any('"credential_refused"' in line and '"level":"error"' in line for line in written)
