"""
Connecting to an upstream: its address, a forward proxy's CONNECT (RFC 9110, 9.3.6), TLS.

Each step is a generator that yields what it waits for, so that its caller can check the client meanwhile. Only the look-up of
a name blocks: the system's resolver has no other interface.
"""

import errno
import os
import select
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Generator
from contextlib import ExitStack
from typing import NamedTuple
from urllib.parse import SplitResult, unquote

from gateway.transport.http1 import Malformed, Response


class Origin(NamedTuple):
    """The server that an upstream's URLs lead to (RFC 9110, 4.3.1)."""

    scheme: str
    host: str
    port: int


class SocketWait(NamedTuple):
    """What a step waits for: `events` are select.poll's, `deadline` is `time.monotonic()`'s."""

    sock: socket.socket
    events: int
    deadline: float


class ConnectTimedOut(Exception):
    """There was no connection in time."""


class HandshakeFailed(Exception):
    """TLS could not be negotiated, or the certificate is not trusted."""


class ProxyRefused(Exception):
    """The forward proxy opens no tunnel."""


Steps = Generator[SocketWait, bool, None]
READ_SIZE = 1 << 16


def connect_steps(
    origin: Origin, proxy: SplitResult | None, tls: ssl.SSLContext, deadline: float
) -> Generator[SocketWait, bool, socket.socket]:
    """
    Return a non-blocking socket that is ready for a request. Each yielded wait is answered with whether it was fulfilled.

    Raises TimeoutError when `deadline` (`time.monotonic()`) passed, HandshakeFailed, ProxyRefused, OSError, and UnicodeError
    for an invalid host name.
    """
    host, port = (proxy.hostname or "", proxy.port or 80) if proxy else (origin.host, origin.port)
    sock = yield from _connect(host, port, deadline)
    with ExitStack() as on_failure:
        on_failure.callback(sock.close)
        # A request is written at once: Nagle's algorithm would only hold back the last segment until the others are acknowledged.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if proxy:
            yield from _open_tunnel(sock, origin, proxy, deadline)
        if origin.scheme == "https":
            try:
                sock = on_failure.enter_context(
                    tls.wrap_socket(sock, server_hostname=origin.host, do_handshake_on_connect=False)
                )
                yield from _handshake(sock, deadline)
            except ssl.SSLError as error:
                raise HandshakeFailed(error.reason or error) from error
        on_failure.pop_all()
    return sock


def _connect(host: str, port: int, deadline: float) -> Generator[SocketWait, bool, socket.socket]:
    """Connect to the first of the host's addresses that accepts; each has its share of the remaining time."""
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure = OSError(errno.EADDRNOTAVAIL, f"{host} has no address")
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        with ExitStack() as on_failure:
            sock = on_failure.enter_context(socket.socket(family, kind, protocol))
            sock.setblocking(False)
            code = sock.connect_ex(address)
            if code == errno.EINPROGRESS:
                # connect(2): the socket becomes writable when the connection is there, and SO_ERROR says if it failed.
                now = time.monotonic()
                in_time = yield SocketWait(sock, select.POLLOUT, now + (deadline - now) / (len(addresses) - number))
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if in_time else errno.ETIMEDOUT
            if not code:
                on_failure.pop_all()
                return sock
        failure = OSError(code, os.strerror(code))
    try:
        raise failure
    finally:
        del failure  # its traceback refers to this frame: a cycle that would keep both until a collection


def _open_tunnel(sock: socket.socket, origin: Origin, proxy: SplitResult, deadline: float) -> Steps:
    """Have the proxy connect to the origin. Raises ProxyRefused."""
    host = origin.host if origin.host.isascii() else origin.host.encode("idna").decode()
    # RFC 9112, 3.2.3: CONNECT names host and port alone; an IPv6 address is in brackets (RFC 3986, 3.2.2).
    authority = f"[{host}]:{origin.port}" if ":" in host else f"{host}:{origin.port}"
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}", *_proxy_authorization(proxy), "", ""]
    sock.sendall("\r\n".join(lines).encode("latin-1"))  # the send buffer of a new connection has space for it
    response = Response()
    while not response.status:
        yield from _wait(sock, select.POLLIN, deadline)
        data = sock.recv(READ_SIZE)
        if not data:
            raise ProxyRefused("the proxy closed the connection")
        try:
            response.feed(data)
        except Malformed as error:
            raise ProxyRefused(f"the proxy speaks no HTTP: {error}") from error
    # RFC 9110, 9.3.6: any 2xx status opens the tunnel, directly after the headers.
    if response.status // 100 != 2:
        raise ProxyRefused(f"the proxy responded with status {response.status}")


def _proxy_authorization(proxy: SplitResult) -> list[str]:
    """The header for the user and password in the proxy's URL, where it has them: Basic, RFC 7617."""
    if not proxy.username:
        return []
    credentials = b64encode(f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()).decode()
    return [f"Proxy-Authorization: Basic {credentials}"]


def _handshake(sock: ssl.SSLSocket, deadline: float) -> Steps:
    """Negotiate TLS, which may want to read or to write at any step. Raises ssl.SSLError."""
    while True:
        try:
            sock.do_handshake()
        except ssl.SSLWantReadError:
            yield from _wait(sock, select.POLLIN, deadline)
        except ssl.SSLWantWriteError:
            yield from _wait(sock, select.POLLOUT, deadline)
        else:
            return


def _wait(sock: socket.socket, events: int, deadline: float) -> Steps:
    if not (yield SocketWait(sock, events, deadline)):
        raise TimeoutError
