"""Targets, attempts, and streams that must not lie."""

import pytest

from gateway.completions.completion import complete, embed
from gateway.errors import (
    ClientDisconnected,
    Untranslatable,
    UpstreamCredentials,
    UpstreamFailed,
    UpstreamLimited,
    UpstreamRejected,
    UpstreamTimeout,
)
from gateway.stream_events import PAUSE, Pause
from gateway.transport.client_watch import TOTAL, DeadlinePassed
from gateway.transport.failures import TransportFailure
from tests.support.fakes import COMPLETION, RESET, SECRET, USAGE, Answer, Room, call, chunk, plain, sse, target

BOTH = (target("groq"), target("openai"))


def chunks(room, asked):
    return [one for one in room.router.chunks(asked) if not isinstance(one, Pause)]


def text(told):
    return "".join(choice["delta"].get("content") or "" for one in told for choice in one["choices"])


class TestPlain:
    def test_the_first_target_answers(self):
        room, asked = Room(plain(COMPLETION)), call()
        assert complete(room.router, asked) == COMPLETION
        assert asked.trail() == {"attempts": "openai:200", "provider": "openai", "model": "gpt-x"}
        assert room.record_tokens == [("openai", 5)]

    def test_the_request_has_the_targets_url_key_and_model(self):
        room = Room(plain(COMPLETION))
        room.router.completion(call())
        asked = room.transport.asked[0]
        assert asked["url"] == "https://openai.example/chat/completions"
        assert asked["headers"]["Authorization"] == f"Bearer {SECRET}"
        assert asked["body"]["model"] == "gpt-x"

    @pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529, 401, 402, 403])
    def test_what_another_target_could_cure_moves_on(self, status):
        room, asked = Room(plain({"error": {"message": "no"}}, status), plain(COMPLETION)), call(*BOTH)
        assert room.router.completion(asked) == COMPLETION
        assert asked.trail()["attempts"] == f"groq:{status},openai:200"

    @pytest.mark.parametrize(
        "error, word",
        [
            (RESET, "connection"),
            (TransportFailure("x", "connect_timeout", UpstreamTimeout), "connect_timeout"),
            (DeadlinePassed(TOTAL), "timeout"),
            (TransportFailure("x", "tls"), "tls"),
        ],
    )
    def test_a_failed_connection_moves_on(self, error, word):
        room, asked = Room(error, plain(COMPLETION)), call(*BOTH)
        room.router.completion(asked)
        assert asked.trail()["attempts"] == f"groq:{word},openai:200"

    @pytest.mark.parametrize("status", [400, 404, 413, 422])
    def test_what_is_the_requests_fault_does_not(self, status):
        room = Room(plain({"error": {"message": "no", "param": "messages", "code": "bad"}}, status))
        with pytest.raises(UpstreamRejected) as raised:
            room.router.completion(call(*BOTH))
        error = raised.value
        assert (error.status, error.message, error.param, error.code) == (status, "no", "messages", "bad")

    def test_an_error_says_the_upstreams_words_but_never_our_key(self):
        room = Room(plain({"error": {"message": f"bad thing near {SECRET}."}}, 400))
        with pytest.raises(UpstreamRejected) as raised:
            room.router.completion(call())
        assert raised.value.message == "bad thing near ***."

    def test_a_refused_credential_is_ours_to_mend(self):
        with pytest.raises(UpstreamCredentials) as raised:
            Room(plain({"error": {"message": "Incorrect API key"}}, 401)).router.completion(call())
        assert (raised.value.status, raised.value.code) == (502, "upstream_credentials")

    def test_the_same_target_is_asked_again_after_a_wait(self):
        room = Room(plain({}, 503), plain({}, 500), plain(COMPLETION), attempts=3)
        assert room.router.completion(call()) == COMPLETION
        assert len(room.slept) == 2

    def test_a_retry_after_is_told_on(self):
        with pytest.raises(UpstreamLimited) as raised:
            Room(plain({"error": {"message": "slow"}}, 429, **{"retry-after": "17"})).router.completion(call())
        assert (raised.value.status, raised.value.retry_after) == (429, 17)

    @pytest.mark.parametrize("answer", [Answer(200, [b"<html>"]), plain([]), plain({}), Answer(200, [b""])])
    def test_nonsense_is_the_upstreams_failure(self, answer):
        with pytest.raises(UpstreamFailed) as raised:
            Room(answer).router.completion(call())
        assert raised.value.status == 502

    def test_a_target_over_its_own_limit_is_passed_over_unasked(self):
        def admit(target):
            if target.provider.name == "groq":
                raise UpstreamLimited("full", upstream_status="target_limit", retry_after=30)

        room, asked = Room(plain(COMPLETION), admit=admit), call(*BOTH)
        room.router.completion(asked)
        assert asked.trail()["attempts"] == "groq:target_limit,openai:200"
        assert len(room.transport.asked) == 1

    def test_what_is_dropped_is_told_and_in_strict_mode_refused(self):
        room, asked = Room(plain(COMPLETION)), call(target("groq"), logprobs=True)
        room.router.completion(asked)
        assert asked.trail()["dropped-params"] == "logprobs"
        with pytest.raises(Untranslatable) as raised:
            Room().router.completion(call(target("groq"), strict=True, logprobs=True))
        assert (raised.value.status, raised.value.param, raised.value.code) == (
            400,
            "logprobs",
            "unsupported_parameter",
        )

    def test_in_strict_mode_a_target_that_can_take_it_is_found(self):
        room, asked = Room(plain(COMPLETION)), call(*BOTH, strict=True, logprobs=True)
        room.router.completion(asked)
        assert asked.trail()["provider"] == "openai"

    def test_an_answer_is_closed_whatever_comes_of_it(self):
        room = Room(plain({}, 500), plain(COMPLETION))
        room.router.completion(call(*BOTH))
        assert [answer.closed for answer in room.transport.given] == [True, True]

    def test_a_client_that_left_is_no_reason_to_ask_another(self):
        with pytest.raises(ClientDisconnected):
            Room(Answer(200, [ClientDisconnected("left")], {"content-type": "application/json"})).router.completion(
                call(*BOTH)
            )

    def test_a_targets_own_timeout_bounds_its_call(self):
        room = Room(plain(COMPLETION))
        asked = call(target(timeout=5))
        room.router.completion(asked)
        assert asked.watch.deadline < float("inf")


