"""The choice of a target: strategies, fallbacks, breakers, hedging, timeouts and limits, as client, upstream and log see it."""

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from gateway.health.circuit_breaker import MIN_FAILURES
from tests.support import servers
from tests.support.environment import KEY, provider_urls
from tests.support.http_client import chat_request, expect_error, get, post, post_stream, send_request
from tests.support.scripted_upstream import (
    DONE,
    RESET,
    ROLE,
    STOP,
    USAGE,
    anthropic_message,
    completion,
    json_response,
    sse_response,
    text_chunk,
)
from tests.support.servers import wait_until

CONFIG = """
model_list:
  - {model_name: "round-robin/*", litellm_params: {model: "openai/*"}}
  - {model_name: "round-robin/*", litellm_params: {model: "anthropic/*"}}
  - {model_name: "one-at-a-time/*", litellm_params: {model: "openai/*", max_parallel_requests: 1}}
  - {model_name: "long-timeouts/*", litellm_params: {model: "openai/*", first_content_timeout: 9, silence_timeout: 9}}
  - {model_name: "no-vision/*", litellm_params: {model: "openai/*"}, model_info: {supports_vision: false}}
  - {model_name: "hedged/*", litellm_params: {model: "openai/*"}}
  - {model_name: "hedged/*", litellm_params: {model: "anthropic/*"}}
  - {model_name: "resumed/*", litellm_params: {model: "openai/*"}}
  - {model_name: "resumed/*", litellm_params: {model: "groq/*"}}
  - {model_name: main, litellm_params: {model: openai/main}}
  - {model_name: spare, litellm_params: {model: anthropic/spare}}
  - {model_name: large-window, litellm_params: {model: anthropic/large-window}}
router_settings:
  models:
    "round-robin/*": {routing_strategy: round-robin}
    "hedged/*": {hedge_after: 0.3}
    "resumed/*": {continue_on_break: true}
  fallbacks: [{main: [spare]}]
  context_window_fallbacks: [{main: [large-window]}]
"""
SERVER_ERROR = json_response({"error": {"message": "Not now.", "type": "x"}}, 500)
CONTEXT_LENGTH_EXCEEDED = json_response(
    {"error": {"message": "Too long.", "type": "x", "code": "context_length_exceeded"}}, 400
)


@pytest.fixture(scope="module")
def routing_gateway(worker_class, folder, scripted_upstream):
    """A gateway that makes one attempt per target, with timeouts of 1 s."""
    scripted_upstream.scripts |= {
        "spare": [json_response(anthropic_message("Spare."))],
        "large-window": [json_response(anthropic_message("Large window."))],
    }
    with servers.run_configured_gateway(
        folder / f"routing-{worker_class}",
        CONFIG,
        **provider_urls(scripted_upstream.url),
        GATEWAY_WORKER_CLASS=worker_class,
        VALID_API_KEYS=KEY,
        FIRST_CONTENT_TIMEOUT="1",
        SILENCE_TIMEOUT="1",
        HEALTH_CHECK_INTERVAL="0",
    ) as server:
        yield server


def test_round_robin_alternates_between_the_targets(routing_gateway, scripted_upstream):
    request = chat_request(
        "round-robin/"
        + scripted_upstream.add_model(
            json_response(completion()), json_response(anthropic_message()), json_response(completion())
        )
    )
    providers = [post(routing_gateway, request).headers["x-gateway-provider"] for _ in range(3)]
    assert providers == ["openai", "anthropic", "openai"]


@pytest.mark.parametrize("stream", [False, True])
def test_the_configured_fallback_responds_for_a_model_that_fails(routing_gateway, scripted_upstream, stream):
    scripted_upstream.scripts["main"] = [SERVER_ERROR]
    response = post(routing_gateway, chat_request("main", stream=stream))
    assert response.status_code == 200
    assert "Spare." in response.text
    assert response.headers["x-gateway-attempts"] == "openai:500,anthropic:200"
    assert response.headers["x-gateway-model"] == "spare"


def test_the_context_window_fallback_serves_a_request_that_is_too_long(routing_gateway, scripted_upstream):
    scripted_upstream.scripts["main"] = [CONTEXT_LENGTH_EXCEEDED]
    response = post(routing_gateway, chat_request("main"))
    assert response.headers["x-gateway-attempts"] == "openai:400,anthropic:200"
    assert response.headers["x-gateway-model"] == "large-window"


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_may_name_its_fallbacks(routing_gateway, scripted_upstream, stream):
    model = scripted_upstream.add_model(SERVER_ERROR)
    response = post(routing_gateway, chat_request(f"openai/{model}", models=["spare"], stream=stream))
    assert response.headers["x-gateway-model"] == "spare"
    assert "models" not in scripted_upstream.calls[model][0].json
    error = expect_error(post(routing_gateway, chat_request(f"openai/{model}", models=["nobody/knows"])), 404)
    assert error["code"] == "model_not_found"
    assert expect_error(post(routing_gateway, chat_request("spare", models="spare")), 400)["param"] == "models"


