"""
The framing of server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html

Quotations are from its sections 9.2.5, "Parsing an event stream", and 9.2.6, "Interpreting an event stream".
"""

import re
from collections.abc import Iterable, Iterator

from gateway.errors import UpstreamFailed
from gateway.stream_events import PAUSE, Event, Pause

# 9.2.5: end-of-line = ( cr lf / cr / lf ). Where a block is cut within a CR LF, the CR counts as the line end. The LF
# then begins the next event with an empty line, which changes nothing.
LINE_END = rb"(?:\r\n|\n|\r(?!\n))"
BLANK_LINE = re.compile(LINE_END + LINE_END)
BOM = b"\xef\xbb\xbf"
# An upstream that never ends its event would fill the memory.
MAX_EVENT_BYTES = 8 << 20


def sse_events(blocks: Iterable[bytes | Pause], max_event: int = MAX_EVENT_BYTES) -> Iterator[Event | Pause]:
    """
    The events of a stream, and PAUSE after those of each block.

    Blocks may be cut anywhere, within a character or a line end. Events without data (comments, `id:`, `retry:`, an empty
    `data:`) are left out. Raises UpstreamFailed for an event of more than `max_event` bytes.
    """
    # A bytearray: an event may come in pieces of one byte, each of which would copy a bytes object of all before it.
    buffer, started = bytearray(), False
    for block in blocks:
        if block is not PAUSE:
            if started and not buffer and _is_single_line_event(block):
                yield Event("", block[6:-2])
                yield PAUSE
                continue
            if started and not buffer:
                *complete, rest = _split(block)
            else:
                # A blank line has up to four bytes (CR LF CR LF), three of which may have come before.
                search_start = max(0, len(buffer) - 3)
                buffer += block
                if not started:
                    # 9.2.6: "The UTF-8 decode algorithm strips one leading UTF-8 Byte Order Mark (BOM), if any."
                    started = len(buffer) >= len(BOM)
                    buffer = buffer.removeprefix(BOM)
                complete, rest = [], b""
                if _has_blank_line(buffer, search_start):
                    *complete, rest = _split(bytes(buffer))
                    buffer.clear()
            if rest:
                buffer += rest
            for lines in complete:
                event = _event(lines)
                if event is not None:
                    yield event
            if len(buffer) > max_event:
                raise UpstreamFailed(
                    f"The upstream's stream has an event of more than {max_event} bytes.",
                    upstream_status="invalid_response",
                )
        yield PAUSE
    # The rest of the buffer is dropped. 9.2.6: "If the file ends in the middle of an event, before the final empty
    # line, the incomplete event is not dispatched."


def _is_single_line_event(block: bytes) -> bool:
    """Whether a block is what most blocks are: one whole event with one line of data, an object."""
    end = len(block) - 2
    return block.startswith(b"data: {") and block.find(b"\n") == end and block.endswith(b"\n\n") and b"\r" not in block


def _has_blank_line(buffer: bytearray, search_start: int) -> bool:
    """Whether an event is complete; no blank line begins before `search_start`."""
    if buffer.find(b"\r", search_start) < 0:
        return buffer.find(b"\n\n", search_start) >= 0
    return BLANK_LINE.search(buffer, search_start) is not None


def _split(buffer: bytes) -> list[bytes]:
    """The events in a buffer, as their lines; the last one is incomplete."""
    return buffer.split(b"\n\n") if b"\r" not in buffer else BLANK_LINE.split(buffer)


def _event(lines: bytes) -> Event | None:
    """The event in its lines; None where it has no data."""
    if lines.startswith(b"data: {") and b"\n" not in lines and b"\r" not in lines:
        return Event("", lines[6:])
    name, data = b"", []
    # bytes.splitlines knows the line ends of 9.2.5 and no others, unlike str.splitlines (U+2028, U+0085).
    for line in lines.splitlines():
        # 9.2.6: a line that "starts with a U+003A COLON character (:)" is a comment; its field name is empty here.
        field, _, value = line.partition(b":")
        # 9.2.6: "If value starts with a U+0020 SPACE character, remove it from value."
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    # 9.2.6 lets an event with empty data be dispatched. No vendor says anything by one: some keep a connection alive by it.
    joined = data[0] if len(data) == 1 else b"\n".join(data)
    return Event(name.decode("utf-8", "replace"), joined) if joined.strip() else None
