"""Upstreams that stay silent for long. conftest.py starts all of these streams before the other tests run."""

import pytest

from tests.support.idle_streams import SILENCE

PING = b": ping"


@pytest.fixture
def idle_streams(all_idle_streams, worker_class):
    return {name: future.result() for name, future in all_idle_streams[worker_class].items()}


def lines_before_content(response):
    return response.lines[: next(index for index, line in enumerate(response.lines) if line.startswith(b"data: "))]


@pytest.mark.parametrize("name", ["late content", "late content with usage", "late headers"])
def test_a_stream_with_late_content_starts_with_a_ping(idle_streams, name):
    response = idle_streams[name]
    assert response.status == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert lines_before_content(response) == [PING]
    assert 8 < response.timed_lines[0][0] < SILENCE
    assert response.text == "Hello"
    assert response.finish_reasons == ["stop"]
    assert response.done


@pytest.mark.parametrize("name", ["late content", "late content with usage", "late headers", "late fallback"])
def test_the_last_chunk_of_a_late_stream_has_the_fields_that_its_headers_lack(idle_streams, name):
    response = idle_streams[name]
    for header in ("x-gateway-provider", "x-gateway-model", "x-gateway-attempts"):
        assert response.headers[header] is None
    *others, last = response.chunks
    assert all("gateway" not in chunk for chunk in others)
    assert set(last["gateway"]) >= {"provider", "model", "attempts"}
    assert last["gateway"]["attempts"].endswith(":200")
    assert (last["choices"] == []) == (name == "late content with usage")


def test_a_late_error_is_an_error_frame(idle_streams):
    response = idle_streams["late error"]
    assert response.status == 200
    assert "Late and wrong." in response.error["message"]
    assert response.frames[-1]["gateway"]["attempts"] == "openai:400"
    assert not response.done
    assert response.chunks == []


def test_a_stream_that_started_with_pings_falls_back_to_another_target(idle_streams):
    response = idle_streams["late fallback"]
    assert response.status == 200
    assert response.text == "Second."
    assert response.done
    gateway = response.chunks[-1]["gateway"]
    assert gateway["provider"] == "anthropic"
    first, *_, last = gateway["attempts"].split(",")
    assert first.startswith("openai:")
    assert last == "anthropic:200"


def test_the_gateway_sends_a_ping_every_ten_seconds_of_silence_after_the_first_content(idle_streams):
    response = idle_streams["pause"]
    pings = [seconds for seconds, line in response.timed_lines if line == PING]
    assert len(pings) == 2
    assert 8 < pings[0] < 15
    assert 8 < pings[1] - pings[0] < 15
    assert response.text == "Hello"
    assert response.done
    assert "gateway" not in response.chunks[-1]
    assert response.headers["x-gateway-attempts"] == "openai:200"


def test_a_failure_after_a_ping_is_an_error_frame(idle_streams):
    response = idle_streams["pause, then reset"]
    assert PING in response.lines
    assert response.error["code"] == "upstream_error"
    assert not response.done


def test_a_ping_ends_in_a_single_newline(idle_streams):
    for response in idle_streams.values():
        next_lines = [
            next_line for line, next_line in zip(response.lines, response.lines[1:], strict=False) if line == PING
        ]
        assert next_lines
        assert b"" not in next_lines
