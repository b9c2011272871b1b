"""The errors of OpenAI-compatible vendors."""

import pytest

from gateway.dialects.openai.adapter import ADAPTER


@pytest.mark.parametrize(
    "body, message",
    [
        ({"error": {"message": "no", "type": "t", "code": "c", "param": "p"}}, "no"),
        ({"error": "no"}, "no"),
        ({"message": "no"}, "no"),
        ({"detail": [{"msg": "no", "loc": ["x"]}]}, "no"),
        ({"code": "Client specified an invalid argument", "error": "no"}, "no"),
        ([{"error": {"message": "no"}}], "no"),
        ("no", "no"),
        ({"error": {"message": "no", "metadata": {"raw": "because"}}}, "no (because)"),
        ("<html>no</html>", "The upstream answered with status 400 and gave no reason."),
        ({}, "The upstream answered with status 400 and gave no reason."),
    ],
)
def test_the_message_is_read_from_a_body_of_any_shape(body, message):
    assert ADAPTER.error(400, body)["message"] == message
