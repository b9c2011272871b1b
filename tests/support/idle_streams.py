"""Scripts of upstreams that stay silent for long, for test_idle_streams.py."""

from tests.support.scripted_upstream import (
    DONE,
    RESET,
    ROLE,
    STOP,
    USAGE,
    anthropic_message,
    json_response,
    sse_response,
    text_chunk,
)

# Seconds of silence. The gateway waits 10 s for the first content, then it starts the stream with pings.
SILENCE = 14.0
SCRIPTS = {
    "late content": [sse_response(SILENCE, ROLE, text_chunk("Hel"), text_chunk("lo"), STOP, DONE)],
    "late content with usage": [sse_response(ROLE, SILENCE, text_chunk("Hello"), STOP, USAGE, DONE)],
    "late headers": [[SILENCE, *sse_response(ROLE, text_chunk("Hello"), STOP, DONE)]],
    "late error": [[SILENCE, *json_response({"error": {"message": "Late and wrong."}}, 400)]],
    "late fallback": [
        sse_response(SILENCE, RESET),
        sse_response(RESET),
        json_response(anthropic_message("Second.")),
    ],
    "pause": [sse_response(ROLE, text_chunk("Hel"), 25.0, text_chunk("lo"), STOP, DONE)],
    "pause, then reset": [sse_response(ROLE, text_chunk("Hel"), SILENCE, RESET)],
}
PREFIXES = {"late fallback": "pair/"}
REQUEST_FIELDS = {"late content with usage": {"stream_options": {"include_usage": True}}}
