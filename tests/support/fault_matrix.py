"""
The expected view of client, upstream and log for each fault: the table in docs/reliability.md.

By the rules of docs/errors-and-streams.md a fault becomes a row for each route and each form of the response. Rows that
no such rule covers are written out. `python -m tests.support.fault_matrix` writes the table into the document.
"""

from pathlib import Path
from typing import Any, NamedTuple

from tests.support.faults import (
    AFTER_CONTENT,
    ALL_ROUTES,
    ANTHROPIC,
    BEFORE_CONTENT,
    BEFORE_HEADERS,
    CONNECTING,
    DIALECTS,
    ERROR_BODY,
    FAULTS,
    FORMS,
    IN_HEADERS,
    INCOMPLETE_HEAD,
    LONG_SILENCE,
    OPENAI,
    OPENAI_ANTHROPIC,
    OTHER_MODEL,
    PHASES,
    PLAIN,
    STREAM,
    ExpectedError,
    Fault,
    Route,
    stream_start,
    valid_response,
)
from tests.support.scripted_upstream import ABORTED, DONE, SENT, json_response, response_head, sse_response

DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"
TABLE_START = "<!-- table: python -m tests.support.fault_matrix -->\n"
TABLE_END = "<!-- end of the table -->\n"
# When a client disconnects.
LAST_SCRIPT_STARTED, FIRST_SCRIPT_ENDED, CONTENT_RECEIVED, AFTER_HALF_A_SECOND = (
    "last script started",
    "first script ended",
    "content received",
    "after half a second",
)
DISCONNECTS = "disconnects"
# What other clients meet of a fault.
NOTHING = "nothing"


class Observation(NamedTuple):
    """
    What client, upstream, log and other clients see, as the table puts it. `attempts` is x-gateway-attempts, `logged` the
    log's. `others`: what a second client meets meanwhile that calls another model of the same provider.
    """

    client: str
    attempts: str
    upstream: str
    log: str
    logged: str
    others: str = NOTHING


class Row(NamedTuple):
    """`scripts`: one for each call to the upstream. `disconnect`: when the client does, "" if it does not."""

    fault: str
    phase: str
    route: Route
    form: str
    scripts: tuple[list[Any], ...]
    expected: Observation
    origin: str = ""
    disconnect: str = ""

    @property
    def prefix(self) -> str:
        """The start of the model name, which selects the targets."""
        return "-".join(filter(None, (self.origin, self.route.name))) + "/"

    def __str__(self) -> str:
        return f"{self.phase}: {self.fault} ({self.route.label}, {self.form})"


def success_cell(text: str, form: str) -> str:
    """Return the client's cell for a complete response."""
    return f'200 "{text}" stop' + (" [DONE]" if form == STREAM else "")


def error_cell(error: ExpectedError) -> str:
    """Return the client's cell for an error response."""
    return f"{error.status} {error.code}" + (f" Retry-After {error.retry_after}" if error.retry_after else "")


def fault_row(fault: Fault, route: Route, form: str) -> Row:
    """Return the row that follows from a fault by the rules for retries and fallbacks."""
    first, *others = route.dialects
    error, status = fault.error, fault.attempt_status
    status = status if isinstance(status, str) else status[first]
    calls = 2 if error.retried and not route.first_call_only and fault.phase != AFTER_CONTENT else 1
    scripts = [] if fault.phase == CONNECTING else [fault.script(first)] * calls
    upstream, attempts = [f"{first} {fault.outcome}"] * len(scripts), [f"{first}:{status}"] * calls
    fallbacks = others if error.falls_back or route is OTHER_MODEL else []
    succeeding = first if route.first_call_only else fallbacks[0] if fallbacks else ""
    if fault.phase == AFTER_CONTENT:
        client, log = f'200 "Hel" error {error.code}', f"failed 200 {error.error_class}"
        expected = Observation(client, f"{first}:200", upstream[0], log, f"{first}:200,{attempts[0]}")
    elif succeeding:
        scripts.append(valid_response(succeeding, form, "Second."))
        upstream.append(f"{succeeding} {SENT}")
        trail = ",".join([*attempts, f"{succeeding}:200"])
        expected = Observation(success_cell("Second.", form), trail, ", ".join(upstream), "completed 200", trail)
    else:
        trail, log = ",".join(attempts), f"failed {error.status} {error.error_class}"
        expected = Observation(error_cell(error), trail, ", ".join(upstream) or "no call", log, trail)
    return Row(fault.name, fault.phase, route, form, tuple(scripts), expected, fault.origin)


