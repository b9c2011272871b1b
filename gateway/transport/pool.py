"""Connections to upstreams, kept open between requests (RFC 9112, 9.3)."""

import socket
import ssl
import time
from collections import defaultdict
from collections.abc import Generator, Mapping
from pathlib import Path
from urllib.parse import SplitResult, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # not in typeshed

import certifi

from gateway.transport.connect import ConnectTimedOut, Origin, SocketWait, connect_steps

# Seconds after which an unused connection is closed rather than used: many servers close theirs after 60.
MAX_IDLE_SECONDS = 50.0
MAX_IDLE_CONNECTIONS = 256


class Connection:
    """One connection; its socket does not block beyond the timeout of a read."""

    def __init__(self, origin: Origin, sock: socket.socket) -> None:
        self.origin, self.sock = origin, sock
        self.idle_since = 0.0
        self._timeout = 0.0

    def send(self, data: memoryview) -> int:
        """Write as much as the socket takes at once; return how many bytes that was."""
        self._set_timeout(0)
        try:
            return self.sock.send(data)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0

    def read(self, size: int, timeout: float) -> bytes | None:
        """Up to `size` bytes, b"" at the end, None when `timeout` (seconds) passed without any."""
        self._set_timeout(timeout)
        try:
            return self.sock.recv(size)
        except (TimeoutError, BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None

    def _set_timeout(self, timeout: float) -> None:
        if timeout != self._timeout:
            self.sock.settimeout(timeout)
            self._timeout = timeout

    def is_usable(self) -> bool:
        """Whether an idle connection can take a request: it is open, and nothing has arrived on it."""
        return time.monotonic() - self.idle_since <= MAX_IDLE_SECONDS and self.is_silent()

    def is_silent(self) -> bool:
        """Whether the connection is open, and nothing has arrived on it that is still unread."""
        try:
            # RFC 9112, 9.2: data without an outstanding request is no response, and the connection is to be closed. What TLS
            # sends by itself, such as a session ticket (RFC 8446, 4.6.1), is no data: nothing can be read then.
            return self.read(1, 0) is None
        except OSError:
            return False

    def close(self) -> None:
        self.sock.close()


def tls_context(bundle: str | None) -> ssl.SSLContext:
    """Verifies upstreams by the certificates in `bundle`, a file or a folder, or else by those of certifi."""
    is_folder = bundle is not None and Path(bundle).is_dir()
    context = ssl.create_default_context(
        cafile=None if is_folder else bundle or certifi.where(), capath=bundle if is_folder else None
    )
    context.set_alpn_protocols(["http/1.1"])  # RFC 7301: else a server may choose HTTP/2
    return context


# Yields what the connection waits for, is sent whether that happened, and returns the connection.
ConnectSteps = Generator[SocketWait, bool, Connection]


class Pool:
    """Idle connections by origin. `proxies`: scheme -> proxy URL; `no_proxy`: host names and domains to reach directly."""

    def __init__(self, connect_timeout: float, tls: ssl.SSLContext, proxies: Mapping[str, str], no_proxy: str) -> None:
        self.connect_timeout, self.tls, self.proxies, self.no_proxy = connect_timeout, tls, proxies, no_proxy
        self._idle: dict[Origin, list[Connection]] = defaultdict(list)

    def take_idle(self, origin: Origin) -> Connection | None:
        """An open connection, if there is one: the one used last, so that the others reach their idle limit."""
        idle = self._idle[origin]
        while idle:
            try:
                connection = idle.pop()
            except IndexError:  # another thread took it
                return None
            if connection.is_usable():
                return connection
            connection.close()
        return None

    def connect(self, origin: Origin, timeout: float) -> ConnectSteps:
        """A new connection, within `timeout` seconds. Raises ConnectTimedOut, and what `connect_steps` raises."""
        timeout = min(timeout, self.connect_timeout)
        try:
            sock = yield from connect_steps(origin, self._proxy(origin), self.tls, time.monotonic() + timeout)
        except TimeoutError as error:
            raise ConnectTimedOut(f"no connection within {timeout:g} s") from error
        return Connection(origin, sock)

    def put_back(self, connection: Connection) -> None:
        """Keep a connection whose response was read to its end."""
        idle = self._idle[connection.origin]
        if len(idle) >= MAX_IDLE_CONNECTIONS:
            connection.close()
            return
        connection.idle_since = time.monotonic()
        idle.append(connection)
        while idle and connection.idle_since - idle[0].idle_since > MAX_IDLE_SECONDS:
            idle.pop(0).close()

    def close(self) -> None:
        for idle in self._idle.values():
            while idle:
                idle.pop().close()

    def _proxy(self, origin: Origin) -> SplitResult | None:
        url = self.proxies.get(origin.scheme)
        if not url or proxy_bypass_environment(f"{origin.host}:{origin.port}", {"no": self.no_proxy}):
            return None
        return urlsplit(url)
