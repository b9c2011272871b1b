"""Anthropic's errors, with OpenAI's fields and codes."""

import pytest

from gateway.dialects.anthropic.adapter import ADAPTER


def test_an_error_has_anthropics_message_and_openais_field():
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": "max_tokens: 9 > 8"}}
    assert ADAPTER.error(400, error) == {"message": "max_tokens: 9 > 8", "param": "max_tokens"}


@pytest.mark.parametrize(
    "message",
    [
        "prompt is too long: 210000 tokens > 200000 maximum",
        "input length and `max_tokens` exceed context limit: 199000 + 8192 > 200000",
    ],
)
def test_a_prompt_that_is_too_long_has_openais_code(message):
    error = ADAPTER.error(400, {"error": {"message": message}})
    assert (error["code"], error["param"]) == ("context_length_exceeded", "messages")


def test_an_unknown_model_has_openais_code():
    error = ADAPTER.error(404, {"error": {"type": "not_found_error", "message": "model: claude-x"}})
    assert error == {"message": "model: claude-x", "code": "model_not_found", "param": "model"}


def test_a_limit_on_tokens_has_the_type_tokens():
    assert ADAPTER.error(429, {"error": {"message": "limit of 50,000 input tokens per minute"}})["type"] == "tokens"


@pytest.mark.parametrize("body", ["It broke", {"error": "It broke"}, {"message": "It broke"}, {"detail": "It broke"}])
def test_the_message_is_read_from_a_body_of_any_shape(body):
    assert ADAPTER.error(500, body)["message"] == "It broke"


def test_an_html_page_is_not_used_as_the_message():
    assert "<" not in ADAPTER.error(502, "<html><body>Bad gateway</body></html>")["message"]
