"""Sending to clients that read slowly, or not at all."""

import time
from types import SimpleNamespace

import pytest
from gunicorn.config import Config

from gateway.server.client_reader import ClientReader
from gateway.server.minimum_rate import MIN_RATE, RATE_WINDOW, ReadingRate
from gateway.server.response_writer import CALL, ResponseWriter
from gateway.server.shutdown import NO_SHUTDOWN, SHUTDOWN, Shutdown

PIECE = b"x" * 1000


class Client:
    """A client's socket whose sends take these numbers of bytes; None: the send waited in vain."""

    def __init__(self, *sends):
        self.sends = iter(sends)
        self.sent = b""

    def gettimeout(self):
        return None

    def settimeout(self, timeout):
        pass

    def fileno(self):
        return -1  # no number of queued bytes

    def send(self, data):
        size = next(self.sends)
        if size is None:
            raise TimeoutError
        self.sent += bytes(data[:size])
        return min(size, len(data))


class Reader(ClientReader):
    """Counts the waits."""

    waits = ended_waits = 0

    def recv_head(self, size):
        return b""

    def wait(self, *, holds_call=False):
        self.waits += 1

    def end_wait(self):
        self.ended_waits += 1


def build_writer(client, **environ):
    request = SimpleNamespace(version=(1, 1), method="GET", should_close=lambda: False)
    writer = ResponseWriter(request, client, Config())
    writer.reader, writer.environ = Reader(client), {SHUTDOWN: NO_SHUTDOWN, **environ}
    writer.start_response("200 OK", [("Content-Length", str(len(PIECE)))])
    return writer


def started(seconds, transferred=0):
    """Return the rate of a client that has read so much since a send had to wait."""
    rate = ReadingRate(time.monotonic() - seconds, 0)
    rate.transferred = transferred
    return rate


def test_a_client_that_reads_late_receives_everything_once():
    client = Client(None, 100, None, None, 200, 10_000)
    writer = build_writer(client)
    writer.write(PIECE)
    assert client.sent.endswith(b"\r\n\r\n" + PIECE)
    assert writer.reader.waits == 3
    assert writer.reader.reading_rate is None, "all that waited is read"


def test_a_client_that_reads_nothing_is_dropped_at_the_end_of_a_window():
    writer = build_writer(Client(None, None))
    writer.reader.reading_rate = started(RATE_WINDOW)
    with pytest.raises(ConnectionResetError):
        writer.write(PIECE)
    assert writer.reader.waits == 0


def test_a_client_that_reads_fast_enough_is_not_dropped():
    client = Client(None, 10_000)
    writer = build_writer(client)
    writer.reader.reading_rate = started(RATE_WINDOW, transferred=int(MIN_RATE * RATE_WINDOW))
    writer.write(PIECE)
    assert client.sent.endswith(PIECE)


def test_the_rate_is_that_of_the_connection_and_not_of_one_response():
    client = Client(None, None)
    first, second = build_writer(client), build_writer(client)
    second.reader = first.reader
    first.reader.reading_rate = started(RATE_WINDOW)
    with pytest.raises(ConnectionResetError):
        second.write(PIECE)


def test_a_send_ends_at_the_deadline_of_its_call():
    writer = build_writer(Client(None), **{CALL: SimpleNamespace(deadline=time.monotonic())})
    with pytest.raises(ConnectionResetError):
        writer.write(PIECE)


def test_a_send_ends_when_the_worker_does():
    shutdown = Shutdown()
    shutdown.deadline = time.monotonic()
    writer = build_writer(Client(None), **{SHUTDOWN: shutdown})
    with pytest.raises(ConnectionResetError):
        writer.write(PIECE)


def test_a_client_that_reads_at_once_costs_no_look_at_its_rate():
    writer = build_writer(Client(10_000))
    writer.write(PIECE)
    assert (writer.reader.waits, writer.reader.ended_waits, writer.reader.reading_rate) == (0, 0, None)
