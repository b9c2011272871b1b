"""A model with `hedge_after`: client disconnects, pings, timeouts and resumed streams work as without it."""

import json
import socket

import pytest

from tests.support import servers
from tests.support.environment import KEY, provider_urls
from tests.support.http_client import chat_request, get, post_stream, send_request
from tests.support.scripted_upstream import DONE, RESET, ROLE, STOP, json_response, sse_response, text_chunk
from tests.support.servers import wait_until

COMMENT = b": beat\n\n"
ABORT_TIMEOUT = 2.0  # seconds; a script lasts many times as long


def repeated(step, *before):
    """Script a stream that repeats a step every 20 ms for 12 s."""
    return sse_response(*before, *([step, 0.02] * 600))


@pytest.fixture(scope="module")
def hedging_gateway(worker_class, folder, scripted_upstream):
    models = [
        {"model_name": name, "litellm_params": {"model": f"{vendor}/*"}}
        for name in ("late/*", "early/*")
        for vendor in ("openai", "groq")
    ]
    settings = {"late/*": {"hedge_after": 20}, "early/*": {"hedge_after": 0.3, "continue_on_break": True}}
    with servers.run_configured_gateway(
        folder / f"hedging-{worker_class}",
        json.dumps({"model_list": models, "router_settings": {"models": settings}}),
        **provider_urls(scripted_upstream.url),
        GATEWAY_WORKER_CLASS=worker_class,
        VALID_API_KEYS=KEY,
        FIRST_CONTENT_TIMEOUT="14",
        SILENCE_TIMEOUT="1",
    ) as server:
        yield server


@pytest.mark.parametrize("disconnect", ["close", "half-close"])
@pytest.mark.parametrize(
    "script",
    [repeated(COMMENT), repeated(COMMENT, ROLE, text_chunk("Hel")), repeated(text_chunk("word "), ROLE)],
    ids=["comments", "comments after content", "text"],
)
def test_a_client_disconnect_aborts_a_call_that_keeps_sending(hedging_gateway, scripted_upstream, script, disconnect):
    model = scripted_upstream.add_model(script)
    request_id = f"disconnect-{model}"
    with send_request(
        hedging_gateway, chat_request(f"late/{model}", stream=True), **{"X-Request-Id": request_id}
    ) as client:
        (call,) = wait_until(lambda: scripted_upstream.calls[model], 10)
        if disconnect == "half-close":
            client.shutdown(socket.SHUT_WR)
            assert wait_until(lambda: call.outcome, ABORT_TIMEOUT) == "aborted"
    assert wait_until(lambda: call.outcome, ABORT_TIMEOUT) == "aborted"
    assert hedging_gateway.request_log(request_id)["outcome"] == "client_disconnected"


def test_a_client_receives_pings_while_the_upstream_sends_only_comments(hedging_gateway, scripted_upstream):
    response = post_stream(
        hedging_gateway,
        chat_request(
            "late/"
            + scripted_upstream.add_model(
                [*repeated(COMMENT, ROLE)[:1100], *sse_response(text_chunk("!"), STOP, DONE)[1:]]
            )
        ),
    )
    assert response.timed_lines[0][0] < 18, "before the content, which arrives after 22 s"
    assert response.lines[0].startswith(b":")
    assert (response.text, response.done) == ("!", True)


def test_a_silence_after_the_first_content_times_out(hedging_gateway, scripted_upstream):
    response = post_stream(
        hedging_gateway,
        chat_request(
            "late/"
            + scripted_upstream.add_model(sse_response(ROLE, text_chunk("Hel"), 6.0, text_chunk("lo"), STOP, DONE))
        ),
    )
    assert (response.text, response.done) == ("Hel", False)
    assert "nothing more came" in response.error["message"]
    assert response.timed_lines[-1][0] < 5.5, "before the upstream resumes"


def test_the_hedged_target_that_was_cancelled_may_resume_a_broken_stream(hedging_gateway, scripted_upstream):
    model = scripted_upstream.add_model(
        [5.0, *json_response({})],
        sse_response(ROLE, text_chunk("The quick "), RESET),
        sse_response(ROLE, text_chunk("brown fox"), STOP, DONE),
    )
    response = post_stream(hedging_gateway, chat_request(f"early/{model}"))
    assert (response.text, response.done) == ("The quick brown fox", True)
    assert response.chunks[-1]["gateway"]["attempts"] == "openai:cancelled,groq:200,groq:connection,openai:200"


def test_no_call_is_in_flight_at_the_end(hedging_gateway):
    assert wait_until(lambda: get(hedging_gateway, "/health/ready").json()["calls"] == {"held": 0, "in_flight": 0}, 5)
