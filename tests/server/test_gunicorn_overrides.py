"""What gateway/server/ overrides of gunicorn, and uses of it, is still there in the pinned version, with the same signatures."""

import inspect
import socket
from contextlib import closing, contextmanager

import gunicorn
import pytest
from gevent.baseserver import BaseServer
from gevent.server import StreamServer
from gunicorn import util
from gunicorn.config import Config
from gunicorn.http import wsgi
from gunicorn.http.body import ChunkedReader, LengthReader
from gunicorn.http.parser import Parser, RequestParser
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers import base, gthread
from gunicorn.workers.ggevent import GeventWorker
from gunicorn.workers.gthread import TConn, ThreadWorker

from gateway.server.client_reader import LINGER
from gateway.server.gevent_worker import GatewayGeventWorker, Listener
from gateway.server.gthread_worker import GatewayThreadWorker
from gateway.server.response_writer import ResponseWriter
from gateway.server.worker_mixin import WorkerMixin

# Our class, and gunicorn's or gevent's whose methods it overrides: their signatures, as they are in the pinned version.
OVERRIDES = {
    (WorkerMixin, base.Worker): {
        "init_process": "(self)",
        "load_wsgi": "(self)",
        "handle_error": "(self, req, client, addr, exc)",
        "handle_exit": "(self, sig, frame)",
    },
    (GatewayGeventWorker, GeventWorker): {
        "__init__": "(self, *args, **kwargs)",
        "handle": "(self, listener, client, addr)",
        "timeout_ctx": "(self)",
        "notify": "(self)",
        "handle_request": "(self, listener_name, req, sock, addr)",
    },
    (GatewayThreadWorker, ThreadWorker): {
        "__init__": "(self, *args, **kwargs)",
        "enqueue_req": "(self, conn)",
        "handle": "(self, conn)",
        "handle_request": "(self, req, conn)",
        "finish_request": "(self, conn, fs)",
        "murder_pending": "(self)",
        "set_accept_enabled": "(self, enabled)",
    },
    (Listener, StreamServer): {
        "__init__": "(self, listener, handle=None, backlog=None, spawn='default', **ssl_args)",
        "close": "(self)",
    },
    (ResponseWriter, wsgi.Response): {
        "send_headers": "(self)",
        "default_headers": "(self)",
        "write": "(self, arg)",
        "_emit_body": "(self, data)",
        "close": "(self)",
    },
}
# What gateway/server/ calls, or relies on being called.
USED = {
    BaseServer: {"_do_read": "(self)"},
    Parser: {"finish_body": "(self, deadline=None, max_bytes=None)"},
    SocketUnreader: {"chunk": "(self, size_hint=None)", "unread": "(self, data)"},
    TConn: {"__init__": "(self, cfg, sock, client, server)", "close": "(self, graceful=False)", "init": "(self)"},
    ThreadWorker: {
        "accept": "(self, listener)",
        "handle_exit": "(self, sig, frame)",
    },
    util: {
        "close_graceful": "(sock, timeout=2.0, max_drain=65536)",
        "write_error": "(sock, status_int, reason, mesg)",
    },
    wsgi: {"create": "(req, sock, client, server, cfg, response_class=None, response_args=())"},
    wsgi.Response: {
        "__init__": "(self, req, sock, cfg)",
        "force_close": "(self)",
        "should_close": "(self)",
        "start_response": "(self, status, headers, exc_info=None)",
    },
}
METHODS = [
    (owner, name, signature)
    for owner, methods in [*((owner, methods) for (_, owner), methods in OVERRIDES.items()), *USED.items()]
    for name, signature in methods.items()
]


def test_gunicorn_is_the_version_that_the_workers_are_written_for():
    assert gunicorn.version_info[:2] == (27, 0)


@pytest.mark.parametrize(("owner", "name", "signature"), METHODS, ids=lambda value: getattr(value, "__name__", None))
def test_a_method_has_the_signature_that_is_relied_on(owner, name, signature):
    assert str(inspect.signature(getattr(owner, name))) == signature


@pytest.mark.parametrize(("ours", "owner"), OVERRIDES, ids=lambda value: value.__name__)
def test_every_overridden_method_is_in_the_list(ours, owner):
    defined = {name for name, value in vars(ours).items() if callable(value)}
    assert {name for name in defined if hasattr(owner, name)} == set(OVERRIDES[ours, owner])


@pytest.mark.parametrize(("ours", "owner"), OVERRIDES, ids=lambda value: value.__name__)
def test_the_docstring_of_a_class_names_every_method_that_it_overrides(ours, owner):
    assert [name for name in OVERRIDES[ours, owner] if f"`{name}`" not in inspect.getdoc(ours)] == []


@pytest.mark.parametrize("worker_class", [GatewayGeventWorker, GatewayThreadWorker])
def test_the_mixin_comes_before_the_worker_of_gunicorn(worker_class):
    for name in OVERRIDES[WorkerMixin, base.Worker]:
        assert getattr(worker_class, name) is getattr(WorkerMixin, name)


@contextmanager
def new_worker(worker_class):
    worker = worker_class(age=1, ppid=1, sockets=[], app=None, timeout=30, cfg=Config(), log=None)
    with closing(worker.tmp):
        yield worker


def missing(owner, *names):
    return [name for name in names if not hasattr(owner, name)]


def test_a_thread_worker_has_the_attributes_that_are_used():
    with new_worker(ThreadWorker) as worker:
        assert missing(worker, "alive", "cfg", "log", "max_requests", "nr", "sockets") == []
        assert missing(worker, "keepalived_conns", "max_keepalived", "nr_conns", "poller") == []


def test_a_gevent_worker_has_the_attributes_that_are_used():
    with new_worker(GeventWorker) as worker:
        assert missing(worker, "alive", "cfg", "log", "max_requests", "nr", "server_class") == []


def test_a_gevent_server_has_the_attributes_that_are_used():
    assert missing(StreamServer, "max_accept", "started") == []


def test_a_response_has_the_attributes_that_are_used():
    response = wsgi.Response(req=None, sock=None, cfg=Config())
    assert missing(response, "chunked", "headers", "headers_sent", "req", "sock", "status", "version") == []


def test_a_parser_and_a_body_have_the_attributes_that_are_used():
    with socket.socket() as client:
        parser = RequestParser(Config(), client, ("127.0.0.1", 0))
        assert parser.unreader.sock is client
        assert missing(parser.unreader, "buf") == []
        assert LengthReader(parser.unreader, 7).length == 7
        assert ChunkedReader(None, parser.unreader).parser is not None


def test_a_connection_of_a_thread_worker_has_the_attributes_that_are_used():
    with socket.socket() as client:
        connection = TConn(Config(), client, ("127.0.0.1", 0), ("127.0.0.1", 0))
        assert (connection.initialized, connection.data_ready) == (False, False)
        connection.init()
        assert connection.parser.unreader.sock is client


def test_a_configuration_has_the_settings_that_are_used():
    for name in ("graceful_timeout", "keepalive", "threads", "workers"):
        assert getattr(Config(), name) is not None


def test_a_connection_lingers_as_long_as_in_gunicorn():
    assert LINGER == gthread.STOP_KEEPALIVE_LINGER
