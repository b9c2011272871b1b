"""
Upstreams that say nothing for long. All of these talks are held at once, so that together they last as long as one.
"""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.upstream import DONE, RESET, ROLE, STOP, USAGE, message, plain, streamed, text
from tests.integration.wire import chat, stream

LATE = 11.5
"""Seconds of silence, past the 10 that the gateway waits before it begins."""
PING = b": ping"
TALKS = {
    "late": [streamed(LATE, ROLE, text("Hel"), text("lo"), STOP, DONE)],
    "late with usage": [streamed(ROLE, LATE, text("Hello"), STOP, USAGE, DONE)],
    "late headers": [[LATE, *streamed(ROLE, text("Hello"), STOP, DONE)]],
    "late failure": [[LATE, *plain({"error": {"message": "Late and wrong."}}, 400)]],
    "late fallback": [streamed(LATE, RESET), streamed(RESET), plain(message("Second."))],
    "break": [streamed(ROLE, text("Hel"), 21.5, text("lo"), STOP, DONE)],
    "break then failure": [streamed(ROLE, text("Hel"), LATE, RESET)],
}


@pytest.fixture(scope="session")
def all_talks(gateways, upstream):
    """What was heard in each, by worker class."""
    prefix = {"late fallback": "pair/"}
    options = {"late with usage": {"stream_options": {"include_usage": True}}}
    with ThreadPoolExecutor(len(gateways) * len(TALKS)) as pool:
        talks = {
            (kind, name): pool.submit(
                stream,
                gateway,
                chat(prefix.get(name, "openai/") + upstream.model(*scripts), **options.get(name, {})),
            )
            for kind, gateway in gateways.items()
            for name, scripts in TALKS.items()
        }
        return {kind: {name: talks[kind, name].result() for name in TALKS} for kind in gateways}


@pytest.fixture
def talks(all_talks, worker_class):
    return all_talks[worker_class]


def before_content(heard):
    return heard.lines[: next(n for n, line in enumerate(heard.lines) if line.startswith(b"data: "))]


@pytest.mark.parametrize("name", ["late", "late with usage", "late headers"])
def test_a_stream_that_begins_late_begins_with_pings(talks, name):
    heard = talks[name]
    assert heard.status == 200
    assert heard.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert before_content(heard) == [PING]
    assert 8 < heard.heard[0][0] < 11.4
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
    assert 8 < pings[0] < 12
    assert 8 < pings[1] - pings[0] < 12
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
