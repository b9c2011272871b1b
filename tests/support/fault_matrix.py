"""
What client, upstream and log see of each fault: the rows of docs/reliability.md.

By the rules of docs/errors-and-streams.md a fault becomes a row for each place where it can happen (one target, or the
first of two) and for each form of the answer; what no such rule covers is a row as it stands.
`python -m tests.integration.matrix` writes the rows into the document.
"""

from pathlib import Path
from typing import Any, NamedTuple

from tests.support.faults import (
    AFTER,
    ALL,
    ANTHROPIC,
    BODY,
    CONNECTING,
    DIALECTS,
    FAULTS,
    FOREVER,
    FORMS,
    HALF_A_HEAD,
    HEAD,
    HEADERS,
    HUNG_UP,
    OPENAI,
    OTHER,
    PAIR,
    PHASES,
    PLAIN,
    SAID,
    SENT,
    STREAM,
    Fault,
    Place,
    Verdict,
    good,
    opening,
)
from tests.support.scripted_upstream import DONE, head, plain, streamed

DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- the rows: python -m tests.integration.matrix -->\n", "<!-- end of the rows -->\n"


class Seen(NamedTuple):
    """What client, upstream and log see, in words. `trail` is x-gateway-attempts, `logged` the same in the log."""

    client: str
    trail: str
    upstream: str
    log: str
    logged: str


class Row(NamedTuple):
    """`scripts`: one for each call of the upstream. `leaves`: when the client does, "" if it stays."""

    fault: str
    phase: str
    place: Place
    form: str
    scripts: tuple[list[Any], ...]
    seen: Seen
    address: str = ""
    leaves: str = ""

    @property
    def prefix(self) -> str:
        """Of the model's name."""
        return "-".join(filter(None, (self.address, self.place.name))) + "/"

    def __str__(self) -> str:
        return f"{self.phase}: {self.fault} ({self.place.says}, {self.form})"


def answer(said: str, form: str) -> str:
    """How a client sees a whole answer."""
    return f'200 "{said}" stop' + (" [DONE]" if form == STREAM else "")


def refusal(verdict: Verdict) -> str:
    """How it sees an error."""
    return f"{verdict.status} {verdict.code}" + (f" Retry-After {verdict.wait}" if verdict.wait else "")


def row(fault: Fault, place: Place, form: str) -> Row:
    """What follows from a fault, by the rules for what is tried again and where."""
    first, *others = place.dialects
    verdict, word = fault.verdict, fault.word if isinstance(fault.word, str) else fault.word[first]
    tries = 2 if verdict.again and not place.cured and fault.phase != AFTER else 1
    scripts = [] if fault.phase == CONNECTING else [fault.script(first)] * tries
    ends, trail = [f"{first} {fault.end}"] * len(scripts), [f"{first}:{word}"] * tries
    moves = others if verdict.on or place is OTHER else []
    by = first if place.cured else moves[0] if moves else ""
    if fault.phase == AFTER:
        told, log = f'200 "Hel" error {verdict.code}', f"failed 200 {verdict.error}"
        seen = Seen(told, f"{first}:200", ends[0], log, f"{first}:200,{trail[0]}")
    elif by:
        scripts, ends, trail = [*scripts, good(by, form, "Second.")], [*ends, f"{by} {SENT}"], [*trail, f"{by}:200"]
        seen = Seen(answer("Second.", form), ",".join(trail), ", ".join(ends), "completed 200", ",".join(trail))
    else:
        log = f"failed {verdict.status} {verdict.error}"
        seen = Seen(refusal(verdict), ",".join(trail), ", ".join(ends) or "no call", log, ",".join(trail))
    return Row(fault.name, fault.phase, place, form, tuple(scripts), seen, fault.address)


def both(fault: str, first: list[Any], second: list[Any], *, client: str, trail: str, log: str) -> tuple[Row, ...]:
    """Two targets that fail by their status, each in its way, and are asked once."""
    seen = Seen(client, trail, f"openai {SENT}, anthropic {SENT}", log, trail)
    return tuple(Row(fault, HEAD, PAIR, form, (first, second), seen) for form in FORMS)


TOGETHER = (
    *both(
        "429 of both, with Retry-After: 70 and 30",
        plain(SAID, 429, retry_after=70),
        plain(SAID, 429, retry_after=30),
        client="429 rate_limit_exceeded Retry-After 30",
        trail="openai:429,anthropic:429",
        log="failed 429 UpstreamLimited",
    ),
    *both(
        "429 of the first, 401 of the second",
        plain(SAID, 429, retry_after=70),
        plain(SAID, 401),
        client="502 upstream_credentials",
        trail="openai:429,anthropic:401",
        log="failed 502 UpstreamCredentials",
    ),
    *both(
        "401 of the first, 400 of the second",
        plain(SAID, 401),
        plain(SAID, 400),
        client="400 invalid_request_error",
        trail="openai:401,anthropic:400",
        log="failed 400 UpstreamRejected",
    ),
)


def fine(fault: str, place: Place, form: str, script: list[Any], *, said: str = "Hello", end: str = SENT) -> Row:
    """An answer that is one, whatever else may be said of it."""
    by = place.dialects[0]
    seen = Seen(answer(said, form), f"{by}:200", f"{by} {end}", "completed 200", f"{by}:200")
    return Row(fault, AFTER, place, form, (script,), seen)


def finished(dialect: str, *more: Any) -> list[Any]:
    """A stream up to its finish_reason, and what follows."""
    return streamed(*opening(dialect, AFTER), *DIALECTS[dialect].finish, *more)


