"""The faults of an upstream: for each a script of scripted_upstream.py, its name, and what the client should see."""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tests.support.scripted_upstream import (
    ABORTED,
    DONE,
    RESET,
    ROLE,
    SENT,
    STOP,
    anthropic_message,
    completion,
    json_response,
    response_head,
    sse_response,
    text_chunk,
)

# Seconds that an upstream stays silent: six times as long as any check waits for a call to end.
LONG_SILENCE = 30.0
PHASES = CONNECTING, BEFORE_HEADERS, IN_HEADERS, BEFORE_CONTENT, AFTER_CONTENT = (
    "Connection setup",
    "Before the response headers",
    "In the response headers",
    "In the body, before the first content",
    "After the first content",
)
FORMS = PLAIN, STREAM = "plain", "stream"
SHORT_TIMEOUT = "short-timeout"
# How x-gateway-attempts names a fault; a mapping where that depends on the dialect.
AttemptStatus = str | Mapping[str, str]


class Route(NamedTuple):
    """The targets of a model name, by their dialects. With `first_call_only` only the first call fails."""

    name: str
    dialects: tuple[str, ...]
    label: str
    first_call_only: bool = False


OPENAI = Route("openai", ("openai",), "openai")
ANTHROPIC = Route("anthropic", ("anthropic",), "anthropic")
OPENAI_ANTHROPIC = Route("openai-anthropic", ("openai", "anthropic"), "openai, then anthropic")
ANTHROPIC_OPENAI = Route("anthropic-openai", ("anthropic", "openai"), "anthropic, then openai")
OTHER_MODEL = Route("other-model", ("openai", "anthropic"), "openai, then another model of anthropic")
OPENAI_ONCE = Route("openai", ("openai",), "openai, first call only", first_call_only=True)
ALL_ROUTES = (OPENAI, ANTHROPIC, OPENAI_ANTHROPIC, ANTHROPIC_OPENAI)


class ExpectedError(NamedTuple):
    """The error that the client receives, its class in the log, and whether the gateway retries and falls back."""

    status: int
    code: str
    error_class: str
    retried: bool = True
    falls_back: bool = True
    retry_after: str = ""


FAILED = ExpectedError(502, "upstream_error", "UpstreamFailed")
OVERLOADED = ExpectedError(503, "overloaded", "UpstreamFailed", retry_after="1")
TIMED_OUT = ExpectedError(504, "upstream_timeout", "UpstreamTimeout")
LIMITED = ExpectedError(429, "rate_limit_exceeded", "UpstreamLimited")
WRONG_CREDENTIALS = ExpectedError(502, "upstream_credentials", "UpstreamCredentials", retried=False)
REFUSED = ExpectedError(502, "upstream_error", "UpstreamRefused", retried=False)
REJECTED = ExpectedError(400, "invalid_request_error", "UpstreamRejected", retried=False, falls_back=False)


class Fault(NamedTuple):
    """
    `script(dialect)` plays the fault in one call, which has this `outcome` at the upstream.

    `origin`: a key of `scripted_upstream.failing_origins()`, SHORT_TIMEOUT for a target with a short timeout, or "".
    """

    name: str
    phase: str
    attempt_status: AttemptStatus
    error: ExpectedError
    script: Callable[[str], list[Any]]
    routes: tuple[Route, ...] = (OPENAI, OPENAI_ANTHROPIC)
    forms: tuple[str, ...] = FORMS
    outcome: str = SENT
    origin: str = ""


def anthropic_event(event_type: str, **fields: Any) -> bytes:
    return f"event: {event_type}\ndata: {json.dumps({'type': event_type, **fields})}\n\n".encode()


class Dialect(NamedTuple):
    """Stream steps before the first content, a content step, the steps with the finish_reason, the end; a plain body."""

    start: tuple[Any, ...]
    text_delta: Callable[[str], Any]
    finish: tuple[Any, ...]
    end: tuple[Any, ...]
    plain_body: Callable[[str], Any]


DIALECTS = {
    "openai": Dialect((ROLE,), text_chunk, (STOP,), (DONE,), completion),
    "anthropic": Dialect(
        (
            anthropic_event("message_start", message={**anthropic_message(), "content": [], "stop_reason": None}),
            anthropic_event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        ),
        lambda text: anthropic_event("content_block_delta", index=0, delta={"type": "text_delta", "text": text}),
        (
            anthropic_event("content_block_stop", index=0),
            anthropic_event(
                "message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 2}
            ),
        ),
        (anthropic_event("message_stop"),),
        anthropic_message,
    ),
}


