"""What can fail between the gateway and an upstream, and the gateway's error for it."""

import zlib

import requests

from gateway.errors import UpstreamFailed, UpstreamFault, UpstreamTimeout
from gateway.transport.connect import ConnectTimedOut, HandshakeFailed, ProxyRefused
from gateway.transport.http1 import Malformed, NoResponse, Truncated

# Errors of sockets, TLS and HTTP; the gateway's error for each; and its kind, the word for it in trails and logs.
FAILURES: tuple[tuple[type[Exception], type[UpstreamFault], str], ...] = (
    (ConnectTimedOut, UpstreamTimeout, "connect_timeout"),
    (HandshakeFailed, UpstreamFailed, "tls"),
    (ProxyRefused, UpstreamFailed, "proxy"),
    (NoResponse, UpstreamFailed, "connection"),
    (Truncated, UpstreamFailed, "truncated"),
    (Malformed, UpstreamFailed, "invalid_response"),
    (zlib.error, UpstreamFailed, "invalid_response"),
    (OSError, UpstreamFailed, "connection"),
    # The IDNA codec, for a host name with an empty label or one of over 63 characters.
    (UnicodeError, UpstreamFailed, "connection"),
)


class TransportFailure(requests.RequestException):
    """No complete response came from the upstream; `kind` is the word for why. An error of requests, as its adapters raise."""

    def __init__(
        self, message: str, kind: str = "connection", error_class: type[UpstreamFault] = UpstreamFailed
    ) -> None:
        super().__init__(message)
        self.kind, self.error_class = kind, error_class

    def gateway_error(self, provider: str) -> UpstreamFault:
        """The error of a call to the provider with this name."""
        return self.error_class(f"The call to {provider} failed: {self}.", upstream_status=self.kind)


class _MapTransportErrors:
    """Within it, the errors of FAILURES become TransportFailure."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if error is None or isinstance(error, TransportFailure):  # which is an OSError, as all errors of requests are
            return
        for failure_class, error_class, kind in FAILURES:
            if isinstance(error, failure_class):
                message = getattr(error, "strerror", None) or str(error)
                raise TransportFailure(message, kind, error_class) from error


map_transport_errors = _MapTransportErrors()
