"""Where the events stand in a stream of bytes: server-sent events, by https://html.spec.whatwg.org/#parsing-an-event-stream."""

import re
from collections.abc import Iterable, Iterator

from gateway.errors import UpstreamFailed
from gateway.stream_events import PAUSE, Event, Pause

LINE_END = rb"(?:\r\n|\n|\r(?!\n))"
BLANK_LINE = re.compile(LINE_END + LINE_END)
BOM = b"\xef\xbb\xbf"
MOST = 64 << 20
"""The most bytes that one event may have: beyond it the upstream speaks nonsense."""


def sse_events(blocks: Iterable[bytes | Pause]) -> Iterator[Event | Pause]:
    """
    The events of a stream, and PAUSE after those of each block.

    Blocks may be cut anywhere, in a character or in a line end. What stands after the last blank line was cut: it is
    no event. Events without data (comments, `id:`, `retry:`) are left out.
    """
    rest, begun = b"", False
    for block in blocks:
        if block is not PAUSE:
            if begun and not rest and _is_one_line(block):
                yield Event("", block[6:-2])
                yield PAUSE
                continue
            searched = max(0, len(rest) - 3)
            rest += block
            if not begun:
                rest, begun = rest.removeprefix(BOM), len(rest) >= len(BOM)
            whole, rest = _whole(rest, searched)
            for text in whole:
                event = _event(text)
                if event is not None:
                    yield event
            if len(rest) > MOST:
                raise UpstreamFailed("The upstream's stream has an event of more than 64 MB.")
        yield PAUSE


def _is_one_line(block: bytes) -> bool:
    """Whether a block is what most are: one event, whole, in one line."""
    end = len(block) - 2
    return block.startswith(b"data: ") and block.find(b"\n") == end and block.endswith(b"\n\n") and b"\r" not in block


def _whole(text: bytes, searched: int) -> tuple[list[bytes], bytes]:
    """The events that have their blank line, and the rest; before `searched` there is no blank line."""
    if b"\r" not in text:
        if text.find(b"\n\n", searched) < 0:
            return [], text
        *whole, rest = text.split(b"\n\n")
        return whole, rest
    if BLANK_LINE.search(text, searched) is None:
        return [], text
    *whole, rest = BLANK_LINE.split(text)
    return whole, rest


def _event(text: bytes) -> Event | None:
    """One event from its lines."""
    if text.startswith(b"data: ") and b"\n" not in text and b"\r" not in text:
        return Event("", text[6:])
    name, data = b"", []
    for line in text.splitlines():
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return Event(name.decode("utf-8", "replace"), b"\n".join(data)) if data else None
