"""The router over a fake transport: targets, attempts, and streams that report how they ended."""

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
from gateway.transport.failures import TransportFailure
from gateway.transport.upstream_wait import TOTAL, DeadlinePassed
from tests.support.fakes import (
    COMPLETION,
    RESET,
    SECRET,
    USAGE,
    FakeExchange,
    FakeUpstreams,
    call,
    chunk,
    plain,
    sse,
    target,
)

BOTH = (target("groq"), target("openai"))


def chunks(upstreams, client_call):
    return [item for item in upstreams.router.chunks(client_call) if not isinstance(item, Pause)]


def text(received):
    return "".join(choice["delta"].get("content") or "" for item in received for choice in item["choices"])


class TestPlain:
    def test_the_first_target_that_works_answers(self):
        upstreams, client_call = FakeUpstreams(plain(COMPLETION)), call()
        assert complete(upstreams.router, client_call) == COMPLETION
        assert client_call.trail() == {"attempts": "openai:200", "provider": "openai", "model": "gpt-x"}
        assert upstreams.tokens == [("openai", 5)]

    def test_the_upstream_request_has_the_targets_url_key_and_model(self):
        upstreams = FakeUpstreams(plain(COMPLETION))
        upstreams.router.completion(call())
        client_call = upstreams.transport.requests[0]
        assert client_call["url"] == "https://openai.example/chat/completions"
        assert client_call["headers"]["Authorization"] == f"Bearer {SECRET}"
        assert client_call["body"]["model"] == "gpt-x"

    @pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529, 401, 402, 403])
    def test_a_failure_of_the_upstream_leads_to_the_next_target(self, status):
        upstreams, client_call = (
            FakeUpstreams(plain({"error": {"message": "no"}}, status), plain(COMPLETION)),
            call(*BOTH),
        )
        assert upstreams.router.completion(client_call) == COMPLETION
        assert client_call.trail()["attempts"] == f"groq:{status},openai:200"

    @pytest.mark.parametrize(
        "error, word",
        [
            (RESET, "connection"),
            (TransportFailure("x", "connect_timeout", UpstreamTimeout), "connect_timeout"),
            (DeadlinePassed(TOTAL), "timeout"),
            (TransportFailure("x", "tls"), "tls"),
        ],
    )
    def test_a_failed_connection_leads_to_the_next_target(self, error, word):
        upstreams, client_call = FakeUpstreams(error, plain(COMPLETION)), call(*BOTH)
        upstreams.router.completion(client_call)
        assert client_call.trail()["attempts"] == f"groq:{word},openai:200"

    @pytest.mark.parametrize("status", [400, 404, 413, 422])
    def test_a_rejected_request_is_not_sent_to_the_next_target(self, status):
        upstreams = FakeUpstreams(plain({"error": {"message": "no", "param": "messages", "code": "bad"}}, status))
        with pytest.raises(UpstreamRejected) as raised:
            upstreams.router.completion(call(*BOTH))
        error = raised.value
        assert (error.status, error.message, error.param, error.code) == (status, "no", "messages", "bad")

    def test_an_upstreams_error_message_is_mirrored_without_our_key(self):
        upstreams = FakeUpstreams(plain({"error": {"message": f"bad thing near {SECRET}."}}, 400))
        with pytest.raises(UpstreamRejected) as raised:
            upstreams.router.completion(call())
        assert raised.value.message == "bad thing near ***."

    def test_a_refused_credential_is_a_502_with_its_own_code(self):
        with pytest.raises(UpstreamCredentials) as raised:
            FakeUpstreams(plain({"error": {"message": "Incorrect API key"}}, 401)).router.completion(call())
        assert (raised.value.status, raised.value.code) == (502, "upstream_credentials")

    def test_the_same_target_is_retried_after_a_wait(self):
        upstreams = FakeUpstreams(plain({}, 503), plain({}, 500), plain(COMPLETION), attempts=3)
        assert upstreams.router.completion(call()) == COMPLETION
        assert len(upstreams.waits) == 2

    def test_the_upstreams_retry_after_reaches_the_client(self):
        with pytest.raises(UpstreamLimited) as raised:
            FakeUpstreams(plain({"error": {"message": "slow"}}, 429, **{"retry-after": "17"})).router.completion(call())
        assert (raised.value.status, raised.value.retry_after) == (429, 17)

    @pytest.mark.parametrize(
        "exchange", [FakeExchange(200, [b"<html>"]), plain([]), plain({}), FakeExchange(200, [b""])]
    )
    def test_an_invalid_response_is_the_upstreams_failure(self, exchange):
        with pytest.raises(UpstreamFailed) as raised:
            FakeUpstreams(exchange).router.completion(call())
        assert raised.value.status == 502

    def test_a_target_over_its_own_limit_is_passed_over_without_a_call(self):
        def admit(target):
            if target.provider.name == "groq":
                raise UpstreamLimited("full", upstream_status="target_limit", retry_after=30)

        upstreams, client_call = FakeUpstreams(plain(COMPLETION), admit=admit), call(*BOTH)
        upstreams.router.completion(client_call)
        assert client_call.trail()["attempts"] == "groq:target_limit,openai:200"
        assert len(upstreams.transport.requests) == 1

    def test_dropped_fields_are_reported_and_in_strict_mode_refused(self):
        upstreams, client_call = FakeUpstreams(plain(COMPLETION)), call(target("groq"), logprobs=True)
        upstreams.router.completion(client_call)
        assert client_call.trail()["dropped-params"] == "logprobs"
        with pytest.raises(Untranslatable) as raised:
            FakeUpstreams().router.completion(call(target("groq"), strict=True, logprobs=True))
        assert (raised.value.status, raised.value.param, raised.value.code) == (
            400,
            "logprobs",
            "unsupported_parameter",
        )

    def test_in_strict_mode_a_target_that_supports_the_field_answers(self):
        upstreams, client_call = FakeUpstreams(plain(COMPLETION)), call(*BOTH, strict=True, logprobs=True)
        upstreams.router.completion(client_call)
        assert client_call.trail()["provider"] == "openai"

    def test_every_exchange_is_closed(self):
        upstreams = FakeUpstreams(plain({}, 500), plain(COMPLETION))
        upstreams.router.completion(call(*BOTH))
        assert [exchange.closed for exchange in upstreams.transport.opened] == [True, True]

    def test_after_a_client_disconnect_no_other_target_is_called(self):
        with pytest.raises(ClientDisconnected):
            FakeUpstreams(
                FakeExchange(200, [ClientDisconnected("left")], {"content-type": "application/json"})
            ).router.completion(call(*BOTH))

    def test_a_targets_own_timeout_bounds_its_attempt(self):
        upstreams = FakeUpstreams(plain(COMPLETION))
        client_call = call(target(timeout=5))
        upstreams.router.completion(client_call)
        assert upstreams.transport.requests[0]["wait"].deadline < float("inf")