def stream_start(dialect: str, phase: str) -> tuple[Any, ...]:
    """Return the first steps of a stream: without content, or with some if the phase is AFTER_CONTENT."""
    steps = DIALECTS[dialect]
    return (*steps.start, steps.text_delta("Hel")) if phase == AFTER_CONTENT else steps.start


def valid_response(dialect: str, form: str, text: str = "Hello") -> list[Any]:
    steps = DIALECTS[dialect]
    if form == PLAIN:
        return json_response(steps.plain_body(text))
    return complete_stream(*steps.start, steps.text_delta(text), *steps.finish, *steps.end)


def complete_stream(*events: Any) -> list[Any]:
    """Script a stream that sends its last event and last chunk at once: a client may close after [DONE]."""
    *script, event, last_chunk = sse_response(*events)
    return [*script, event + last_chunk]


def connect_fault(name: str, attempt_status: str, error: ExpectedError, origin: str) -> Fault:
    """Return a fault because of which no request is sent."""
    return Fault(name, CONNECTING, attempt_status, error, lambda _: [], origin=origin)


TARGET_TIMEOUT = "target_timeout"
SILENT = "silent for longer than the target's timeout"


def silence(name: str, phase: str, *steps: Any) -> Fault:
    """Return the fault of an upstream that sends these steps and nothing more, behind a target with a short timeout."""
    return Fault(
        name,
        phase,
        TARGET_TIMEOUT,
        TIMED_OUT,
        lambda _: [*steps, LONG_SILENCE],
        outcome=ABORTED,
        origin=SHORT_TIMEOUT,
    )


INCOMPLETE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Ty"
NOT_HTTP = b"SSH-2.0-x\r\n\r\n"
EARLY_FAULTS = (
    connect_fault("connection refused", "connection", FAILED, "connection-refused"),
    connect_fault("connect times out", "connect_timeout", TIMED_OUT, "connect-timeout"),
    connect_fault("TLS handshake times out", "connect_timeout", TIMED_OUT, "tls-timeout"),
    connect_fault("plain HTTP where TLS is expected", "tls", FAILED, "tls-error"),
    connect_fault("host name does not resolve", "connection", FAILED, "unknown-host"),
    Fault("closed without a response", BEFORE_HEADERS, "connection", FAILED, lambda _: [], (*ALL_ROUTES, OPENAI_ONCE)),
    Fault(
        "reset without a response", BEFORE_HEADERS, "connection", FAILED, lambda _: [RESET], (*ALL_ROUTES, OPENAI_ONCE)
    ),
    silence(SILENT, BEFORE_HEADERS),
    Fault("closed inside the headers", IN_HEADERS, "truncated", FAILED, lambda _: [INCOMPLETE_HEAD]),
    Fault("reset inside the headers", IN_HEADERS, "connection", FAILED, lambda _: [INCOMPLETE_HEAD, RESET]),
    Fault(
        "response is not HTTP",
        IN_HEADERS,
        "invalid_response",
        FAILED,
        lambda _: [NOT_HTTP, LONG_SILENCE],
        outcome=ABORTED,
    ),
    silence(SILENT, IN_HEADERS, INCOMPLETE_HEAD),
)

ERROR_BODY = {"error": {"message": "Not now.", "type": "x"}}


def status_fault(status: int, error: ExpectedError, *routes: Route, **headers: Any) -> Fault:
    """Return the fault of a response with an error status, with the default routes and these."""
    script = json_response(ERROR_BODY, status, **headers)
    title = f"{status}" + (f" with Retry-After: {headers['retry_after']}" if headers else "")
    return Fault(title, IN_HEADERS, str(status), error, lambda _: script, (OPENAI, OPENAI_ANTHROPIC, *routes))


