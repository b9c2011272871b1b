"""Failures of providers, as recorded and as injected by the replay server, seen by the official SDK and on the wire."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import openai
import pytest

from tests.support.http_client import chat_request, expect_error, post, post_stream, send_request
from tests.support.recordings import (
    PROVIDERS,
    SAMPLE_SIZE,
    SPECIAL_TAGS,
    create_completion,
    recorded_text,
    replayed_calls,
)
from tests.support.servers import wait_until


def test_an_error_event_before_the_first_content_is_an_http_status(replayed_gateway, recording_ids):
    name = recording_ids("anthropic", "error-in-stream", excluding=("usage-in-stream",))[0]
    error = expect_error(post(replayed_gateway, chat_request(f"anthropic/{name}", stream=True)), 503)
    assert error["code"] == "overloaded"
    assert "Overloaded" in error["message"]


MIRRORED_ERRORS = {"error-400": openai.BadRequestError, "error-404": openai.NotFoundError}


@pytest.fixture(scope="session")
def recorded_errors(recording_ids, recordings):
    return {
        (provider, tag): [(name, recordings[name]) for name in recording_ids(provider, tag)[:SAMPLE_SIZE]]
        for provider in PROVIDERS
        for tag in MIRRORED_ERRORS
    }


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("tag", MIRRORED_ERRORS)
def test_a_client_error_is_mirrored_with_the_message_of_the_vendor(
    replayed_client, recorded_errors, provider, tag, stream
):
    for name, recording in recorded_errors[provider, tag]:
        recorded = json.loads(recording["response"]["body"])["error"]
        with pytest.raises(MIRRORED_ERRORS[tag]) as raised:
            create_completion(replayed_client, f"{provider}/{name}", stream=stream)
        assert recorded["message"] in raised.value.message
        assert all(
            getattr(raised.value, member) == recorded[member] for member in ("param", "code") if member in recorded
        )
        assert raised.value.request_id


@pytest.mark.parametrize("stream", [False, True])
def test_a_refused_upstream_key_is_a_502(replayed_client, provider, recording_ids, stream):
    for name in recording_ids(provider, "error-401")[:SAMPLE_SIZE]:
        with pytest.raises(openai.InternalServerError) as raised:
            create_completion(replayed_client, f"{provider}/{name}", stream=stream)
        assert (raised.value.status_code, raised.value.code) == (502, "upstream_credentials")


@pytest.mark.parametrize("stream", [False, True])
def test_a_rate_limit_is_mirrored_with_its_retry_after(replayed_gateway, provider, recording_ids, recordings, stream):
    retry_after_values = {
        name: (recordings[name]["response"]["headers"] or {}).get("retry-after")
        for name in recording_ids(provider, "error-429")
    }
    name, retry_after = next((name, value) for name, value in retry_after_values.items() if value and float(value) > 5)
    response = post(replayed_gateway, chat_request(f"{provider}/{name}", stream=stream))
    error = expect_error(response, 429)
    assert error["code"] == "rate_limit_exceeded"
    assert response.headers["retry-after"] == str(retry_after)
    assert response.headers["retry-after-ms"] == f"{retry_after}000"
    assert response.headers["x-gateway-attempts"] == f"{provider}:429"


# (status, code, number of attempts)
FAILURES = {
    "status=500": (502, "upstream_error", 2),
    "status=502": (502, "upstream_error", 2),
    "status=503": (503, "overloaded", 2),
    "status=529": (503, "overloaded", 2),
    "status=504": (504, "upstream_timeout", 2),
    "status=403": (502, "upstream_error", 1),
    "status=402": (502, "upstream_error", 1),
    "status=422": (422, None, 1),
    "status=413": (413, None, 1),
    "refuse": (502, "upstream_error", 2),
}
FIRST_CALL_FAILURES = ("flaky=1:500", "flaky=1:503", "flaky=1:529")  # the second call succeeds


@pytest.fixture(scope="module")
def responses(replayed_gateway, recording_ids):
    """The response to each fault, by provider, fault and form. The calls run together, since retries wait for a second."""
    tags = {False: "nonstream", True: "stream"}
    with ThreadPoolExecutor(16) as pool:
        futures = {
            (provider, fault, stream): pool.submit(
                post,
                replayed_gateway,
                chat_request(
                    f"{provider}/{recording_ids(provider, tag, 'finish:stop', excluding=(*SPECIAL_TAGS, 'finish:tool'))[0]}+{fault}+run={replayed_gateway.port}",
                    stream=stream,
                ),
            )
            for provider in PROVIDERS
            for fault in (*FAILURES, *FIRST_CALL_FAILURES)
            for stream, tag in tags.items()
        }
        return {case: future.result() for case, future in futures.items()}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", FAILURES)
def test_each_failure_has_its_status_and_code(responses, provider, fault, stream):
    status, code, attempts = FAILURES[fault]
    response = responses[provider, fault, stream]
    error = expect_error(response, status)
    assert error["code"] == code
    assert len(response.headers["x-gateway-attempts"].split(",")) == attempts
    assert ("retry-after" in response.headers) == (status == 503)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", FIRST_CALL_FAILURES)
def test_a_failed_first_call_is_retried(responses, provider, fault, stream):
    response = responses[provider, fault, stream]
    assert response.status_code == 200
    assert response.headers["x-gateway-attempts"] == f"{provider}:{fault[-3:]},{provider}:200"


@pytest.mark.parametrize("position", [0.0, 0.3, 0.6, 0.95])
def test_a_truncated_stream_ends_with_an_error(replayed_gateway, provider, streamed_recording_id, recordings, position):
    text = recorded_text(recordings[streamed_recording_id])
    response = post_stream(replayed_gateway, chat_request(f"{provider}/{streamed_recording_id}+cut={position}"))
    if response.status == 200:
        assert response.error["code"] == "upstream_error"
        assert text.startswith(response.text)
        assert not response.done
        assert not response.finish_reasons or response.text == text
    else:
        assert response.status == 502
        assert position < 0.5


def test_the_sdk_raises_an_error_for_a_truncated_stream(replayed_client, provider, streamed_recording_id):
    with (
        create_completion(replayed_client, f"{provider}/{streamed_recording_id}+cut=0.6", stream=True) as chunks,
        pytest.raises(openai.APIError) as raised,
    ):
        list(chunks)
    assert raised.value.code == "upstream_error"


def test_a_truncated_plain_response_is_a_502(replayed_gateway, provider, plain_recording_id):
    error = expect_error(post(replayed_gateway, chat_request(f"{provider}/{plain_recording_id}+cut=0.5")), 502)
    assert error["code"] == "upstream_error"


def test_a_pause_in_a_stream_is_no_failure(replayed_gateway, provider, streamed_recording_id, recordings):
    response = post_stream(replayed_gateway, chat_request(f"{provider}/{streamed_recording_id}+stall=0.5:1"))
    assert response.text == recorded_text(recordings[streamed_recording_id])
    assert response.done


def test_small_tcp_segments_make_no_difference(replayed_gateway, provider, streamed_recording_id, plain_recording_id):
    whole = post_stream(replayed_gateway, chat_request(f"{provider}/{streamed_recording_id}"))
    fragmented = post_stream(replayed_gateway, chat_request(f"{provider}/{streamed_recording_id}+frag=3"))
    assert [choice for choice in fragmented.choices if any(choice["delta"].values())] == [
        choice for choice in whole.choices if any(choice["delta"].values())
    ]
    plain_choices, fragmented_choices = (
        post(replayed_gateway, chat_request(f"{provider}/{plain_recording_id}{fault}")).json()["choices"]
        for fault in ("", "+frag=3")
    )
    assert plain_choices == fragmented_choices


def test_the_second_target_responds_when_the_first_is_overloaded(replayed_gateway):
    response = post(replayed_gateway, chat_request("fallback"))
    assert response.status_code == 200
    assert response.headers["x-gateway-attempts"] == "openai:529,openai:529,anthropic:200"
    assert response.headers["x-gateway-provider"] == "anthropic"


@pytest.mark.parametrize("fault, stream", [("stall=0.5:60", True), ("wait=60", True), ("wait=60", False)])
def test_a_client_disconnect_aborts_the_upstream_call(
    replayed_gateway, replay_server, streamed_recording_id, fault, stream
):
    provider = streamed_recording_id.partition("-")[0]
    name = f"{streamed_recording_id}+{fault}+run={replayed_gateway.port}-{stream}"
    request_id = f"disconnect-{provider}-{fault}-{stream}".replace("=", "-").replace(":", "-")
    with closing(
        send_request(
            replayed_gateway, chat_request(f"{provider}/{name}", stream=stream), **{"X-Request-Id": request_id}
        )
    ) as client:
        if fault.startswith("stall"):
            assert client.recv(12) == b"HTTP/1.1 200"
        else:
            assert wait_until(lambda: replayed_calls(replay_server, name))
    (call,) = wait_until(lambda: [call for call in replayed_calls(replay_server, name) if call["end"]])
    assert call["end"] == "client-gone"
    assert call["seconds"] < 10
    line = replayed_gateway.request_log(request_id)
    assert (line["status"], line["outcome"]) == (499, "client_disconnected")
