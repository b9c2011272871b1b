"""The official SDK in front of providers that fail, as recorded and by the replay server's faults."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import openai
import pytest

from tests.support.http_client import chat, error, opened, post, stream
from tests.support.recordings import ODD, PROVIDERS, SEVERAL, ask, log_of, told
from tests.support.servers import eventually


def test_an_error_within_a_stream_before_its_content_is_a_status(replayed, pick):
    name = pick("anthropic", "error-in-stream", but=("usage-in-stream",))[0]
    said = error(post(replayed, chat(f"anthropic/{name}", stream=True)), 503)
    assert said["code"] == "overloaded"
    assert "Overloaded" in said["message"]


MIRRORED = {"error-400": openai.BadRequestError, "error-404": openai.NotFoundError}


@pytest.fixture(scope="session")
def refusals(pick, recordings):
    return {
        (provider, tag): [(name, recordings[name]) for name in pick(provider, tag)[:SEVERAL]]
        for provider in PROVIDERS
        for tag in MIRRORED
    }


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("tag", MIRRORED)
def test_a_refusal_is_mirrored_with_the_words_of_the_vendor(to_replayed, refusals, provider, tag, streams):
    for name, recording in refusals[provider, tag]:
        recorded = json.loads(recording["response"]["body"])["error"]
        with pytest.raises(MIRRORED[tag]) as raised:
            ask(to_replayed, f"{provider}/{name}", stream=streams)
        assert recorded["message"] in raised.value.message
        assert all(
            getattr(raised.value, member) == recorded[member] for member in ("param", "code") if member in recorded
        )
        assert raised.value.request_id


@pytest.mark.parametrize("streams", [False, True])
def test_a_refusal_of_our_key_is_ours_to_mend(to_replayed, provider, pick, streams):
    for name in pick(provider, "error-401")[:SEVERAL]:
        with pytest.raises(openai.InternalServerError) as raised:
            ask(to_replayed, f"{provider}/{name}", stream=streams)
        assert (raised.value.status_code, raised.value.code) == (502, "upstream_credentials")


@pytest.mark.parametrize("streams", [False, True])
def test_a_limit_is_mirrored_with_the_time_to_wait(replayed, provider, pick, recordings, streams):
    waits = {
        name: (recordings[name]["response"]["headers"] or {}).get("retry-after") for name in pick(provider, "error-429")
    }
    name, wait = next((name, wait) for name, wait in waits.items() if wait and float(wait) > 5)
    answer = post(replayed, chat(f"{provider}/{name}", stream=streams))
    said = error(answer, 429)
    assert said["code"] == "rate_limit_exceeded"
    assert answer.headers["retry-after"] == str(wait)
    assert answer.headers["retry-after-ms"] == f"{wait}000"
    assert answer.headers["x-gateway-attempts"] == f"{provider}:429"


FAILURES = {
    "status=500": (502, "upstream_error"),
    "status=502": (502, "upstream_error"),
    "status=503": (503, "overloaded"),
    "status=529": (503, "overloaded"),
    "status=504": (504, "upstream_timeout"),
    "status=403": (502, "upstream_credentials"),
    "status=402": (502, "upstream_credentials"),
    "status=422": (422, None),
    "status=413": (413, None),
    "refuse": (502, "upstream_error"),
}
CURED = ("flaky=1:500", "flaky=1:503", "flaky=1:529")
"""Faults after which the second call is answered."""


@pytest.fixture(scope="module")
def failures(replayed, pick):
    """The answer to each fault, plain and streamed; asked for at once, since some are tried again after a second."""
    kinds = {False: "nonstream", True: "stream"}
    with ThreadPoolExecutor(16) as pool:
        answers = {
            (provider, fault, streams): pool.submit(
                post,
                replayed,
                chat(
                    f"{provider}/{pick(provider, kind, 'finish:stop', but=(*ODD, 'finish:tool'))[0]}+{fault}+run={replayed.port}",
                    stream=streams,
                ),
            )
            for provider in PROVIDERS
            for fault in (*FAILURES, *CURED)
            for streams, kind in kinds.items()
        }
        return {asked: answer.result() for asked, answer in answers.items()}


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("fault", FAILURES)
def test_each_failure_has_its_status(failures, provider, fault, streams):
    status, code = FAILURES[fault]
    answer = failures[provider, fault, streams]
    said = error(answer, status)
    assert said["code"] == code
    tried = 1 if status in (422, 413) or code == "upstream_credentials" else 2
    assert len(answer.headers["x-gateway-attempts"].split(",")) == tried
    assert ("retry-after" in answer.headers) == (status == 503)


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("fault", CURED)
def test_a_flaky_upstream_is_asked_again(failures, provider, fault, streams):
    answer = failures[provider, fault, streams]
    assert answer.status_code == 200
    assert answer.headers["x-gateway-attempts"] == f"{provider}:{fault[-3:]},{provider}:200"


@pytest.mark.parametrize("at", [0.0, 0.3, 0.6, 0.95])
def test_a_stream_that_is_cut_is_honest_about_it(replayed, provider, streamed_text, recordings, at):
    whole = told(recordings[streamed_text])
    heard = stream(replayed, chat(f"{provider}/{streamed_text}+cut={at}"))
    if heard.status == 200:
        assert heard.error["code"] == "upstream_error"
        assert whole.startswith(heard.text)
        assert not heard.done
        assert not heard.finishes or heard.text == whole
    else:
        assert heard.status == 502
        assert at < 0.5


def test_the_sdk_raises_on_a_cut_stream(to_replayed, provider, streamed_text):
    with (
        ask(to_replayed, f"{provider}/{streamed_text}+cut=0.6", stream=True) as chunks,
        pytest.raises(openai.APIError) as raised,
    ):
        list(chunks)
    assert raised.value.code == "upstream_error"


def test_a_plain_answer_that_is_cut_is_a_502(replayed, provider, plain_text):
    said = error(post(replayed, chat(f"{provider}/{plain_text}+cut=0.5")), 502)
    assert said["code"] == "upstream_error"


def test_a_stall_is_no_failure(replayed, provider, streamed_text, recordings):
    heard = stream(replayed, chat(f"{provider}/{streamed_text}+stall=0.5:1"))
    assert heard.text == told(recordings[streamed_text])
    assert heard.done


def test_fragments_make_no_difference(replayed, provider, streamed_text, plain_text):
    whole = stream(replayed, chat(f"{provider}/{streamed_text}"))
    fragments = stream(replayed, chat(f"{provider}/{streamed_text}+frag=3"))
    assert [choice for choice in fragments.choices if any(choice["delta"].values())] == [
        choice for choice in whole.choices if any(choice["delta"].values())
    ]
    told_whole, told_in_fragments = (
        post(replayed, chat(f"{provider}/{plain_text}{fault}")).json()["choices"] for fault in ("", "+frag=3")
    )
    assert told_whole == told_in_fragments


def test_the_next_target_answers_where_the_first_is_overloaded(replayed):
    answer = post(replayed, chat("fallback"))
    assert answer.status_code == 200
    assert answer.headers["x-gateway-attempts"] == "openai:529,openai:529,anthropic:200"
    assert answer.headers["x-gateway-provider"] == "anthropic"


@pytest.mark.parametrize("fault, streams", [("stall=0.5:60", True), ("wait=60", True), ("wait=60", False)])
def test_an_upstream_sees_the_client_leave(replayed, replay, streamed_text, fault, streams):
    provider = streamed_text.partition("-")[0]
    name = f"{streamed_text}+{fault}+run={replayed.port}-{streams}"
    ident = f"gone-{provider}-{fault}-{streams}".replace("=", "-").replace(":", "-")
    with closing(opened(replayed, chat(f"{provider}/{name}", stream=streams), **{"X-Request-Id": ident})) as client:
        if fault.startswith("stall"):
            assert client.recv(12) == b"HTTP/1.1 200"
        else:
            assert eventually(lambda: log_of(replay, name))
    (call,) = eventually(lambda: [call for call in log_of(replay, name) if call["end"]])
    assert call["end"] == "client-gone"
    assert call["seconds"] < 10
    line = replayed.log(ident)
    assert (line["status"], line["outcome"]) == (499, "client_disconnected")