HEALTHY = "nothing is wrong"
FINE = (
    *(fine(HEALTHY, place, form, good(place.dialects[0], form)) for place in ALL for form in FORMS),
    *(
        fine("a finish_reason and no [DONE]", place, STREAM, finished(place.name), said="Hel")
        for place in (OPENAI, ANTHROPIC)
    ),
    *(
        fine("a whole answer where a stream was asked for", place, STREAM, good(place.name, PLAIN))
        for place in (OPENAI, ANTHROPIC)
    ),
    fine("silent after [DONE]", OPENAI, STREAM, finished("openai", DONE, FOREVER), said="Hel", end=HUNG_UP),
)

ASKED, ENDED, HEARD, SOON = "the last script is played", "the first script is over", "content is there", "soon"
"""When a client leaves."""
AWAY = "the client leaves"
FAILING = plain(SAID, 500)


def leaving(
    fault: str, phase: str, place: Place, form: str, *scripts: Any, trail: str = "", when: str = ASKED, **more: Any
) -> Row:
    """A client that leaves: of the calls that were made, the one under way is hung up."""
    over = [f"{dialect} {SENT}" for dialect in place.dialects for _ in range(trail.count(f"{dialect}:5"))]
    in_flight = [f"{place.dialects[-1]} {HUNG_UP}"] if when in (ASKED, HEARD) else []
    log = "client_disconnected 499" if when == HEARD else "client_disconnected 499 ClientDisconnected"
    seen = Seen("leaves", "", ", ".join([*over, *in_flight]) or "no call", log, trail)
    return Row(fault, phase, place, form, scripts, seen, leaves=when, **more)


def going_on(dialect: str, phase: str, step: Any) -> list[Any]:
    """A stream with a step every 50 ms, for long."""
    return streamed(*opening(dialect, phase), *(one for _ in range(400) for one in (step, 0.05)))


LEAVING = (
    *(
        leaving(f"{AWAY} {while_}", CONNECTING, OPENAI, form, [], when=SOON, address=address)
        for address, while_ in (("deaf", "before a connection"), ("mute", "before TLS is agreed on"))
        for form in FORMS
    ),
    *(leaving(AWAY, HEADERS, place, form, [FOREVER]) for place in (OPENAI, ANTHROPIC) for form in FORMS),
    *(
        leaving(
            f"{AWAY} the second target", HEADERS, PAIR, form, FAILING, FAILING, [FOREVER], trail="openai:500,openai:500"
        )
        for form in FORMS
    ),
    *(
        leaving(f"{AWAY} between two attempts", HEADERS, OPENAI, form, first, [FOREVER], trail="openai:503", when=ENDED)
        for form in FORMS
        for first in [plain(SAID, 503, retry_after=3)]
    ),
    *(leaving(AWAY, HEAD, OPENAI, form, [HALF_A_HEAD, FOREVER]) for form in FORMS),
    *(leaving(AWAY, BODY, place, PLAIN, [head(content_length=1000) + b"{", FOREVER]) for place in (OPENAI, ANTHROPIC)),
    *(
        leaving(AWAY, BODY, place, STREAM, streamed(*opening(place.name, BODY), FOREVER))
        for place in (OPENAI, ANTHROPIC)
    ),
    leaving(f"{AWAY} while comments come", BODY, OPENAI, STREAM, going_on("openai", BODY, b": beat\n\n")),
    *(
        leaving(name, AFTER, place, STREAM, script(place.name), trail=f"{place.name}:200", when=HEARD)
        for place in (OPENAI, ANTHROPIC)
        for name, script in (
            (f"{AWAY} in a silence", lambda dialect: streamed(*opening(dialect, AFTER), FOREVER)),
            (f"{AWAY} while text comes", lambda dialect: going_on(dialect, AFTER, DIALECTS[dialect].said("lo"))),
        )
    ),
    leaving(
        f"{AWAY} the second target",
        AFTER,
        PAIR,
        STREAM,
        FAILING,
        FAILING,
        streamed(*opening("anthropic", AFTER), FOREVER),
        trail="openai:500,openai:500,anthropic:200",
        when=HEARD,
    ),
)
ROWS = (
    *(row(fault, place, form) for fault in FAULTS for place in fault.places for form in fault.forms),
    *TOGETHER,
    *FINE,
    *LEAVING,
)


def table() -> str:
    """The rows as Markdown, a table for each phase; places and forms with the same outcome share a line."""
    return "\n".join(f"### {phase}\n\n{_lines([one for one in ROWS if one.phase == phase])}" for phase in PHASES)


def _lines(rows: list[Row]) -> str:
    heading = ["| fault | asked | form | client | attempts | upstream | log |", "|---|---|---|---|---|---|---|"]
    same: dict[tuple[str, ...], list[Row]] = {}
    for one in rows:
        client, trail, upstream, log, logged = one.seen
        more = f" {logged}" if logged != trail else ""
        same.setdefault((one.fault, client.removesuffix(" [DONE]"), trail, upstream, log + more), []).append(one)
    return "\n".join([*heading, *(_line(outcome, group) for outcome, group in same.items()), ""])


def _line(outcome: tuple[str, ...], rows: list[Row]) -> str:
    fault, client, *seen = outcome
    places, forms = dict.fromkeys(one.place.says for one in rows), dict.fromkeys(one.form for one in rows)
    done = " [DONE]" if any(one.seen.client.endswith("[DONE]") for one in rows) else ""
    cells = (fault, "; ".join(places), ", ".join(forms), client + done, *seen)
    return "|" + "".join(f" {cell} |" if cell else " |" for cell in cells)


def document(written: str) -> str:
    """The document, with the rows as they are now."""
    before, _, rest = written.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    DOCUMENT.write_text(document(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