class TestStream:
    def test_chunks_pass_through_with_usage_last(self):
        upstreams, client_call = (
            FakeUpstreams(sse(chunk("a", role="assistant"), chunk("b"), chunk(finish="stop"), USAGE, "[DONE]")),
            call(),
        )
        received = chunks(upstreams, client_call)
        assert text(received) == "ab"
        assert received[-1]["usage"] == USAGE["usage"]
        assert client_call.trail()["attempts"] == "openai:200"

    def test_once_every_choice_has_finished_a_broken_connection_does_not_fail_the_stream(self):
        upstreams = FakeUpstreams(sse(chunk("a", role="assistant"), chunk(finish="stop"), RESET))
        received = chunks(upstreams, call())
        assert text(received) == "a"
        assert received[-1]["choices"][0]["finish_reason"] == "stop"
        both = FakeUpstreams(sse(chunk("a"), chunk("b", index=1), chunk(finish="stop"), RESET))
        with pytest.raises(UpstreamFailed):
            chunks(both, call())

    def test_chunks_without_content_are_held_until_the_first_content(self):
        upstreams, client_call = (
            FakeUpstreams(sse(chunk("", role="assistant"), PAUSE, chunk("a"), chunk(finish="stop"), "[DONE]")),
            call(),
        )
        stream, early = upstreams.router.chunks(client_call), []
        for item in stream:
            if not isinstance(item, Pause):
                break
            early.append(item)
        assert early
        assert item["choices"][0]["delta"]["role"] == "assistant"

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
    def test_a_failure_before_the_first_content_leads_to_the_next_target(self, failing):
        upstreams, client_call = FakeUpstreams(failing, sse(chunk("a"), chunk(finish="stop"), "[DONE]")), call(*BOTH)
        received = chunks(upstreams, client_call)
        assert text(received) == "a"
        assert client_call.trail()["provider"] == "openai"
        assert upstreams.transport.opened[0].closed

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
    def test_a_stream_that_breaks_after_content_fails_and_no_other_target_is_called(self, breaking, kind):
        upstreams, received = FakeUpstreams(breaking), []
        with pytest.raises(kind):
            received.extend(item for item in upstreams.router.chunks(call(*BOTH)))
        assert text(item for item in received if not isinstance(item, Pause)).startswith("a")
        assert upstreams.transport.opened[0].closed

    def test_a_stream_with_a_finish_reason_but_no_done_is_complete(self):
        assert text(chunks(FakeUpstreams(sse(chunk("a"), chunk(finish="stop"))), call())) == "a"

    def test_a_plain_response_to_a_streamed_request_becomes_a_stream(self):
        received = chunks(FakeUpstreams(plain(COMPLETION)), call())
        assert text(received) == "Hi"
        assert received[0]["choices"][0]["finish_reason"] == "stop"
        assert received[-1]["usage"] == COMPLETION["usage"]

    def test_a_wait_for_the_headers_yields_pauses(self):
        exchange = sse(chunk("a"), chunk(finish="stop"))
        exchange.waits = 2
        assert [isinstance(item, Pause) for item in FakeUpstreams(exchange).router.chunks(call())][:2] == [True, True]

    def test_closing_the_call_closes_a_stream_that_was_not_read(self):
        upstreams, client_call = FakeUpstreams(sse(chunk("a"), chunk(finish="stop"))), call()
        next(upstreams.router.chunks(client_call))
        client_call.close()
        assert upstreams.transport.opened[0].closed


