"""Two targets of one name: which failures cause a fallback, and what the client receives."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.http_client import chat_request, expect_error, post, post_stream
from tests.support.scripted_upstream import (
    DONE,
    RESET,
    ROLE,
    STOP,
    anthropic_message,
    completion,
    json_response,
    response_head,
    sse_response,
    text_chunk,
)

FALLBACK_RESPONSE = json_response(anthropic_message("Second."))
ERROR_BODY = {"error": {"message": "Not now.", "type": "x"}}


def pair_request(scripted_upstream, *scripts, **fields):
    """Request a name with two targets: the first in OpenAI's dialect, the second in Anthropic's."""
    return chat_request("pair/" + scripted_upstream.add_model(*scripts), **fields)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [401, 402, 403, 500, 502, 504])
def test_a_failure_that_another_target_may_not_have_causes_a_fallback(gateway, scripted_upstream, status, stream):
    calls = 1 if status < 500 else 2
    response = post(
        gateway,
        pair_request(scripted_upstream, *[json_response(ERROR_BODY, status)] * calls, FALLBACK_RESPONSE, stream=stream),
    )
    assert response.status_code == 200
    assert "Second." in response.text
    assert response.headers["x-gateway-attempts"] == ",".join([f"openai:{status}"] * calls + ["anthropic:200"])
    assert response.headers["x-gateway-provider"] == "anthropic"


@pytest.mark.parametrize("stream", [False, True])
def test_a_long_rate_limit_causes_a_fallback_without_a_retry(gateway, scripted_upstream, stream):
    response = post(
        gateway,
        pair_request(
            scripted_upstream, json_response(ERROR_BODY, 429, retry_after=60), FALLBACK_RESPONSE, stream=stream
        ),
    )
    assert response.headers["x-gateway-attempts"] == "openai:429,anthropic:200"


def test_the_gateway_waits_for_the_end_of_a_short_rate_limit(gateway, scripted_upstream):
    request = chat_request(
        "openai/"
        + scripted_upstream.add_model(json_response(ERROR_BODY, 429, retry_after=1), json_response(completion()))
    )
    response = post(gateway, request)
    assert response.headers["x-gateway-attempts"] == "openai:429,openai:200"
    assert response.elapsed.total_seconds() >= 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_a_rejected_request_causes_no_fallback(gateway, scripted_upstream, status, stream):
    request = pair_request(scripted_upstream, json_response(ERROR_BODY, status), FALLBACK_RESPONSE, stream=stream)
    response = post(gateway, request)
    assert "Not now." in expect_error(response, status)["message"]
    assert response.headers["x-gateway-attempts"] == f"openai:{status}"
    assert len(scripted_upstream.calls[request["model"].removeprefix("pair/")]) == 1


@pytest.mark.parametrize(
    "script",
    [
        sse_response(ROLE, RESET),
        sse_response(ROLE),
        sse_response(ROLE, ERROR_BODY),
        [RESET],
        sse_response(b"data: {\n\n"),
    ],
)
def test_a_stream_that_breaks_before_its_content_causes_a_fallback(gateway, scripted_upstream, script):
    response = post_stream(gateway, pair_request(scripted_upstream, script, script, FALLBACK_RESPONSE))
    assert response.text == "Second."
    assert response.done
    assert response.headers["x-gateway-attempts"].endswith("anthropic:200")
    assert response.choices[0]["delta"]["role"] == "assistant"
    assert len({chunk["id"] for chunk in response.chunks}) == 1


def test_a_stream_that_breaks_after_its_content_causes_no_fallback(gateway, scripted_upstream):
    request = pair_request(scripted_upstream, sse_response(ROLE, text_chunk("Hel"), RESET), FALLBACK_RESPONSE)
    response = post_stream(gateway, request)
    assert response.text == "Hel"
    assert response.error["code"] == "upstream_error"
    assert len(scripted_upstream.calls[request["model"].removeprefix("pair/")]) == 1


def test_a_finish_reason_without_text_counts_as_content(gateway, scripted_upstream):
    response = post_stream(gateway, pair_request(scripted_upstream, sse_response(ROLE, STOP, DONE), FALLBACK_RESPONSE))
    assert response.finish_reasons == ["stop"]
    assert response.headers["x-gateway-provider"] == "openai"


@pytest.mark.parametrize("stream", [False, True])
def test_a_rate_limit_of_every_target_is_a_429_with_the_shortest_retry_after(gateway, scripted_upstream, stream):
    scripts = [json_response(ERROR_BODY, 429, retry_after=seconds) for seconds in (70, 30)]
    response = post(gateway, pair_request(scripted_upstream, *scripts, stream=stream))
    error = expect_error(response, 429)
    assert error["code"] == "rate_limit_exceeded"
    assert response.headers["retry-after"] == "30"
    assert response.headers["x-gateway-attempts"] == "openai:429,anthropic:429"


def test_an_error_has_the_message_of_the_upstream_without_the_gateways_key(gateway, scripted_upstream):
    key = "sk-upstream-5ecre7-5ecre7"
    rejection = {"error": {"message": f"Bad request with {key}: fix it.", "type": "x"}}
    response = post(gateway, chat_request("openai/" + scripted_upstream.add_model(json_response(rejection, 400))))
    message = expect_error(response, 400)["message"]
    assert "Bad request with" in message
    assert "fix it." in message
    assert key not in response.text


def test_an_error_frame_masks_the_gateways_key(gateway, scripted_upstream):
    failure = {"error": {"message": "Broke down with sk-upstream-5ecre7-5ecre7.", "type": "server_error"}}
    response = post_stream(
        gateway, chat_request("openai/" + scripted_upstream.add_model(sse_response(ROLE, text_chunk("Hel"), failure)))
    )
    assert "Broke down with" in response.error["message"]
    assert "5ecre7" not in response.error["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_header_names_the_dropped_fields(gateway, scripted_upstream, stream):
    request = chat_request(
        "anthropic/" + scripted_upstream.add_model(FALLBACK_RESPONSE), seed=7, logit_bias={"5": 1}, stream=stream
    )
    response = post(gateway, request)
    assert response.status_code == 200
    dropped = response.headers["x-gateway-dropped-params"].split(", ")
    assert "seed" in dropped
    assert any(path.startswith("logit_bias") for path in dropped)


@pytest.mark.parametrize("stream", [False, True])
def test_strict_mode_rejects_a_request_with_fields_that_would_be_dropped(gateway, scripted_upstream, stream):
    request = chat_request("anthropic/" + scripted_upstream.add_model(FALLBACK_RESPONSE), seed=7, stream=stream)
    error = expect_error(post(gateway, request, **{"x-gateway-strict": "true"}), 400)
    assert (error["code"], error["param"]) == ("unsupported_parameter", "seed")
    assert scripted_upstream.calls[request["model"].removeprefix("anthropic/")] == []


def test_strict_mode_selects_the_target_that_supports_all_fields(gateway, scripted_upstream):
    request = pair_request(scripted_upstream, json_response(completion()), seed=7)
    response = post(gateway, request, **{"x-gateway-strict": "true"})
    assert response.headers["x-gateway-provider"] == "openai"
    assert "x-gateway-dropped-params" not in response.headers


def test_a_model_name_reaches_the_upstream_unchanged(gateway, scripted_upstream):
    for name in ("a/b:c@d+e f", "żółć/🦜", "x" * 300, "..%2F/../"):
        scripted_upstream.scripts[name] = [json_response(completion())]
        scripted_upstream.calls[name].clear()
        response = post(gateway, chat_request(f"openai/{name}"))
        assert response.status_code == 200, response.text
        assert [call.json["model"] for call in scripted_upstream.calls[name]] == [name]


SLOW_BYTES = [step for _ in range(100) for step in (b" ", 0.1)]
SLOW_SCRIPTS = {
    "silent": [10.0],
    "silent after the headers": [response_head(content_length=100), 10.0],
    "slow body": [response_head(content_length=1000), *SLOW_BYTES],
    "slow headers": [b"HTTP/1.1 200 OK\r\nX: ", *(b"x" if step == b" " else step for step in SLOW_BYTES)],
}


@pytest.fixture(scope="module")
def slow_responses(gateway, scripted_upstream):
    """The responses of slow upstreams behind a target with a timeout of 1 s, by script and form."""
    with ThreadPoolExecutor(len(SLOW_SCRIPTS) * 2) as pool:
        futures = {
            (name, stream): pool.submit(
                post, gateway, chat_request("short-timeout/" + scripted_upstream.add_model(script), stream=stream)
            )
            for name, script in SLOW_SCRIPTS.items()
            for stream in (False, True)
        }
        return {case: future.result() for case, future in futures.items()}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", SLOW_SCRIPTS)
def test_a_call_that_exceeds_its_timeout_is_a_504(slow_responses, name, stream):
    response = slow_responses[name, stream]
    assert expect_error(response, 504)["code"] == "upstream_timeout"
    assert response.elapsed.total_seconds() < 8


def test_a_stream_that_exceeds_its_timeout_ends_with_an_error_frame(gateway, scripted_upstream):
    response = post_stream(
        gateway,
        chat_request(
            "short-timeout/"
            + scripted_upstream.add_model(sse_response(ROLE, text_chunk("Hel"), 10.0, text_chunk("lo"), STOP))
        ),
    )
    assert response.text == "Hel"
    assert response.error["code"] == "upstream_timeout"
    assert not response.done
