"""What goes wrong with an upstream, and when: scripts for upstream.py, each with what it is called and what it is to the client."""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tests.support.scripted_upstream import DONE, RESET, ROLE, STOP, completion, head, message, plain, streamed, text

FOREVER = 30.0
"""Seconds that an upstream is silent: six times as long as anybody waits for it to end."""
PHASES = CONNECTING, HEADERS, HEAD, BODY, AFTER = (
    "Connecting",
    "Before the headers",
    "In the head",
    "In the body, before the first content",
    "After content",
)
FORMS = PLAIN, STREAM = "plain", "stream"
SENT, HUNG_UP = "sent", "client-gone"
IMPATIENT = "impatient"
Words = str | Mapping[str, str]
"""The word for a fault in the trail, where it differs by dialect."""


class Place(NamedTuple):
    """Who is asked by a model name: targets by their dialects. `cured`: what fails is the first call alone."""

    name: str
    dialects: tuple[str, ...]
    says: str
    cured: bool = False


OPENAI = Place("openai", ("openai",), "openai")
ANTHROPIC = Place("anthropic", ("anthropic",), "anthropic")
PAIR = Place("pair", ("openai", "anthropic"), "openai, then anthropic")
TURNED = Place("turned", ("anthropic", "openai"), "anthropic, then openai")
OTHER = Place("other", ("openai", "anthropic"), "openai, then another model of anthropic")
CURED = Place("openai", ("openai",), "openai, once", cured=True)
ALL = (OPENAI, ANTHROPIC, PAIR, TURNED)


class Verdict(NamedTuple):
    """What the client is told, how the log names it, and whether the same target is asked `again`, and another (`on`)."""

    status: int
    code: str
    error: str
    again: bool = True
    on: bool = True
    wait: str = ""


FAILED = Verdict(502, "upstream_error", "UpstreamFailed")
BUSY = Verdict(503, "overloaded", "UpstreamFailed", wait="1")
LATE = Verdict(504, "upstream_timeout", "UpstreamTimeout")
LIMITED = Verdict(429, "rate_limit_exceeded", "UpstreamLimited")
OURS = Verdict(502, "upstream_credentials", "UpstreamCredentials", again=False)
REJECTED = Verdict(400, "invalid_request_error", "UpstreamRejected", again=False, on=False)


class Fault(NamedTuple):
    """
    `script(dialect)` is one call of it, at the end of which the upstream sees `end`; `word` stands for it in the trail.

    `address`: what is special about the first target: nothing, IMPATIENT, or a key of `upstream.unreachable()`.
    """

    name: str
    phase: str
    word: Words
    verdict: Verdict
    script: Callable[[str], list[Any]]
    places: tuple[Place, ...] = (OPENAI, PAIR)
    forms: tuple[str, ...] = FORMS
    end: str = SENT
    address: str = ""