def test_route_explain_describes_a_request_without_calling_a_target(routing_gateway, scripted_upstream):
    model = scripted_upstream.add_model(json_response(completion()))
    request = chat_request(f"round-robin/{model}", models=["spare"])
    response = post(routing_gateway, request, "/v1/route/explain")
    assert response.status_code == 200, response.text
    explanation = response.json()
    assert explanation["strategy"] == "round-robin"
    assert {target["target"] for target in explanation["targets"]} == {f"openai/{model}", f"anthropic/{model}"}
    assert explanation["unavailable"] == []
    assert explanation["fallbacks"] == ["anthropic/spare"]
    assert scripted_upstream.calls[model] == []
    assert expect_error(post(routing_gateway, {"model": "spare"}, "/v1/route/explain"), 400)["param"] == "messages"


def test_an_image_for_a_model_without_vision_is_rejected(routing_gateway, scripted_upstream):
    model = "no-vision/" + scripted_upstream.add_model(json_response(completion()))
    content = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]
    request = {"model": model, "messages": [{"role": "user", "content": content}]}
    assert expect_error(post(routing_gateway, request), 400)["code"] == "unsupported_parameter"
    explanation = post(routing_gateway, request, "/v1/route/explain").json()
    assert (explanation["targets"], explanation["unavailable"][0]["reason"]) == ([], "its model has no vision")
    assert post(routing_gateway, chat_request(model)).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_a_target_that_keeps_failing_is_not_called(routing_gateway, scripted_upstream, stream):
    model = scripted_upstream.add_model(SERVER_ERROR)
    for _ in range(MIN_FAILURES):
        expect_error(post(routing_gateway, chat_request(f"openai/{model}", stream=stream)), 502)
    response = post(routing_gateway, chat_request(f"openai/{model}", stream=stream))
    assert expect_error(response, 503)["code"] == "no_healthy_upstream"
    assert 1 <= int(response.headers["retry-after"]) <= 15
    assert len(scripted_upstream.calls[model]) == MIN_FAILURES
    assert get(routing_gateway, "/health/ready").json()["breakers"][f"openai/{model}"] == "open"
    explanation = post(routing_gateway, chat_request(f"openai/{model}"), "/v1/route/explain").json()
    assert explanation["targets"] == []
    assert explanation["unavailable"][0]["reason"] == "breaker open"


def test_every_process_exports_the_health_of_targets_to_prometheus(worker_class, folder, scripted_upstream):
    model, busy = (
        scripted_upstream.add_model(SERVER_ERROR),
        scripted_upstream.add_model(json_response({"error": {"message": "No."}}, 429, retry_after=60)),
    )
    data_folder = folder / f"measured-{worker_class}"
    options = {"RETRY_MAX_ATTEMPTS": "1", "VALID_API_KEYS": KEY, "WEB_CONCURRENCY": "2"}
    with servers.run_gateway(
        data_folder, **provider_urls(scripted_upstream.url), GATEWAY_WORKER_CLASS=worker_class, **options
    ) as measured:
        assert expect_error(requests.get(f"{measured.url}/metrics", timeout=10), 401)
        for _ in range(4 * MIN_FAILURES):
            post(measured, chat_request(f"openai/{model}"))
        post(measured, chat_request(f"openai/{busy}"))
        host = scripted_upstream.url.removeprefix("http://")
        for _ in range(10):  # each request may reach another process
            response = get(measured, "/metrics")
            assert response.headers["content-type"].startswith("text/plain")
            metrics = {
                sample: value
                for family in text_string_to_metric_families(response.text)
                for sample, value in samples(family)
            }
            assert metrics["pointsman_breaker_open", f"openai/{model}", host] == 1
            assert 0 < metrics["pointsman_target_cooldown_until_seconds", f"openai/{model}", host] - time.time() <= 15
            assert 45 < metrics["pointsman_target_cooldown_until_seconds", f"openai/{busy}", host] - time.time() <= 60


def samples(family):
    return [((sample.name, sample.labels["target"], sample.labels["host"]), sample.value) for sample in family.samples]


