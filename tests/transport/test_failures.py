"""Every failure of the transport, the gateway's error for it, and the word for it in trails."""

import ssl
import zlib

import pytest
import requests

from gateway.errors import ClientDisconnected, UpstreamFailed, UpstreamTimeout
from gateway.transport.connect import ConnectTimedOut, HandshakeFailed, ProxyRefused
from gateway.transport.failures import TransportFailure, map_transport_errors
from gateway.transport.http1 import Malformed, NoResponse, Truncated
from gateway.transport.upstream_wait import IDLE, TOTAL, DeadlinePassed


def mapped(error):
    with pytest.raises(TransportFailure) as caught, map_transport_errors:
        raise error
    return caught.value


@pytest.mark.parametrize(
    ("error", "error_class", "word"),
    [
        (ConnectTimedOut("x"), UpstreamTimeout, "connect_timeout"),
        (HandshakeFailed("x"), UpstreamFailed, "tls"),
        (ProxyRefused("x"), UpstreamFailed, "proxy"),
        (NoResponse("x"), UpstreamFailed, "connection"),
        (Truncated("x"), UpstreamFailed, "truncated"),
        (Malformed("x"), UpstreamFailed, "invalid_response"),
        (zlib.error("x"), UpstreamFailed, "invalid_response"),
        (OSError("x"), UpstreamFailed, "connection"),
        (ConnectionResetError(104, "x"), UpstreamFailed, "connection"),
        (ssl.SSLError("x"), UpstreamFailed, "connection"),  # after the handshake
        (UnicodeError("x"), UpstreamFailed, "connection"),
        (DeadlinePassed(TOTAL), UpstreamTimeout, "timeout"),
        (DeadlinePassed(IDLE), UpstreamTimeout, "idle_timeout"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_a_failure_has_the_gateways_error_and_a_word(error, error_class, word):
    failure = mapped(error).gateway_error("groq")
    assert (type(failure), failure.upstream_status) == (error_class, word)
    assert failure.message.startswith("The call to groq failed: ")


def test_a_failure_is_an_error_of_requests():
    assert isinstance(mapped(Malformed("x")), requests.RequestException)


def test_the_message_of_a_socket_error_is_the_systems_without_its_number():
    assert str(mapped(ConnectionResetError(104, "Connection reset by peer"))) == "Connection reset by peer"


@pytest.mark.parametrize("error", [ClientDisconnected("x"), KeyError("x")])
def test_other_errors_are_not_mapped(error):
    with pytest.raises(type(error)) as caught, map_transport_errors:
        raise error
    assert caught.value is error