STATUS_FAULTS = (
    *(status_fault(status, REJECTED._replace(status=status), OTHER_MODEL) for status in (400, 404, 413, 422)),
    status_fault(401, WRONG_CREDENTIALS),
    *(status_fault(status, REFUSED) for status in (402, 403)),
    *(
        status_fault(status, REJECTED._replace(status=status, retried=True, falls_back=True), OPENAI_ONCE)
        for status in (408, 409, 425)
    ),
    status_fault(429, LIMITED, OPENAI_ONCE),
    status_fault(429, LIMITED._replace(retry_after="1"), OPENAI_ONCE, retry_after=1),
    status_fault(429, LIMITED._replace(retry_after="60", retried=False), retry_after=60),
    *(status_fault(status, FAILED, OPENAI_ONCE) for status in (500, 502)),
    *(status_fault(status, OVERLOADED, OPENAI_ONCE) for status in (503, 529)),
    status_fault(503, OVERLOADED._replace(retry_after="60", retried=False), retry_after=60),
    status_fault(504, TIMED_OUT),
    *(status_fault(status, FAILED) for status in (204, 301)),
)


def body_fault(name: str, attempt_status: AttemptStatus, *steps: Any, **fields: Any) -> Fault:
    """Return the fault of a 200 with a JSON content type, whichever form the client requested."""
    return Fault(
        name, BEFORE_CONTENT, attempt_status, FAILED, lambda _: list(steps), **{"routes": ALL_ROUTES, **fields}
    )


# The gateway's reading of an error without a status: an OpenAI-compatible one counts as 502, Anthropic's api_error is a 500.
ERROR_EVENT_STATUS = {"openai": "502", "anthropic": "500"}
ANTHROPIC_ERROR_BODY = {"type": "error", "error": {"message": "Not now.", "type": "api_error"}}
BODY_FAULTS = (
    body_fault(
        "200 with a body that is not JSON",
        "invalid_response",
        *json_response(b"<html>It works!</html>"),
        routes=(*ALL_ROUTES, OPENAI_ONCE),
    ),
    body_fault("200 with JSON without choices", "invalid_response", *json_response({"id": "x"})),
    body_fault("200 with JSON that is not an object", "invalid_response", *json_response([7])),
    body_fault("200 with an error object", ERROR_EVENT_STATUS, *json_response(ANTHROPIC_ERROR_BODY)),
    body_fault("JSON body shorter than its Content-Length", "truncated", response_head(content_length=1000) + b'{"id"'),
    body_fault(
        "JSON body in a truncated chunk", "truncated", response_head(transfer_encoding="chunked") + b'20\r\n{"id"'
    ),
    body_fault(
        "JSON body with an invalid chunk size",
        "invalid_response",
        response_head(transfer_encoding="chunked") + b"zz\r\n",
        LONG_SILENCE,
        outcome=ABORTED,
    ),
    body_fault("reset inside the JSON body", "connection", response_head(content_length=1000) + b'{"id"', RESET),
    body_fault(
        "gzip body that is not gzip",
        "invalid_response",
        response_head(content_encoding="gzip", content_length=4) + b"abcd",
    ),
    body_fault(
        "stream in response to a plain request",
        "invalid_response",
        *sse_response(ROLE, STOP, DONE),
        routes=(OPENAI,),
        forms=(PLAIN,),
    ),
    silence(f"{SILENT}, inside the JSON body", BEFORE_CONTENT, response_head(content_length=1000) + b"{"),
)


class StreamFault(NamedTuple):
    """A fault that can follow any part of a stream: `script(dialect, steps before it)`."""

    name: str
    attempt_status: AttemptStatus
    script: Callable[[str, tuple[Any, ...]], list[Any]]
    error: ExpectedError = FAILED
    outcome: str = SENT
    origin: str = ""
    dialects: tuple[str, ...] = tuple(DIALECTS)

    def in_phase(self, phase: str) -> Fault:
        def script(dialect: str) -> list[Any]:
            return self.script(dialect, stream_start(dialect, phase))

        routes = tuple(
            route
            for route in ((OPENAI, OPENAI_ANTHROPIC) if self.origin else ALL_ROUTES)
            if route.dialects[0] in self.dialects and (phase == BEFORE_CONTENT or route is not ANTHROPIC_OPENAI)
        )
        return Fault(
            self.name, phase, self.attempt_status, self.error, script, routes, (STREAM,), self.outcome, self.origin
        )


