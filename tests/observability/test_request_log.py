"""Lines of the log for a console."""

from gateway.observability.request_log import escape_controls, printable


def test_what_a_terminal_could_obey_is_escaped():
    assert printable("/v1/models") == "/v1/models"
    assert printable("/caf\u00e9 \u4f60") == "/caf\u00e9 \u4f60"
    assert printable("/\x1b[31m\r\nforged\x9b\x7f\u2028\u202e\ud800\0") == (
        "/\\x1b[31m\\r\\nforged\\x9b\\x7f\\u2028\\u202e\\ud800\\x00"
    )


def test_texts_and_names_of_an_event_are_escaped_and_other_values_kept():
    event = {"event": "request", "path": "/\n", "a\tb": 1, "seconds": 0.5, "attempts": [{"status": "\x1b"}]}
    assert escape_controls(None, "info", event) == {
        "event": "request",
        "path": "/\\n",
        "a\\tb": 1,
        "seconds": 0.5,
        "attempts": [{"status": "\x1b"}],
    }
