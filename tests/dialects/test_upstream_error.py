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
    ],
)
def test_any_other_402_or_403_is_refused_for_this_request(status, message):
    assert type(upstream_error(status, message)) is UpstreamRefused


def test_a_message_is_cut_before_it_is_looked_at():
    assert upstream_error(500, "x" * 10_000_000).message == "x" * MAX_TEXT
