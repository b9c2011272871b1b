"""The framing of server-sent events, whatever the blocks that the bytes arrive in."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.sse import MAX_EVENT_BYTES, sse_events
from gateway.errors import UpstreamFailed
from gateway.stream_events import PAUSE, Event, Pause


def events(*blocks: bytes) -> list[Event]:
    return [event for event in sse_events(blocks) if not isinstance(event, Pause)]


def test_an_event_has_its_data():
    assert events(b'data: {"a": 1}\n\n') == [Event("", b'{"a": 1}')]


def test_an_event_may_have_a_name():
    assert events(b"event: error\ndata: x\n\n") == [Event("error", b"x")]


def test_several_data_lines_are_joined_by_line_feeds():
    assert events(b"data: a\ndata: b\n\n") == [Event("", b"a\nb")]


def test_a_single_space_after_the_colon_is_removed():
    assert events(b"data:a\n\ndata:  b\n\n") == [Event("", b"a"), Event("", b" b")]


def test_comments_and_events_without_data_are_ignored():
    assert events(b": ping\n\nevent: ping\n\nid: 7\n\nretry: 3\n\ndata: x\n\n") == [Event("", b"x")]


def test_a_comment_may_precede_an_event_without_a_blank_line():
    assert events(b": ping\ndata: x\n\n") == [Event("", b"x")]


def test_a_byte_order_mark_is_skipped():
    assert events(b"\xef\xbb", b"\xbfdata: x\n\n") == [Event("", b"x")]


def test_an_incomplete_event_at_the_end_is_dropped():
    assert events(b"data: a\n\ndata: b\n") == [Event("", b"a")]


def test_unicode_line_separators_do_not_end_a_line():
    assert events("data: a\u2028b\x85c\n\n".encode()) == [Event("", "a\u2028b\x85c".encode())]


def test_a_pause_follows_the_events_of_each_block_and_each_pause_is_passed_on():
    assert list(sse_events([b"data: a\n\ndata: b\n\nda", PAUSE, b"ta: c\n\n"])) == [
        Event("", b"a"),
        Event("", b"b"),
        PAUSE,
        PAUSE,
        Event("", b"c"),
        PAUSE,
    ]


@pytest.mark.parametrize(
    "empty", [b"data:\n\n", b"data: \n\n", b"data\n\n", b"event: ping\ndata:  \n\n", b"data\rdata:\r\r"]
)
def test_an_event_with_empty_data_is_left_out(empty):
    assert events(b'data: {"a": 1}\n\n', empty, b'data: {"b": 1}\n\n') == [
        Event("", b'{"a": 1}'),
        Event("", b'{"b": 1}'),
    ]


def test_an_event_may_come_in_pieces_of_one_byte():
    data = b'{"text": "%b"}' % (b"x" * 100_000)
    assert events(*(bytes([byte]) for byte in b"data: %b\r\n\r\n" % data)) == [Event("", data)]


def test_the_largest_event_can_be_set():
    with pytest.raises(UpstreamFailed):
        list(sse_events([b"data: " + b"x" * 100], max_event=100))


def test_an_endless_event_raises_upstream_failed():
    with pytest.raises(UpstreamFailed):
        events(b"data: ", *itertools.repeat(b"x" * (MAX_EVENT_BYTES // 4), 5))


LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
VALUES = st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), max_size=8), min_size=1, max_size=3)


@given(st.lists(VALUES, max_size=5), LINE_ENDS, st.data())
def test_the_events_do_not_depend_on_the_cuts_between_blocks(messages, line_end, data):
    wire = b"".join(
        b"".join(b"data: " + value.encode() + line_end for value in values) + line_end for values in messages
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=12)))
    blocks = [wire[start:stop] for start, stop in itertools.pairwise([0, *cuts, len(wire)])]
    with_data = [values for values in messages if any(value.encode().strip() for value in values)]
    assert events(*blocks) == [Event("", "\n".join(values).encode()) for values in with_data]