class TestEmbeddings:
    def test_embeddings_pass_through(self):
        data = {"object": "list", "data": [], "model": "e", "usage": {"prompt_tokens": 3, "total_tokens": 3}, "odd": 1}
        upstreams, client_call = FakeUpstreams(plain(data)), call()
        assert embed(upstreams.router, client_call) == data
        assert upstreams.transport.requests[0]["url"].endswith("/embeddings")
        assert upstreams.tokens == [("openai", 3)]

    def test_a_provider_without_embeddings_is_passed_over(self):
        upstreams, client_call = FakeUpstreams(plain({"data": []})), call(target("anthropic"), target("openai"))
        upstreams.router.embeddings(client_call)
        assert client_call.trail()["provider"] == "openai"
        with pytest.raises(Untranslatable):
            FakeUpstreams().router.embeddings(call(target("anthropic")))


class TestInvalidResponses:
    @pytest.mark.parametrize(
        "event", [{"choices": ["x"]}, {"choices": 7}, {"choices": [{"delta": {"tool_calls": ["x"]}}]}]
    )
    def test_json_of_a_wrong_shape_is_the_upstreams_failure_plain_and_streamed(self, event):
        with pytest.raises(UpstreamFailed) as raised:
            chunks(FakeUpstreams(sse(event)), call())
        assert raised.value.status == 502
        wrong = {**COMPLETION, "choices": [{"message": {"tool_calls": ["x"]}}]}
        with pytest.raises(UpstreamFailed):
            FakeUpstreams(plain(wrong)).router.completion(call())