def test_a_free_probe_closes_the_breaker_of_a_target(worker_class, folder, scripted_upstream):
    model = scripted_upstream.add_model(*[SERVER_ERROR] * MIN_FAILURES, json_response(completion()))
    data_folder = folder / f"probed-{worker_class}"
    options = {"RETRY_MAX_ATTEMPTS": "1", "HEALTH_CHECK_INTERVAL": "2", "GATEWAY_DATA": str(data_folder / "data")}
    with servers.run_gateway(
        data_folder, **provider_urls(scripted_upstream.url), GATEWAY_WORKER_CLASS=worker_class, **options
    ) as probed:
        for _ in range(MIN_FAILURES):
            expect_error(post(probed, chat_request(f"openai/{model}")), 502)
        assert wait_until(lambda: get(probed, "/health/ready").json()["breakers"] == {}, 8)
        assert post(probed, chat_request(f"openai/{model}")).status_code == 200
    assert len(scripted_upstream.calls[model]) == MIN_FAILURES + 1
    assert '"event":"breaker_closed"' in probed.stdout()


def test_a_client_sets_the_timeout_of_its_request(routing_gateway, scripted_upstream):
    model = "openai/" + scripted_upstream.add_model([5.0, *json_response(completion())])
    response = post(routing_gateway, chat_request(model), **{"x-gateway-timeout": "0.5"})
    error = expect_error(response, 504)
    assert error["code"] == "upstream_timeout"
    assert "whole request" in error["message"]
    assert response.headers["x-gateway-attempts"] == "openai:timeout"
    assert response.elapsed.total_seconds() < 3
    for value in ("soon", "0", "-1", "nan", "inf"):
        assert (
            "x-gateway-timeout"
            in expect_error(post(routing_gateway, chat_request(model), **{"x-gateway-timeout": value}), 400)["message"]
        )


def test_a_stream_without_content_times_out(routing_gateway, scripted_upstream):
    response = post(
        routing_gateway, chat_request("openai/" + scripted_upstream.add_model(sse_response(ROLE, 5.0)), stream=True)
    )
    assert "no content came in time" in expect_error(response, 504)["message"]
    assert response.headers["x-gateway-attempts"] == "openai:first_content_timeout"


def test_a_stream_that_stays_silent_ends_with_an_error(routing_gateway, scripted_upstream):
    response = post_stream(
        routing_gateway,
        chat_request(
            "openai/"
            + scripted_upstream.add_model(sse_response(ROLE, text_chunk("Hel"), 5.0, text_chunk("lo"), STOP, DONE))
        ),
    )
    assert response.text == "Hel"
    assert response.error["code"] == "upstream_timeout"
    assert "nothing more came" in response.error["message"]
    assert not response.done


def test_a_target_may_override_the_default_timeouts(routing_gateway, scripted_upstream):
    response = post_stream(
        routing_gateway,
        chat_request(
            "long-timeouts/"
            + scripted_upstream.add_model(sse_response(ROLE, 1.3, text_chunk("Hel"), 1.3, text_chunk("lo"), STOP, DONE))
        ),
    )
    assert (response.text, response.done) == ("Hello", True)


def test_a_stream_may_take_longer_than_the_silence_timeout(routing_gateway, scripted_upstream):
    slow_events = [step for number in range(4) for step in (text_chunk(str(number)), 0.6)]
    response = post_stream(
        routing_gateway,
        chat_request("openai/" + scripted_upstream.add_model(sse_response(ROLE, *slow_events, STOP, DONE))),
    )
    assert response.text == "0123"
    assert response.done


@pytest.mark.parametrize("stream", [False, True])
def test_a_target_gets_no_more_concurrent_calls_than_its_limit(routing_gateway, scripted_upstream, stream):
    script = sse_response(ROLE, text_chunk("a"), 0.4, STOP, DONE) if stream else [0.4, *json_response(completion())]
    model = scripted_upstream.add_model(script)
    with ThreadPoolExecutor(4) as pool:
        responses = list(
            pool.map(lambda _: post(routing_gateway, chat_request(f"one-at-a-time/{model}", stream=stream)), range(4))
        )
    assert [response.status_code for response in responses] == [200] * 4
    start_times = sorted(call.started_at for call in scripted_upstream.calls[model])
    assert all(later - earlier >= 0.35 for earlier, later in pairwise(start_times))