class TestStream:
    def test_chunks_come_as_they_are_with_usage_last(self):
        room, asked = Room(sse(chunk("a", role="assistant"), chunk("b"), chunk(finish="stop"), USAGE, "[DONE]")), call()
        told = chunks(room, asked)
        assert text(told) == "ab"
        assert told[-1]["usage"] == USAGE["usage"]
        assert asked.trail()["attempts"] == "openai:200"

    def test_once_every_choice_has_ended_the_answer_is_whole_whatever_the_connection_does(self):
        room = Room(sse(chunk("a", role="assistant"), chunk(finish="stop"), RESET))
        told = chunks(room, call())
        assert text(told) == "a"
        assert told[-1]["choices"][0]["finish_reason"] == "stop"
        both = Room(sse(chunk("a"), chunk("b", index=1), chunk(finish="stop"), RESET))
        with pytest.raises(UpstreamFailed):
            chunks(both, call())

    def test_nothing_is_told_before_the_first_content(self):
        room, asked = Room(sse(chunk("", role="assistant"), PAUSE, chunk("a"), chunk(finish="stop"), "[DONE]")), call()
        stream, early = room.router.chunks(asked), []
        for one in stream:
            if not isinstance(one, Pause):
                break
            early.append(one)
        assert early
        assert one["choices"][0]["delta"]["role"] == "assistant"

    @pytest.mark.parametrize(
        "failing",
        [
            plain({"error": {"message": "no"}}, 500),
            sse(chunk("", role="assistant")),
            sse(chunk("", role="assistant"), RESET),
            sse({"error": {"message": "overloaded"}}),
            sse(),
            plain({"error": {"message": "no", "code": 429}}),
        ],
        ids=["status", "ends", "reset", "error event", "empty", "error under a 200"],
    )
    def test_a_failure_before_the_first_content_moves_on(self, failing):
        room, asked = Room(failing, sse(chunk("a"), chunk(finish="stop"), "[DONE]")), call(*BOTH)
        told = chunks(room, asked)
        assert text(told) == "a"
        assert asked.trail()["provider"] == "openai"
        assert room.transport.given[0].closed

    @pytest.mark.parametrize(
        "breaking, kind",
        [
            (sse(chunk("a")), UpstreamFailed),
            (sse(chunk("a"), "[DONE]"), UpstreamFailed),
            (sse(chunk("a"), RESET), UpstreamFailed),
            (sse(chunk("a"), DeadlinePassed(TOTAL)), UpstreamTimeout),
            (sse(chunk("a"), {"error": {"message": "over", "code": 529}}), UpstreamFailed),
            (sse(chunk("a"), "{nonsense"), UpstreamFailed),
            (sse(chunk("a"), chunk("b", index=1), chunk(finish="stop")), UpstreamFailed),
        ],
        ids=["eof", "done", "reset", "timeout", "error event", "nonsense", "one choice open"],
    )
    def test_a_stream_that_breaks_after_content_is_an_error_and_nobody_else_is_asked(self, breaking, kind):
        room, told = Room(breaking), []
        with pytest.raises(kind):
            told.extend(one for one in room.router.chunks(call(*BOTH)))
        assert text(one for one in told if not isinstance(one, Pause)).startswith("a")
        assert room.transport.given[0].closed

    def test_a_stream_with_a_finish_reason_and_no_done_is_whole(self):
        assert text(chunks(Room(sse(chunk("a"), chunk(finish="stop"))), call())) == "a"

    def test_an_upstream_that_does_not_stream_is_streamed(self):
        told = chunks(Room(plain(COMPLETION)), call())
        assert text(told) == "Hi"
        assert told[0]["choices"][0]["finish_reason"] == "stop"
        assert told[-1]["usage"] == COMPLETION["usage"]

    def test_a_wait_for_the_head_is_a_pause(self):
        answer = sse(chunk("a"), chunk(finish="stop"))
        answer._waits = 2
        assert [isinstance(one, Pause) for one in Room(answer).router.chunks(call())][:2] == [True, True]

    def test_leaving_it_unread_closes_the_upstream_with_the_call(self):
        room, asked = Room(sse(chunk("a"), chunk(finish="stop"))), call()
        next(room.router.chunks(asked))
        asked.close()
        assert room.transport.given[0].closed


