"""What follows a failed attempt: data in, decision out."""

import pytest

from gateway.catalog.targets import Provider, Target
from gateway.catalog.vendors import VENDORS
from gateway.dialects.upstream_error import upstream_error
from gateway.errors import (
    ClientDisconnected,
    NoHealthyUpstream,
    Untranslatable,
    UpstreamCredentials,
    UpstreamFailed,
    UpstreamLimited,
    UpstreamRejected,
)
from gateway.health.target_health import LIMITED, REFUSED, Unavailable
from gateway.routing.failover import (
    FIRST_DELAY,
    MAX_DELAY,
    Fail,
    FailureState,
    NextTarget,
    Retry,
    backoff,
    fallback_kind,
    final_error,
    may_help,
    next_action,
)
from gateway.routing.retry_after import MAX_RETRY_AFTER, retry_after

OPENAI = Provider(VENDORS["openai"], "https://openai.example/v1", "key")
SAME_MODEL, OTHER_MODEL = Target(OPENAI, "a", timeout=1), Target(OPENAI, "b")
FAILED = UpstreamFailed("failed", upstream_status=500)
REJECTED = UpstreamRejected("no", upstream_status=400)
NEXT = NextTarget(None, retry_later=False)


def state(**changes):
    members = {"tries": 1, "max_tries": 3, "backoff": 0.1, "time_remaining": 60.0, "errors": [FAILED], **changes}
    return FailureState(**members)


def test_a_retryable_failure_is_retried_after_the_backoff():
    assert next_action(FAILED, state()) == Retry(0.1)


@pytest.mark.parametrize(
    "changes",
    [
        {"tries": 3},
        {"retry_allowed": False},
        {"time_remaining": 0.05},
        {"resume_elsewhere": True, "tries": 3},
    ],
    ids=["tries used up", "budget used up", "too little time", "stream to resume elsewhere"],
)
def test_the_next_target_follows_where_no_retry_is_possible(changes):
    assert next_action(FAILED, state(**changes)) == NEXT


def test_a_broken_stream_is_resumed_elsewhere_first_and_its_target_may_be_retried_later():
    assert next_action(FAILED, state(resume_elsewhere=True)) == NextTarget(None, retry_later=True)


def test_a_refused_key_is_not_retried():
    assert next_action(UpstreamCredentials("no", upstream_status=401), state()) == NEXT


def test_a_short_retry_after_is_waited_for_and_a_long_one_leads_to_the_next_target():
    assert next_action(UpstreamLimited("busy", retry_after=2), state()) == Retry(2)
    assert next_action(UpstreamLimited("busy", retry_after=60), state()) == NEXT
    assert next_action(UpstreamLimited("busy", retry_after=MAX_DELAY), state()) == Retry(MAX_DELAY)


def test_a_disconnected_client_ends_the_call():
    error = ClientDisconnected("gone")
    assert next_action(error, state()) == Fail(error)


def test_after_the_deadline_the_call_fails_with_the_error_of_the_upstream():
    assert next_action(FAILED, state(time_remaining=0.0)) == Fail(FAILED)
    other = UpstreamFailed("other", upstream_status=502)
    assert next_action(FAILED, state(time_remaining=-1.0, truncated_by=other)) == Fail(other)


@pytest.mark.parametrize(
    "kind, message",
    [
        ("context_window_fallbacks", "prompt is too long: 210000 tokens > 200000 maximum"),
        ("context_window_fallbacks", "This model's maximum context length is 8192 tokens."),
        ("content_policy_fallbacks", "The response was filtered due to the content management policy."),
        (None, "Unknown parameter: 'seed'."),
    ],
)
def test_some_rejections_have_fallbacks_of_their_own(kind, message):
    rejected = UpstreamRejected(message, upstream_status=400)
    assert fallback_kind(rejected) == kind
    assert next_action(rejected, state()) == NextTarget(kind, retry_later=False)
    assert fallback_kind(UpstreamFailed(message, upstream_status=500)) is None


def test_after_a_rejected_request_only_another_model_may_help():
    assert not may_help(REJECTED, Target(OPENAI, "a"), SAME_MODEL)
    assert may_help(REJECTED, Target(OPENAI, "a"), OTHER_MODEL)
    assert may_help(FAILED, Target(OPENAI, "a"), SAME_MODEL)