def event(kind: str, **more: Any) -> bytes:
    """An event of Anthropic's stream."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()


class Dialect(NamedTuple):
    """How an answer is spoken: what of a stream stands before its first content, its end, and what follows that."""

    begin: tuple[Any, ...]
    said: Callable[[str], Any]
    finish: tuple[Any, ...]
    done: tuple[Any, ...]
    whole: Callable[[str], Any]


DIALECTS = {
    "openai": Dialect((ROLE,), text, (STOP,), (DONE,), completion),
    "anthropic": Dialect(
        (
            event("message_start", message={**message(), "content": [], "stop_reason": None}),
            event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        ),
        lambda said: event("content_block_delta", index=0, delta={"type": "text_delta", "text": said}),
        (
            event("content_block_stop", index=0),
            event(
                "message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 2}
            ),
        ),
        (event("message_stop"),),
        message,
    ),
}


def opening(dialect: str, phase: str) -> tuple[Any, ...]:
    """The beginning of a stream: up to its content, or with some."""
    spoken = DIALECTS[dialect]
    return (*spoken.begin, spoken.said("Hel")) if phase == AFTER else spoken.begin


def good(dialect: str, form: str, said: str = "Hello") -> list[Any]:
    """An answer with nothing wrong."""
    spoken = DIALECTS[dialect]
    if form == PLAIN:
        return plain(spoken.whole(said))
    return done(*spoken.begin, spoken.said(said), *spoken.finish, *spoken.done)


def done(*steps: Any) -> list[Any]:
    """A stream whose last event and end are one: who reads [DONE] may hang up."""
    *script, event, end = streamed(*steps)
    return [*script, event + end]


def unasked(name: str, word: str, verdict: Verdict, address: str) -> Fault:
    """Where no connection comes about."""
    return Fault(name, CONNECTING, word, verdict, lambda _: [], address=address)


TOO_LATE = "target_timeout"


def silence(name: str, phase: str, *steps: Any) -> Fault:
    """A target that has little time, and an upstream that says nothing more."""
    return Fault(name, phase, TOO_LATE, LATE, lambda _: [*steps, FOREVER], end=HUNG_UP, address=IMPATIENT)


HALF_A_HEAD = b"HTTP/1.1 200 OK\r\nContent-Ty"
EARLY = (
    unasked("nobody listens", "connection", FAILED, "closed"),
    unasked("nobody accepts within CONNECT_TIMEOUT", "connect_timeout", LATE, "deaf"),
    unasked("TLS is not agreed on within CONNECT_TIMEOUT", "connect_timeout", LATE, "mute"),
    unasked("TLS is expected, plain HTTP is spoken", "tls", FAILED, "plain-speaking"),
    unasked("the host's name does not exist", "connection", FAILED, "nowhere"),
    Fault("closed without an answer", HEADERS, "connection", FAILED, lambda _: [], (*ALL, CURED)),
    Fault("reset without an answer", HEADERS, "connection", FAILED, lambda _: [RESET], (*ALL, CURED)),
    silence("silent for longer than the target has", HEADERS),
    Fault("closed in the head", HEAD, "truncated", FAILED, lambda _: [HALF_A_HEAD]),
    Fault("reset in the head", HEAD, "connection", FAILED, lambda _: [HALF_A_HEAD, RESET]),
    Fault("no HTTP", HEAD, "invalid_response", FAILED, lambda _: [b"SSH-2.0-x\r\n\r\n", FOREVER], end=HUNG_UP),
    silence("silent for longer than the target has", HEAD, HALF_A_HEAD),
)

SAID = {"error": {"message": "Not now.", "type": "x"}}


def answered(status: int, verdict: Verdict, *more: Place, told: str = "", **headers: Any) -> Fault:
    """An answer that is an error by its status."""
    script = plain(SAID, status, **headers)
    return Fault(f"{status}{told}", HEAD, str(status), verdict, lambda _: script, (OPENAI, PAIR, *more))


STATUSES = (
    *(answered(status, REJECTED._replace(status=status), OTHER) for status in (400, 404, 413, 422)),
    *(answered(status, OURS) for status in (401, 402, 403)),
    *(answered(status, REJECTED._replace(status=status, again=True, on=True), CURED) for status in (408, 409, 425)),
    answered(429, LIMITED, CURED),
    answered(429, LIMITED._replace(wait="1"), CURED, told=" with Retry-After: 1", retry_after=1),
    answered(429, LIMITED._replace(wait="60", again=False), told=" with Retry-After: 60", retry_after=60),
    *(answered(status, FAILED, CURED) for status in (500, 502)),
    *(answered(status, BUSY, CURED) for status in (503, 529)),
    answered(503, BUSY._replace(wait="60", again=False), told=" with Retry-After: 60", retry_after=60),
    answered(504, LATE),
    *(answered(status, FAILED) for status in (204, 301)),
)


def body(name: str, word: Words, *steps: Any, **more: Any) -> Fault:
    """What is wrong with a 200 that says it is JSON, whichever form was asked for."""
    return Fault(name, BODY, word, FAILED, lambda _: list(steps), **{"places": ALL, **more})


INNER = {"openai": "502", "anthropic": "500"}
FAULTY = {"type": "error", "error": {"message": "Not now.", "type": "api_error"}}
BODIES = (
    body("a 200 that is no JSON", "invalid_response", *plain(b"<html>It works!</html>"), places=(*ALL, CURED)),
    body("a 200 that is JSON without choices", "invalid_response", *plain({"id": "x"})),
    body("a 200 that is JSON and no object", "invalid_response", *plain([7])),
    body("a 200 with an error in it", INNER, *plain(FAULTY)),
    body("JSON shorter than its Content-Length", "truncated", head(content_length=1000) + b'{"id"'),
    body("JSON in a chunk that is cut", "truncated", head(transfer_encoding="chunked") + b'20\r\n{"id"'),
    body(
        "JSON in chunks without a size",
        "invalid_response",
        head(transfer_encoding="chunked") + b"zz\r\n",
        FOREVER,
        end=HUNG_UP,
    ),
    body("reset in JSON", "connection", head(content_length=1000) + b'{"id"', RESET),
    body("gzip that is none", "invalid_response", head(content_encoding="gzip", content_length=4) + b"abcd"),
    body(
        "a stream that nobody asked for",
        "invalid_response",
        *streamed(ROLE, STOP, DONE),
        places=(OPENAI,),
        forms=(PLAIN,),
    ),
    silence("silent in JSON, for longer than the target has", BODY, head(content_length=1000) + b"{"),
)


class Tail(NamedTuple):
    """How a stream goes wrong, wherever it is: `script(dialect, what was said before)`."""

    name: str
    word: Words
    script: Callable[[str, tuple[Any, ...]], list[Any]]
    verdict: Verdict = FAILED
    end: str = SENT
    address: str = ""
    dialects: tuple[str, ...] = tuple(DIALECTS)

    def fault(self, phase: str) -> Fault:
        def script(dialect: str) -> list[Any]:
            return self.script(dialect, opening(dialect, phase))

        able = [place for place in ALL if place.dialects[0] in self.dialects]
        places = tuple(place for place in able if phase == BODY or place is not TURNED)
        places = (OPENAI, PAIR) if self.address else places
        return Fault(self.name, phase, self.word, self.verdict, script, places, (STREAM,), self.end, self.address)


def unchunked(said: tuple[Any, ...], **headers: Any) -> list[Any]:
    """The events of a stream, one after another, without chunks."""
    frames = [b"data: %b\n\n" % json.dumps(one).encode() if isinstance(one, dict) else one for one in said]
    return [head(200, "text/event-stream", **headers), *frames]


def after_which_it_hangs_up(name: str, word: Words, told: Mapping[str, Any], verdict: Verdict = FAILED) -> Tail:
    """An event, by dialect, after which the upstream would have gone on."""
    return Tail(
        name,
        word,
        lambda dialect, said: streamed(*said, told[dialect], FOREVER),
        verdict,
        HUNG_UP,
        dialects=tuple(told),
    )


def error_event(kind: str, **told: Any) -> dict[str, Any]:
    """OpenAI's likes have a number in it, Anthropic a type."""
    spoken = event("error", error={"type": kind, "message": "Not now."})
    return {"openai": {"error": {"message": "Not now.", **told}}, "anthropic": spoken}


