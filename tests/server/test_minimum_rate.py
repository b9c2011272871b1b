"""The least rate at which clients send and read."""

import socket
from contextlib import suppress

import pytest

from gateway.server.minimum_rate import MIN_RATE, RATE_WINDOW, MinimumRate, ReadingRate, queued_bytes

ENOUGH = int(MIN_RATE * RATE_WINDOW)


def test_a_client_is_never_too_slow_before_the_first_window_ends():
    assert not MinimumRate(100.0).too_slow(100.0 + RATE_WINDOW - 0.01)


@pytest.mark.parametrize(("size", "slow"), [(0, True), (ENOUGH - 1, True), (ENOUGH, False)])
def test_a_client_is_too_slow_when_a_window_ends_with_too_few_bytes(size, slow):
    rate = MinimumRate(100.0)
    rate.transferred += size
    assert rate.too_slow(100.0 + RATE_WINDOW) is slow


def test_each_window_counts_its_own_bytes():
    rate = MinimumRate(0.0)
    rate.transferred += 10 * ENOUGH
    assert not rate.too_slow(RATE_WINDOW)
    assert not rate.too_slow(2 * RATE_WINDOW - 0.01)
    assert rate.too_slow(2 * RATE_WINDOW)


def test_what_leaves_the_send_buffer_is_read_though_no_send_succeeds():
    rate = ReadingRate(0.0, queued=1_000_000)
    assert not rate.update(0, queued=1_000_000 - ENOUGH)
    assert not rate.too_slow(RATE_WINDOW)


def test_what_enters_the_send_buffer_is_not_read():
    rate = ReadingRate(0.0, queued=1_000)
    assert not rate.update(50_000, queued=51_000)
    assert rate.too_slow(RATE_WINDOW)


def test_a_client_that_has_read_all_that_waited_is_up_to_date():
    assert ReadingRate(0.0, queued=1_000).update(200, queued=200)


def test_the_bytes_that_nobody_reads_are_queued():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with socket.create_connection(listener.getsockname()) as client, listener.accept()[0]:
            client.setblocking(False)
            assert queued_bytes(client) == 0
            with suppress(BlockingIOError):
                while True:
                    client.send(b"x" * 65536)
            assert queued_bytes(client) > 0
