"""
Connecting to an upstream: its address, a forward proxy's CONNECT (RFC 9110, 9.3.6), TLS.

No step waits but the resolving of a name, which is the system's: each says what it waits for, and whoever drives it may look
at the client meanwhile.
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
    """Where an upstream listens."""

    scheme: str
    host: str
    port: int


class SocketWait(NamedTuple):
    """What a step waits for: `events` are select.poll's, `by` is `time.monotonic()`'s."""

    sock: socket.socket
    events: int
    by: float


class ProxyRefused(Exception):
    """The forward proxy opens no tunnel."""


Steps = Generator[SocketWait, bool, None]
MOST_READ = 1 << 16


def connect_steps(
    origin: Origin, proxy: SplitResult | None, tls: ssl.SSLContext, by: float
) -> Generator[SocketWait, bool, socket.socket]:
    """
    A socket that never blocks, ready for a request. It is sent whether what it waited for came. Raises OSError, of
    which a TimeoutError says that `by` passed, ProxyRefused, UnicodeError for a name that no host can have.
    """
    host, port = (proxy.hostname or "", proxy.port or 80) if proxy else (origin.host, origin.port)
    sock = yield from _reached(host, port, by)
    with ExitStack() as undone:
        undone.callback(sock.close)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if proxy:
            yield from _tunnelled(sock, origin, proxy, by)
        if origin.scheme == "https":
            sock = undone.enter_context(
                tls.wrap_socket(sock, server_hostname=origin.host, do_handshake_on_connect=False)
            )
            yield from _shaken(sock, by)
        undone.pop_all()
    return sock


def _reached(host: str, port: int, by: float) -> Generator[SocketWait, bool, socket.socket]:
    """Connected to the first of the host's addresses that answers; each gets its share of the time."""
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure = OSError(errno.EADDRNOTAVAIL, f"{host} has no address")
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        with ExitStack() as undone:
            sock = undone.enter_context(socket.socket(family, kind, protocol))
            sock.setblocking(False)
            code = sock.connect_ex(address)
            if code == errno.EINPROGRESS:
                now = time.monotonic()
                in_time = yield SocketWait(sock, select.POLLOUT, now + (by - now) / (len(addresses) - number))
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if in_time else errno.ETIMEDOUT
            if not code:
                undone.pop_all()
                return sock
        failure = OSError(code, os.strerror(code))
    try:
        raise failure
    finally:
        del failure  # its traceback has this frame


def _tunnelled(sock: socket.socket, origin: Origin, proxy: SplitResult, by: float) -> Steps:
    """The proxy is asked to connect to the place."""
    host = origin.host if origin.host.isascii() else origin.host.encode("idna").decode()
    asked = f"[{host}]:{origin.port}" if ":" in host else f"{host}:{origin.port}"
    lines = [f"CONNECT {asked} HTTP/1.1", f"Host: {asked}", *_authorization(proxy), "", ""]
    sock.sendall("\r\n".join(lines).encode("latin-1"))  # less than any socket takes at once
    answer = Response()
    while not answer.status:
        yield from _came(sock, select.POLLIN, by)
        said = sock.recv(MOST_READ)
        if not said:
            raise ProxyRefused("the proxy closed the connection")
        try:
            answer.feed(said)
        except Malformed as error:
            raise ProxyRefused(f"the proxy's answer is no HTTP: {error}") from error
    if answer.status // 100 != 2:
        raise ProxyRefused(f"the proxy answered {answer.status}")


def _authorization(proxy: SplitResult) -> list[str]:
    if not proxy.username:
        return []
    secret = b64encode(f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()).decode()
    return [f"Proxy-Authorization: Basic {secret}"]


def _shaken(sock: ssl.SSLSocket, by: float) -> Steps:
    """TLS is agreed on."""
    while True:
        try:
            sock.do_handshake()
        except ssl.SSLWantReadError:
            yield from _came(sock, select.POLLIN, by)
        except ssl.SSLWantWriteError:
            yield from _came(sock, select.POLLOUT, by)
        else:
            return


def _came(sock: socket.socket, events: int, by: float) -> Steps:
    if not (yield SocketWait(sock, events, by)):
        raise TimeoutError
