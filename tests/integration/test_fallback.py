"""Two targets of one name: which failures move on to the next, and what the client is told."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.http_client import chat, error, post, stream
from tests.support.scripted_upstream import DONE, RESET, ROLE, STOP, completion, head, message, plain, streamed, text

SECOND = plain(message("Second."))
FAILED = {"error": {"message": "Not now.", "type": "x"}}


def pair(upstream, *scripts, **more):
    """A request of the name with two targets: first OpenAI's dialect, then Anthropic's."""
    return chat("pair/" + upstream.model(*scripts), **more)


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("status", [401, 402, 403, 500, 502, 504])
def test_what_another_target_could_cure_moves_on(gateway, upstream, status, streams):
    tries = 1 if status < 500 else 2
    answer = post(gateway, pair(upstream, *[plain(FAILED, status)] * tries, SECOND, stream=streams))
    assert answer.status_code == 200
    assert "Second." in answer.text
    assert answer.headers["x-gateway-attempts"] == ",".join([f"openai:{status}"] * tries + ["anthropic:200"])
    assert answer.headers["x-gateway-provider"] == "anthropic"


@pytest.mark.parametrize("streams", [False, True])
def test_a_limit_that_lasts_moves_on_at_once(gateway, upstream, streams):
    answer = post(gateway, pair(upstream, plain(FAILED, 429, retry_after=60), SECOND, stream=streams))
    assert answer.headers["x-gateway-attempts"] == "openai:429,anthropic:200"


def test_a_short_limit_is_waited_for(gateway, upstream):
    request = chat("openai/" + upstream.model(plain(FAILED, 429, retry_after=1), plain(completion())))
    answer = post(gateway, request)
    assert answer.headers["x-gateway-attempts"] == "openai:429,openai:200"
    assert answer.elapsed.total_seconds() >= 1


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_a_refusal_of_the_request_does_not_move_on(gateway, upstream, status, streams):
    request = pair(upstream, plain(FAILED, status), SECOND, stream=streams)
    answer = post(gateway, request)
    assert "Not now." in error(answer, status)["message"]
    assert answer.headers["x-gateway-attempts"] == f"openai:{status}"
    assert len(upstream.calls[request["model"].removeprefix("pair/")]) == 1


@pytest.mark.parametrize(
    "broken", [streamed(ROLE, RESET), streamed(ROLE), streamed(ROLE, FAILED), [RESET], streamed(b"data: {\n\n")]
)
def test_a_stream_that_breaks_before_its_content_moves_on(gateway, upstream, broken):
    heard = stream(gateway, pair(upstream, broken, broken, SECOND))
    assert heard.text == "Second."
    assert heard.done
    assert heard.headers["x-gateway-attempts"].endswith("anthropic:200")
    assert heard.choices[0]["delta"]["role"] == "assistant"
    assert len({one["id"] for one in heard.chunks}) == 1


def test_a_stream_that_breaks_after_its_content_does_not(gateway, upstream):
    request = pair(upstream, streamed(ROLE, text("Hel"), RESET), SECOND)
    heard = stream(gateway, request)
    assert heard.text == "Hel"
    assert heard.error["code"] == "upstream_error"
    assert len(upstream.calls[request["model"].removeprefix("pair/")]) == 1


def test_a_finish_reason_alone_is_content(gateway, upstream):
    heard = stream(gateway, pair(upstream, streamed(ROLE, STOP, DONE), SECOND))
    assert heard.finishes == ["stop"]
    assert heard.headers["x-gateway-provider"] == "openai"


@pytest.mark.parametrize("streams", [False, True])
def test_a_limit_of_every_target_is_a_429_with_the_least_time_to_wait(gateway, upstream, streams):
    limits = [plain(FAILED, 429, retry_after=wait) for wait in (70, 30)]
    answer = post(gateway, pair(upstream, *limits, stream=streams))
    said = error(answer, 429)
    assert said["code"] == "rate_limit_exceeded"
    assert answer.headers["retry-after"] == "30"
    assert answer.headers["x-gateway-attempts"] == "openai:429,anthropic:429"


def test_the_words_of_the_upstream_are_there_and_our_key_is_not(gateway, upstream):
    key = "sk-upstream-5ecre7-5ecre7"
    refusal = {"error": {"message": f"Bad request with {key}: fix it.", "type": "x"}}
    answer = post(gateway, chat("openai/" + upstream.model(plain(refusal, 400))))
    said = error(answer, 400)["message"]
    assert "Bad request with" in said
    assert "fix it." in said
    assert key not in answer.text


def test_our_key_is_masked_in_an_error_frame_too(gateway, upstream):
    failure = {"error": {"message": "Broke down with sk-upstream-5ecre7-5ecre7.", "type": "server_error"}}
    heard = stream(gateway, chat("openai/" + upstream.model(streamed(ROLE, text("Hel"), failure))))
    assert "Broke down with" in heard.error["message"]
    assert "5ecre7" not in heard.error["message"]


@pytest.mark.parametrize("streams", [False, True])
def test_what_was_dropped_is_in_a_header(gateway, upstream, streams):
    request = chat("anthropic/" + upstream.model(SECOND), seed=7, logit_bias={"5": 1}, stream=streams)
    answer = post(gateway, request)
    assert answer.status_code == 200
    dropped = answer.headers["x-gateway-dropped-params"].split(", ")
    assert "seed" in dropped
    assert any(path.startswith("logit_bias") for path in dropped)


@pytest.mark.parametrize("streams", [False, True])
def test_strict_refuses_what_would_be_dropped(gateway, upstream, streams):
    request = chat("anthropic/" + upstream.model(SECOND), seed=7, stream=streams)
    said = error(post(gateway, request, **{"x-gateway-strict": "true"}), 400)
    assert (said["code"], said["param"]) == ("unsupported_parameter", "seed")
    assert upstream.calls[request["model"].removeprefix("anthropic/")] == []


def test_strict_takes_the_target_that_can_be_told_all(gateway, upstream):
    request = pair(upstream, plain(completion()), seed=7)
    answer = post(gateway, request, **{"x-gateway-strict": "true"})
    assert answer.headers["x-gateway-provider"] == "openai"
    assert "x-gateway-dropped-params" not in answer.headers


def test_a_model_name_goes_upstream_to_the_letter(gateway, upstream):
    for name in ("a/b:c@d+e f", "żółć/🦜", "x" * 300, "..%2F/../"):
        upstream.scripts[name] = [plain(completion())]
        upstream.calls[name].clear()
        answer = post(gateway, chat(f"openai/{name}"))
        assert answer.status_code == 200, answer.text
        assert [call.json["model"] for call in upstream.calls[name]] == [name]


TRICKLE = [step for _ in range(100) for step in (b" ", 0.1)]
SLOW = {
    "silent": [10.0],
    "silent after its headers": [head(content_length=100), 10.0],
    "trickling": [head(content_length=1000), *TRICKLE],
    "trickling its headers": [b"HTTP/1.1 200 OK\r\nX: ", *(b"x" if step == b" " else step for step in TRICKLE)],
}


@pytest.fixture(scope="module")
def timeouts(gateway, upstream):
    """The answers of a target that may take a second, to slow upstreams; plain and streamed."""
    with ThreadPoolExecutor(len(SLOW) * 2) as pool:
        answers = {
            (name, streams): pool.submit(post, gateway, chat("impatient/" + upstream.model(script), stream=streams))
            for name, script in SLOW.items()
            for streams in (False, True)
        }
        return {asked: answer.result() for asked, answer in answers.items()}


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("name", SLOW)
def test_a_call_that_takes_too_long_is_a_504(timeouts, name, streams):
    answer = timeouts[name, streams]
    assert error(answer, 504)["code"] == "upstream_timeout"
    assert answer.elapsed.total_seconds() < 8


def test_a_stream_that_takes_too_long_ends_in_an_error_frame(gateway, upstream):
    heard = stream(gateway, chat("impatient/" + upstream.model(streamed(ROLE, text("Hel"), 10.0, text("lo"), STOP))))
    assert heard.text == "Hel"
    assert heard.error["code"] == "upstream_timeout"
    assert not heard.done