def test_when_all_targets_are_busy_the_shortest_retry_after_is_reported():
    errors = [UpstreamLimited("busy", retry_after=seconds) for seconds in (90, 30, 60)]
    assert final_error(errors, None, []).retry_after == 30
    assert final_error([*errors, UpstreamLimited("busy", retry_after=0)], None, []).retry_after == 0


@pytest.mark.parametrize(
    "first", [UpstreamLimited("busy", retry_after=1), Untranslatable("audio", param="messages[0]")], ids=["limit", "no"]
)
def test_a_failure_outranks_a_limit_and_an_untranslatable_request(first):
    assert final_error([first, FAILED], None, []) is FAILED
    assert final_error([FAILED, first], None, []) is FAILED


def test_an_untranslatable_request_is_reported_where_no_upstream_was_called():
    error = Untranslatable("audio", param="messages[0]")
    assert final_error([error], None, []) is error


def test_a_truncated_answer_is_reported_whatever_failed_after_it():
    assert final_error([FAILED, REJECTED], FAILED, []) is FAILED


def test_when_no_target_is_available_the_soonest_time_is_reported():
    unavailable = [Unavailable("breaker open", 15.0), Unavailable("full", 10.0)]
    error = final_error([], None, unavailable)
    assert isinstance(error, NoHealthyUpstream)
    assert (error.status, error.code, error.retry_after) == (503, "no_healthy_upstream", 10.0)
    assert "breaker open, full" in error.message


@pytest.mark.parametrize(
    ("reason", "kind", "status"), [(LIMITED, UpstreamLimited, 429), (REFUSED, UpstreamCredentials, 502)]
)
def test_when_all_targets_are_cooling_down_for_one_reason_the_error_says_so(reason, kind, status):
    error = final_error([], None, [Unavailable(reason, 30.0), Unavailable(reason, 20.0)])
    assert isinstance(error, kind)
    assert (error.status, error.retry_after) == (status, 20.0)


def test_a_moderated_request_has_the_content_policy_fallbacks():
    error = upstream_error(403, "Your chosen model requires moderation and your input was flagged")
    assert (error.status, error.code) == (400, "content_policy_violation")
    assert next_action(error, state()) == NextTarget("content_policy_fallbacks", retry_later=False)


@pytest.mark.parametrize("status", [402, 403])
def test_a_request_that_an_upstream_refuses_leads_to_the_next_target_and_is_not_to_be_sent_again(status):
    error = upstream_error(status, "Not with this one.")
    assert next_action(error, state()) == NEXT
    assert (error.status, error.code, error.client_may_retry) == (502, "upstream_error", False)


def test_the_backoff_doubles_up_to_a_maximum_and_has_full_jitter():
    assert [backoff(tries, 1.0) for tries in (1, 2, 3)] == [FIRST_DELAY, 2 * FIRST_DELAY, 4 * FIRST_DELAY]
    assert backoff(50, 1.0) == MAX_DELAY
    assert backoff(2, 0.0) == 0


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529])
def test_a_wait_that_an_upstream_asks_for_is_kept_whatever_its_status(status):
    assert next_action(upstream_error(status, "no", retry_after=2), state()) == Retry(2)
    assert next_action(upstream_error(status, "no", retry_after=60), state()) == NEXT


def test_a_used_up_quota_is_not_retried():
    assert next_action(upstream_error(429, "Over quota.", type="insufficient_quota"), state()) == NEXT


def test_a_busy_upstream_without_a_retry_after_is_retried_after_our_own_backoff():
    assert next_action(upstream_error(503, "busy"), state(backoff=0.2)) == Retry(0.2)


def test_a_retry_after_may_be_seconds_milliseconds_or_a_date():
    assert retry_after({"retry-after": "7"}) == 7
    assert retry_after({"retry-after-ms": "1500", "retry-after": "7"}) == 1.5
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert retry_after({"retry-after": "soon"}) is None
    dates = {"date": "Wed, 21 Oct 2015 07:28:00 GMT", "retry-after": "Wed, 21 Oct 2015 07:28:40 GMT"}
    assert retry_after(dates) == 40
    assert retry_after({**dates, "date": "today"}) == 0
    assert retry_after({"retry-after": "9" * 30}) == MAX_RETRY_AFTER
    assert retry_after({}) is None