def unchunked_stream(events: tuple[Any, ...], **headers: Any) -> list[Any]:
    """Script a stream without the chunked transfer coding."""
    frames = [b"data: %b\n\n" % json.dumps(event).encode() if isinstance(event, dict) else event for event in events]
    return [response_head(200, "text/event-stream", **headers), *frames]


def fatal_event(
    name: str, attempt_status: AttemptStatus, events: Mapping[str, Any], error: ExpectedError = FAILED
) -> StreamFault:
    """Return the fault of an event, by dialect, after which the gateway closes a connection that stays open."""
    return StreamFault(
        name,
        attempt_status,
        lambda dialect, before: sse_response(*before, events[dialect], LONG_SILENCE),
        error,
        ABORTED,
        dialects=tuple(events),
    )


def error_events(anthropic_type: str, **openai_fields: Any) -> dict[str, Any]:
    """Return an error event for each dialect: OpenAI-compatible vendors send a numeric code, Anthropic sends a type."""
    return {
        "openai": {"error": {"message": "Not now.", **openai_fields}},
        "anthropic": anthropic_event("error", error={"type": anthropic_type, "message": "Not now."}),
    }


STREAM_ENDS_EARLY = "stream ends without a finish_reason"
RESET_IN_STREAM = "connection reset"
ERROR_EVENT = "error event"
STREAM_FAULTS = (
    StreamFault(STREAM_ENDS_EARLY, "truncated", lambda _, before: sse_response(*before)),
    StreamFault(
        "[DONE] without a finish_reason",
        "truncated",
        lambda dialect, before: complete_stream(*before, *DIALECTS[dialect].end),
    ),
    StreamFault("stream ends inside an event", "truncated", lambda _, before: sse_response(*before, b'data: {"id"')),
    StreamFault("chunk truncated", "truncated", lambda _, before: sse_response(*before, last=b"20\r\ndata")),
    StreamFault("last chunk missing", "truncated", lambda _, before: sse_response(*before, last=b"")),
    StreamFault(
        "body shorter than its Content-Length",
        "truncated",
        lambda _, before: unchunked_stream(before, content_length=99999),
    ),
    StreamFault("closed, neither Content-Length nor chunked", "truncated", lambda _, before: unchunked_stream(before)),
    StreamFault(RESET_IN_STREAM, "connection", lambda _, before: sse_response(*before, RESET)),
    StreamFault(
        "invalid chunk size",
        "invalid_response",
        lambda _, before: [*sse_response(*before, 1.0, last=b"zz\r\n"), LONG_SILENCE],
        outcome=ABORTED,
    ),
    StreamFault(
        SILENT,
        TARGET_TIMEOUT,
        lambda _, before: sse_response(*before, LONG_SILENCE),
        TIMED_OUT,
        ABORTED,
        SHORT_TIMEOUT,
    ),
    fatal_event("event is not JSON", "invalid_response", dict.fromkeys(DIALECTS, b"data: {\n\n")),
    fatal_event("event is not an object", "invalid_response", dict.fromkeys(DIALECTS, b"data: 7\n\n")),
    fatal_event("event has an unknown shape", "invalid_response", {"openai": {"choices": [7]}}),
    fatal_event(ERROR_EVENT, ERROR_EVENT_STATUS, error_events("api_error", type="server_error")),
    fatal_event(
        "error event: overloaded",
        {"openai": "503", "anthropic": "529"},
        error_events("overloaded_error", code=503),
        OVERLOADED,
    ),
    fatal_event("error event: rate limit", "429", error_events("rate_limit_error", code=429), LIMITED),
    fatal_event("error event: invalid request", "400", error_events("invalid_request_error", code=400), REJECTED),
    fatal_event("error event: wrong key", "401", error_events("authentication_error", code=401), WRONG_CREDENTIALS),
)
EMPTY_STREAM = Fault(
    "stream without events",
    BEFORE_CONTENT,
    "truncated",
    FAILED,
    lambda _: sse_response(),
    (*ALL_ROUTES, OPENAI_ONCE),
    (STREAM,),
)
FAULTS = (
    *EARLY_FAULTS,
    *STATUS_FAULTS,
    *BODY_FAULTS,
    EMPTY_STREAM,
    *(fault.in_phase(phase) for phase in (BEFORE_CONTENT, AFTER_CONTENT) for fault in STREAM_FAULTS),
)