@pytest.mark.parametrize("stream", [False, True])
def test_a_hedged_call_cancels_the_first_target_when_the_second_responds_earlier(
    routing_gateway, scripted_upstream, stream
):
    model = scripted_upstream.add_model(
        [10.0, *json_response(completion("Late."))], json_response(anthropic_message("In time."))
    )
    response = post(routing_gateway, chat_request(f"hedged/{model}", stream=stream))
    assert "In time." in response.text
    assert response.headers["x-gateway-attempts"] == "openai:cancelled,anthropic:200"
    assert response.elapsed.total_seconds() < 3
    assert wait_until(lambda: [call.outcome for call in scripted_upstream.calls[model]] == ["aborted", "sent"], 2)


def test_a_hedged_call_does_not_call_the_second_target_when_the_first_is_in_time(routing_gateway, scripted_upstream):
    model = scripted_upstream.add_model(sse_response(ROLE, text_chunk("a"), 0.6, text_chunk("b"), STOP, DONE))
    response = post_stream(routing_gateway, chat_request(f"hedged/{model}"))
    assert (response.text, response.done) == ("ab", True)
    assert len(scripted_upstream.calls[model]) == 1


def test_a_hedged_call_fails_when_both_targets_fail(routing_gateway, scripted_upstream):
    model = scripted_upstream.add_model([0.5, *SERVER_ERROR], SERVER_ERROR)
    response = post(routing_gateway, chat_request(f"hedged/{model}"))
    expect_error(response, 502)
    assert sorted(response.headers["x-gateway-attempts"].split(",")) == ["anthropic:500", "openai:500"]


def test_a_hedged_call_logs_a_refused_key_and_returns_the_other_response(routing_gateway, scripted_upstream):
    model = scripted_upstream.add_model(
        [0.5, *json_response({"error": {"message": "No."}}, 401)], [1.0, *json_response(anthropic_message("Well."))]
    )
    response = post(routing_gateway, chat_request(f"hedged/{model}"))
    assert "Well." in response.text
    assert response.headers["x-gateway-attempts"] == "openai:401,anthropic:200"
    request_id = response.headers["x-request-id"]
    assert any(request_id in line and '"credential_refused"' in line for line in routing_gateway.stdout().splitlines())


def test_a_client_disconnect_aborts_both_calls_of_a_hedge(routing_gateway, scripted_upstream):
    model = scripted_upstream.add_model([10.0, *json_response(completion())])
    with send_request(routing_gateway, chat_request(f"hedged/{model}")):
        assert wait_until(lambda: len(scripted_upstream.calls[model]) == 2, 3)
    assert wait_until(lambda: [call.outcome for call in scripted_upstream.calls[model]] == ["aborted"] * 2, 2)


def test_a_broken_stream_is_resumed_by_another_target(routing_gateway, scripted_upstream):
    model = scripted_upstream.add_model(
        sse_response(ROLE, text_chunk("The quick "), text_chunk("brown"), RESET),
        sse_response(ROLE, text_chunk(" fox"), STOP, USAGE, DONE),
    )
    response = post_stream(routing_gateway, chat_request(f"resumed/{model}", stream_options={"include_usage": True}))
    assert response.text == "The quick brown fox"
    assert response.done
    assert response.finish_reasons == ["stop"]
    assert len({chunk["id"] for chunk in response.chunks}) == 1
    assert response.chunks[-1]["gateway"]["attempts"] == "openai:200,openai:connection,groq:200"
    assert response.chunks[-1]["usage"]["estimated"] is True
    messages = scripted_upstream.calls[model][1].json["messages"]
    assert messages[1] == {"role": "assistant", "content": "The quick brown"}


def test_the_log_line_lists_each_attempt(routing_gateway, scripted_upstream):
    scripted_upstream.scripts["main"] = [SERVER_ERROR]
    response = post(routing_gateway, chat_request("main"))
    line = routing_gateway.request_log(response.headers["x-request-id"])
    assert [(attempt["target"], attempt["status"]) for attempt in line["attempts"]] == [
        ("openai/main", "500"),
        ("anthropic/spare", "200"),
    ]
    assert all(attempt["ms"] > 0 for attempt in line["attempts"])


def test_a_refused_upstream_key_is_logged_as_an_error_and_not_retried(routing_gateway, scripted_upstream):
    model = scripted_upstream.add_model(json_response({"error": {"message": "Incorrect API key."}}, 401))
    response = post(routing_gateway, chat_request(f"openai/{model}"))
    assert expect_error(response, 502)["code"] == "upstream_credentials"
    assert expect_error(post(routing_gateway, chat_request(f"openai/{model}")), 502)["code"] == "upstream_credentials"
    assert len(scripted_upstream.calls[model]) == 1
    lines = [line for line in routing_gateway.stdout().splitlines() if response.headers["x-request-id"] in line]
    assert any('"credential_refused"' in line and '"level":"error"' in line for line in lines)