class TestEmbeddings:
    def test_they_pass_through(self):
        data = {"object": "list", "data": [], "model": "e", "usage": {"prompt_tokens": 3, "total_tokens": 3}, "odd": 1}
        room, asked = Room(plain(data)), call()
        assert embed(room.router, asked) == data
        assert room.transport.asked[0]["url"].endswith("/embeddings")
        assert room.record_tokens == [("openai", 3)]

    def test_a_provider_without_them_is_passed_over(self):
        room, asked = Room(plain({"data": []})), call(target("anthropic"), target("openai"))
        room.router.embeddings(asked)
        assert asked.trail()["provider"] == "openai"
        with pytest.raises(Untranslatable):
            Room().router.embeddings(call(target("anthropic")))


class TestNonsense:
    @pytest.mark.parametrize(
        "said", [{"choices": ["x"]}, {"choices": 7}, {"choices": [{"delta": {"tool_calls": ["x"]}}]}]
    )
    def test_json_of_a_wrong_shape_is_the_upstreams_failure_plain_and_streamed(self, said):
        with pytest.raises(UpstreamFailed) as raised:
            chunks(Room(sse(said)), call())
        assert raised.value.status == 502
        wrong = {**COMPLETION, "choices": [{"message": {"tool_calls": ["x"]}}]}
        with pytest.raises(UpstreamFailed):
            Room(plain(wrong)).router.completion(call())
