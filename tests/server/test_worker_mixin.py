"""What both workers have in common."""

import json
import logging

import pytest
from gunicorn import util
from gunicorn.http.errors import NoMoreData, ParseException

from gateway.server.worker_mixin import (
    CachedConfig,
    ExceptionNames,
    JsonErrorSocket,
    WorkerMixin,
    json_error,
    without_text,
)


class Base:
    """The part of gunicorn's worker that loads the application."""

    def __init__(self, application):
        self.application = application

    def load_wsgi(self):
        self.wsgi = self.application


class Worker(WorkerMixin, Base):
    pass


class Application:
    started = 0

    def start_background(self):
        self.started += 1


class ClientSocket:
    """Keeps what is sent."""

    sent = b""

    def gettimeout(self):
        return 0.0

    def sendall(self, data):
        self.sent += data


def sent_error(status, reason, message):
    client = ClientSocket()
    util.write_error(JsonErrorSocket(client), status, reason, message)
    head, _, body = client.sent.partition(b"\r\n\r\n")
    return head.decode().split("\r\n"), json.loads(body)["error"]


@pytest.mark.parametrize("kind", ParseException.__subclasses__())
def test_the_text_of_a_parsers_exception_is_the_name_of_its_class(kind):
    error = kind.__new__(kind)
    error.__dict__.update(
        dict.fromkeys(("hdr", "req", "method", "msg", "line", "data"), "Authorization : Bearer sk-secret")
    )
    plain = without_text(error)
    assert isinstance(plain, kind)
    assert (str(plain), plain.__dict__) == (kind.__name__, {})


def test_other_exceptions_keep_their_text():
    error = ValueError("of the application")
    assert without_text(error) is error


def test_log_messages_have_the_names_of_exceptions_in_place_of_their_texts():
    record = logging.LogRecord(
        "gunicorn.error", logging.DEBUG, "", 0, "Ignored %s for %d s", (NoMoreData(b"Bearer sk-"), 5), None
    )
    assert ExceptionNames().filter(record)
    assert record.getMessage() == "Ignored NoMoreData for 5 s"


def test_a_worker_starts_the_background_threads_of_its_application():
    application = Application()
    Worker(application).load_wsgi()
    assert application.started == 1


def test_a_worker_serves_an_application_without_background_threads():
    worker = Worker(print)
    worker.load_wsgi()
    assert worker.wsgi is print


def test_the_error_page_of_gunicorn_becomes_json_with_its_status_and_without_its_message():
    (status_line, *headers), error = sent_error(
        431, "Request Header Fields Too Large", "Error parsing headers: 'secret'"
    )
    assert status_line == "HTTP/1.1 431 Request Header Fields Too Large"
    assert "Content-Type: application/json" in headers
    assert "Connection: close" in headers
    assert error == {
        "message": "This is no request that can be served: Request Header Fields Too Large.",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }


def test_an_error_of_the_application_says_nothing_of_itself():
    _, error = sent_error(500, "Internal Server Error", "")
    assert (error["type"], error["message"]) == ("server_error", "The gateway failed.")


def test_a_page_of_another_form_becomes_a_bad_request():
    assert json_error(b"?").startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_a_cached_setting_is_looked_up_once():
    class Settings:
        lookups = 0

        def __getattr__(self, name):
            Settings.lookups += 1
            return name

    settings = CachedConfig(Settings())
    assert [settings.keepalive, settings.keepalive] == ["keepalive", "keepalive"]
    assert Settings.lookups == 1