def two_failures(
    fault: str, first: list[Any], second: list[Any], *, client: str, attempts: str, log: str
) -> tuple[Row, ...]:
    """Return the rows of two targets that each fail once, by their status."""
    expected = Observation(client, attempts, f"openai {SENT}, anthropic {SENT}", log, attempts)
    return tuple(Row(fault, IN_HEADERS, OPENAI_ANTHROPIC, form, (first, second), expected) for form in FORMS)


TWO_FAILURES = (
    *two_failures(
        "429 from both, with Retry-After: 70 and 30",
        json_response(ERROR_BODY, 429, retry_after=70),
        json_response(ERROR_BODY, 429, retry_after=30),
        client="429 rate_limit_exceeded Retry-After 30",
        attempts="openai:429,anthropic:429",
        log="failed 429 UpstreamLimited",
    ),
    *two_failures(
        "429 from the first, 401 from the second",
        json_response(ERROR_BODY, 429, retry_after=70),
        json_response(ERROR_BODY, 401),
        client="502 upstream_credentials",
        attempts="openai:429,anthropic:401",
        log="failed 502 UpstreamCredentials",
    ),
    *two_failures(
        "401 from the first, 400 from the second",
        json_response(ERROR_BODY, 401),
        json_response(ERROR_BODY, 400),
        client="400 invalid_request_error",
        attempts="openai:401,anthropic:400",
        log="failed 400 UpstreamRejected",
    ),
)


def success_row(
    fault: str, route: Route, form: str, script: list[Any], *, text: str = "Hello", outcome: str = SENT
) -> Row:
    """Return the row of a response that the client receives completely."""
    dialect = route.dialects[0]
    attempts = f"{dialect}:200"
    expected = Observation(success_cell(text, form), attempts, f"{dialect} {outcome}", "completed 200", attempts)
    return Row(fault, AFTER_CONTENT, route, form, (script,), expected)


def finished_stream(dialect: str, *steps: Any) -> list[Any]:
    """Script a stream up to its finish_reason, and these steps after it."""
    return sse_response(*stream_start(dialect, AFTER_CONTENT), *DIALECTS[dialect].finish, *steps)


NO_FAULT = "no fault"
SUCCESSES = (
    *(
        success_row(NO_FAULT, route, form, valid_response(route.dialects[0], form))
        for route in ALL_ROUTES
        for form in FORMS
    ),
    *(
        success_row("finish_reason without [DONE]", route, STREAM, finished_stream(route.name), text="Hel")
        for route in (OPENAI, ANTHROPIC)
    ),
    *(
        success_row("plain response to a stream request", route, STREAM, valid_response(route.name, PLAIN))
        for route in (OPENAI, ANTHROPIC)
    ),
    success_row(
        "silent after [DONE]",
        OPENAI,
        STREAM,
        finished_stream("openai", DONE, LONG_SILENCE),
        text="Hel",
        outcome=ABORTED,
    ),
)

CLIENT_DISCONNECTS = "client disconnects"
DISCONNECTS_IN_PAUSE = f"{CLIENT_DISCONNECTS} during a pause"
SERVER_ERROR = json_response(ERROR_BODY, 500)


def disconnect_row(
    fault: str,
    phase: str,
    route: Route,
    form: str,
    *scripts: Any,
    attempts: str = "",
    when: str = LAST_SCRIPT_STARTED,
    origin: str = "",
) -> Row:
    """Return the row of a client that disconnects: the gateway aborts the call that is in flight."""
    finished = [f"{dialect} {SENT}" for dialect in route.dialects for _ in range(attempts.count(f"{dialect}:5"))]
    in_flight = [f"{route.dialects[-1]} {ABORTED}"] if when in (LAST_SCRIPT_STARTED, CONTENT_RECEIVED) else []
    log = "client_disconnected 499" + ("" if when == CONTENT_RECEIVED else " ClientDisconnected")
    expected = Observation(DISCONNECTS, "", ", ".join([*finished, *in_flight]) or "no call", log, attempts)
    return Row(fault, phase, route, form, scripts, expected, origin, when)


def busy_stream(dialect: str, phase: str, step: Any) -> list[Any]:
    """Script a stream that repeats a step every 50 ms for 20 s."""
    return sse_response(*stream_start(dialect, phase), *([step, 0.05] * 400))