BROKEN_OFF = "it ends without a finish_reason"
TAILS = (
    Tail(BROKEN_OFF, "truncated", lambda _, said: streamed(*said)),
    Tail("[DONE] without a finish_reason", "truncated", lambda dialect, said: done(*said, *DIALECTS[dialect].done)),
    Tail("it ends within an event", "truncated", lambda _, said: streamed(*said, b'data: {"id"')),
    Tail("a chunk that is cut", "truncated", lambda _, said: streamed(*said, last=b"20\r\ndata")),
    Tail("no last chunk", "truncated", lambda _, said: streamed(*said, last=b"")),
    Tail("shorter than its Content-Length", "truncated", lambda _, said: unchunked(said, content_length=99999)),
    Tail("closed, without length or chunks", "truncated", lambda _, said: unchunked(said)),
    Tail("reset", "connection", lambda _, said: streamed(*said, RESET)),
    Tail("no size", "invalid_response", lambda _, said: [*streamed(*said, 1.0, last=b"zz\r\n"), FOREVER], end=HUNG_UP),
    Tail(
        "silent for longer than the target has",
        TOO_LATE,
        lambda _, said: streamed(*said, FOREVER),
        LATE,
        HUNG_UP,
        IMPATIENT,
    ),
    after_which_it_hangs_up("an event that is no JSON", "invalid_response", dict.fromkeys(DIALECTS, b"data: {\n\n")),
    after_which_it_hangs_up("an event that is no object", "invalid_response", dict.fromkeys(DIALECTS, b"data: 7\n\n")),
    after_which_it_hangs_up("an event of no known shape", "invalid_response", {"openai": {"choices": [7]}}),
    after_which_it_hangs_up("an error event", INNER, error_event("api_error", type="server_error")),
    after_which_it_hangs_up(
        "an error event: overloaded",
        {"openai": "503", "anthropic": "529"},
        error_event("overloaded_error", code=503),
        BUSY,
    ),
    after_which_it_hangs_up("an error event: a limit", "429", error_event("rate_limit_error", code=429), LIMITED),
    after_which_it_hangs_up(
        "an error event: a refusal", "400", error_event("invalid_request_error", code=400), REJECTED
    ),
    after_which_it_hangs_up("an error event: a wrong key", "401", error_event("authentication_error", code=401), OURS),
)
EMPTY = Fault("a stream without an event", BODY, "truncated", FAILED, lambda _: streamed(), (*ALL, CURED), (STREAM,))
FAULTS = (*EARLY, *STATUSES, *BODIES, EMPTY, *(tail.fault(phase) for phase in (BODY, AFTER) for tail in TAILS))
