"""The deadline of a request's body."""

import socket
import time

import pytest

from gateway.web.body import BodyDeadlines
from tests.support.servers import wait_until
from tests.support.threads import StartedThreads


@pytest.fixture
def deadlines():
    threads, deadlines = StartedThreads(), BodyDeadlines()
    deadlines.start()
    yield deadlines
    deadlines.stop()
    assert wait_until(lambda: threads.names() == [])


@pytest.fixture
def connection():
    """(the server's socket, the client's)."""
    server, client = socket.socketpair()
    server.settimeout(10)
    with server, client:
        yield server, client


def test_after_the_deadline_reads_end_and_the_response_can_still_be_sent(deadlines, connection):
    server, client = connection
    deadlines.add(server, time.monotonic())
    assert server.recv(1) == b""
    server.sendall(b"408")
    assert client.recv(3) == b"408"


def test_a_body_that_is_read_in_time_leaves_the_connection_open(deadlines, connection):
    server, client = connection
    overdue, _ = socket.socketpair()
    deadlines.add(server, time.monotonic())
    deadlines.remove(server)
    with overdue, _:
        deadlines.add(overdue, time.monotonic())
        assert overdue.recv(1) == b""  # by now, the thread has looked at every deadline
    client.sendall(b"next request")
    assert server.recv(12) == b"next request"
