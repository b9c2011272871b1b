"""Whose fault an upstream's error is."""

import pytest

from gateway.dialects.error_text import MAX_TEXT
from gateway.dialects.upstream_error import upstream_error
from gateway.errors import UpstreamCredentials, UpstreamRefused, UpstreamRejected


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "Incorrect API key provided"),
        (402, "Insufficient Balance"),
        (402, "Insufficient credits. Add more using https://openrouter.ai/credits"),
        (402, "Your credit balance is too low to access the Anthropic API."),
        (403, "You exceeded your current quota, please check your plan and billing details."),
        (403, "Your account has been suspended."),
        (403, "This API key has been disabled."),
        (402, "Insufficient account balance"),
        (402, "Sorry, your account balance is insufficient"),
        (403, "Your team has used all available credits"),
        (403, "Incorrect API key provided"),
    ],
)
def test_an_error_of_the_account_is_the_gateways_credential(status, message):
    assert isinstance(upstream_error(status, message), UpstreamCredentials)


@pytest.mark.parametrize(
    "message",
    [
        "Your chosen model requires moderation and your input was flagged",
        "The response was filtered due to the content management policy.",
        "This violates our usage policies.",
        "Input was flagged by moderation: 'my bank account was suspended'",
        'Moderation refused "my key has expired", the content policy forbids it.',
        "Your prompt 'my bank account was suspended' was flagged",
        "Input flagged: reset my account key expired",
        "The request of your organization was blocked by the content policy",
        "Access to this organization's model was blocked by the safety system of the project's owner",
    ],
)
def test_a_403_of_a_moderation_is_a_rejected_request(message):
    error = upstream_error(403, message)
    assert isinstance(error, UpstreamRejected)
    assert (error.status, error.code, error.upstream_status) == (400, "content_policy_violation", 403)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (402, "This request requires more credits, or fewer max_tokens. You requested up to 32000 tokens."),
        (403, "Project does not have access to model gpt-6."),
        (403, "Forbidden"),
        (403, "Not for 'my account was suspended'"),
        (403, "Your account was flagged for usage policy violations and is disabled"),
    ],
)
def test_any_other_402_or_403_is_refused_for_this_request(status, message):
    assert type(upstream_error(status, message)) is UpstreamRefused


@pytest.mark.parametrize(
    "said",
    [{"type": "insufficient_quota"}, {"code": "insufficient_quota"}, {"type": "exceeded_current_quota_error"}],
)
def test_a_429_of_a_used_up_quota_is_not_worth_a_retry(said):
    error = upstream_error(429, "You exceeded your current quota", **said)
    assert (error.type, error.retryable) == ("insufficient_quota", False)


def test_a_429_that_only_speaks_of_a_quota_may_be_about_a_minute():
    assert upstream_error(429, "You exceeded your current quota").retryable


def test_a_message_is_cut_before_it_is_looked_at():
    assert upstream_error(500, "x" * 10_000_000).message == "x" * MAX_TEXT