DISCONNECT_ROWS = (
    *(
        disconnect_row(
            f"{CLIENT_DISCONNECTS} {during}",
            CONNECTING,
            OPENAI,
            form,
            [],
            when=AFTER_HALF_A_SECOND,
            origin=origin,
        )
        for origin, during in (
            ("connect-timeout", "during the TCP handshake"),
            ("tls-timeout", "during the TLS handshake"),
        )
        for form in FORMS
    ),
    *(
        disconnect_row(CLIENT_DISCONNECTS, BEFORE_HEADERS, route, form, [LONG_SILENCE])
        for route in (OPENAI, ANTHROPIC)
        for form in FORMS
    ),
    *(
        disconnect_row(
            f"{CLIENT_DISCONNECTS} during the fallback",
            BEFORE_HEADERS,
            OPENAI_ANTHROPIC,
            form,
            SERVER_ERROR,
            SERVER_ERROR,
            [LONG_SILENCE],
            attempts="openai:500,openai:500",
        )
        for form in FORMS
    ),
    *(
        disconnect_row(
            f"{CLIENT_DISCONNECTS} between two attempts",
            BEFORE_HEADERS,
            OPENAI,
            form,
            json_response(ERROR_BODY, 503, retry_after=3),
            [LONG_SILENCE],
            attempts="openai:503",
            when=FIRST_SCRIPT_ENDED,
        )
        for form in FORMS
    ),
    *(disconnect_row(CLIENT_DISCONNECTS, IN_HEADERS, OPENAI, form, [INCOMPLETE_HEAD, LONG_SILENCE]) for form in FORMS),
    *(
        disconnect_row(
            CLIENT_DISCONNECTS,
            BEFORE_CONTENT,
            route,
            PLAIN,
            [response_head(content_length=1000) + b"{", LONG_SILENCE],
        )
        for route in (OPENAI, ANTHROPIC)
    ),
    *(
        disconnect_row(
            CLIENT_DISCONNECTS,
            BEFORE_CONTENT,
            route,
            STREAM,
            sse_response(*stream_start(route.name, BEFORE_CONTENT), LONG_SILENCE),
        )
        for route in (OPENAI, ANTHROPIC)
    ),
    disconnect_row(
        f"{CLIENT_DISCONNECTS} while comments arrive",
        BEFORE_CONTENT,
        OPENAI,
        STREAM,
        busy_stream("openai", BEFORE_CONTENT, b": beat\n\n"),
    ),
    *(
        disconnect_row(fault, AFTER_CONTENT, route, STREAM, script, attempts=f"{route.name}:200", when=CONTENT_RECEIVED)
        for route in (OPENAI, ANTHROPIC)
        for fault, script in (
            (DISCONNECTS_IN_PAUSE, sse_response(*stream_start(route.name, AFTER_CONTENT), LONG_SILENCE)),
            (
                f"{CLIENT_DISCONNECTS} while text arrives",
                busy_stream(route.name, AFTER_CONTENT, DIALECTS[route.name].text_delta("lo")),
            ),
        )
    ),
    disconnect_row(
        f"{CLIENT_DISCONNECTS} during the fallback",
        AFTER_CONTENT,
        OPENAI_ANTHROPIC,
        STREAM,
        SERVER_ERROR,
        SERVER_ERROR,
        sse_response(*stream_start("anthropic", AFTER_CONTENT), LONG_SILENCE),
        attempts="openai:500,openai:500,anthropic:200",
        when=CONTENT_RECEIVED,
    ),
)
ROWS = (
    *(fault_row(fault, route, form) for fault in FAULTS for route in fault.routes for form in fault.forms),
    *TWO_FAILURES,
    *SUCCESSES,
    *DISCONNECT_ROWS,
)


def markdown_tables() -> str:
    """Return a Markdown table for each phase. Routes and forms with the same expectation share a line."""
    return "\n".join(f"### {phase}\n\n{_table([row for row in ROWS if row.phase == phase])}" for phase in PHASES)


def _table(rows: list[Row]) -> str:
    heading = [
        "| fault | targets | request | client | attempts | upstream | log | others |",
        "|---|---|---|---|---|---|---|---|",
    ]
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        client, attempts, upstream, log, logged, others = row.expected
        log += f" {logged}" if logged != attempts else ""
        groups.setdefault((row.fault, client.removesuffix(" [DONE]"), attempts, upstream, log, others), []).append(row)
    return "\n".join([*heading, *(_line(cells, group) for cells, group in groups.items()), ""])


def _line(cells: tuple[str, ...], rows: list[Row]) -> str:
    fault, client, *others = cells
    routes, forms = dict.fromkeys(row.route.label for row in rows), dict.fromkeys(row.form for row in rows)
    done = " [DONE]" if any(row.expected.client.endswith("[DONE]") for row in rows) else ""
    cells = (fault, "; ".join(routes), ", ".join(forms), client + done, *others)
    return "|" + "".join(f" {cell} |" if cell else " |" for cell in cells)


def with_current_tables(document: str) -> str:
    """Return the document with the tables generated from ROWS."""
    before, _, rest = document.partition(TABLE_START)
    _, _, after = rest.partition(TABLE_END)
    return f"{before}{TABLE_START}\n{markdown_tables()}\n{TABLE_END}{after}"


if __name__ == "__main__":
    DOCUMENT.write_text(with_current_tables(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
