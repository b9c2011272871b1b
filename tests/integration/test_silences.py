"""Upstreams that say nothing for long. conftest.py holds all of these talks while other tests run."""

import pytest

from tests.integration.conftest import LATE

PING = b": ping"


@pytest.fixture
def talks(all_talks, worker_class):
    return {name: talk.result() for name, talk in all_talks[worker_class].items()}


def before_content(heard):
    return heard.lines[: next(n for n, line in enumerate(heard.lines) if line.startswith(b"data: "))]


@pytest.mark.parametrize("name", ["late", "late with usage", "late headers"])
def test_a_stream_that_begins_late_begins_with_pings(talks, name):
    heard = talks[name]
    assert heard.status == 200
    assert heard.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert before_content(heard) == [PING]
    assert 8 < heard.heard[0][0] < LATE
    assert heard.text == "Hello"
    assert heard.finishes == ["stop"]
    assert heard.done


@pytest.mark.parametrize("name", ["late", "late with usage", "late headers", "late fallback"])
def test_what_was_not_known_in_time_for_the_headers_is_in_the_last_chunk(talks, name):
    heard = talks[name]
    for header in ("x-gateway-provider", "x-gateway-model", "x-gateway-attempts"):
        assert heard.headers[header] is None
    *others, last = heard.chunks
    assert all("gateway" not in one for one in others)
    assert set(last["gateway"]) >= {"provider", "model", "attempts"}
    assert last["gateway"]["attempts"].endswith(":200")
    assert (last["choices"] == []) == (name == "late with usage")


def test_a_late_failure_is_an_error_frame(talks):
    heard = talks["late failure"]
    assert heard.status == 200
    assert "Late and wrong." in heard.error["message"]
    assert heard.frames[-1]["gateway"]["attempts"] == "openai:400"
    assert not heard.done
    assert heard.chunks == []


def test_another_target_is_tried_though_the_stream_has_begun(talks):
    heard = talks["late fallback"]
    assert heard.status == 200
    assert heard.text == "Second."
    assert heard.done
    gateway = heard.chunks[-1]["gateway"]
    assert gateway["provider"] == "anthropic"
    first, *_, last = gateway["attempts"].split(",")
    assert first.startswith("openai:")
    assert last == "anthropic:200"


def test_each_ten_seconds_of_silence_after_the_first_content_are_a_ping(talks):
    heard = talks["break"]
    pings = [at for at, line in heard.heard if line == PING]
    assert len(pings) == 2
    assert 8 < pings[0] < 15
    assert 8 < pings[1] - pings[0] < 15
    assert heard.text == "Hello"
    assert heard.done
    assert "gateway" not in heard.chunks[-1]
    assert heard.headers["x-gateway-attempts"] == "openai:200"


def test_a_failure_after_a_ping_is_an_error_frame(talks):
    heard = talks["break then failure"]
    assert PING in heard.lines
    assert heard.error["code"] == "upstream_error"
    assert not heard.done


def test_a_ping_has_one_newline(talks):
    for heard in talks.values():
        follow = [after for line, after in zip(heard.lines, heard.lines[1:], strict=False) if line == PING]
        assert follow
        assert b"" not in follow
