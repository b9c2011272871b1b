"""Connections to upstreams, kept open between calls."""

import socket
import ssl
import time
from collections import defaultdict
from collections.abc import Generator, Mapping
from pathlib import Path
from urllib.parse import SplitResult, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # not in typeshed

import certifi
import requests

from gateway.transport.connect import Origin, ProxyRefused, SocketWait, connect_steps

IDLE = 50.0
"""Seconds after which an unused connection is not trusted: most servers close theirs at 60."""
FRESH = 0.5
"""Seconds in which it is not even asked: no server's patience is that short."""
MOST_IDLE = 256


class Connection:
    """One connection, by a socket that does not block."""

    def __init__(self, origin: Origin, sock: socket.socket) -> None:
        self.origin, self.sock = origin, sock
        self.idle_since = 0.0
        self._timeout = 0.0

    def send(self, data: memoryview) -> int:
        """Write what the upstream takes at once; how many bytes that was."""
        self._patience(0)
        try:
            return self.sock.send(data)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0

    def read(self, most: int, timeout: float) -> bytes | None:
        """What there is, b"" at the end, None when `timeout` (seconds) passed without anything."""
        self._patience(timeout)
        try:
            return self.sock.recv(most)
        except (TimeoutError, BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None

    def _patience(self, timeout: float) -> None:
        if timeout != self._timeout:
            self.sock.settimeout(timeout)
            self._timeout = timeout

    def usable(self) -> bool:
        """Whether an idle connection is still open: it has neither been closed nor said anything unasked."""
        idle = time.monotonic() - self.idle_since
        if idle < FRESH:
            return True  # and if it is not, the request finds out, and goes out once more
        if idle > IDLE:
            return False
        try:
            return self.read(1, 0) is None
        except OSError:
            return False

    def close(self) -> None:
        self.sock.close()


def tls_context(bundle: str | None) -> ssl.SSLContext:
    """How upstreams are verified: by the certificates in `bundle`, a file or a folder, else by those of certifi."""
    folder = bundle is not None and Path(bundle).is_dir()
    context = ssl.create_default_context(
        cafile=None if folder else bundle or certifi.where(), capath=bundle if folder else None
    )
    context.set_alpn_protocols(["http/1.1"])
    return context


ConnectSteps = Generator[SocketWait, bool, Connection]
"""What a connection in the making waits for; it is sent whether that came."""


class Pool:
    """Idle connections by place. `proxies`: scheme -> proxy URL; `no_proxy`: host names and domains to reach directly."""

    def __init__(self, connect_timeout: float, tls: ssl.SSLContext, proxies: Mapping[str, str], no_proxy: str) -> None:
        self.connect_timeout, self.tls, self.proxies, self.no_proxy = connect_timeout, tls, proxies, no_proxy
        self._idle: dict[Origin, list[Connection]] = defaultdict(list)

    def take_idle(self, origin: Origin) -> Connection | None:
        """A connection that is open already; the one used last, so that the others may age."""
        idle = self._idle[origin]
        while idle:
            try:
                connection = idle.pop()
            except IndexError:  # another thread was faster
                return None
            if connection.usable():
                return connection
            connection.close()
        return None

    def connect(self, origin: Origin, timeout: float) -> ConnectSteps:
        """A new connection, within `timeout` seconds. Raises requests' ConnectTimeout, SSLError, ProxyError, ConnectionError."""
        timeout = min(timeout, self.connect_timeout)
        try:
            sock = yield from connect_steps(origin, self._proxy(origin), self.tls, time.monotonic() + timeout)
        except TimeoutError as error:
            raise requests.ConnectTimeout(f"no connection within {timeout:g} s") from error
        except ssl.SSLError as error:
            raise requests.exceptions.SSLError(str(error.reason or error)) from error
        except ProxyRefused as error:
            raise requests.exceptions.ProxyError(str(error)) from error
        except OSError as error:
            raise requests.ConnectionError(error.strerror or str(error)) from error
        except UnicodeError as error:  # what the idna codec says of a label that is empty or too long
            raise requests.ConnectionError("no host can have that name") from error
        return Connection(origin, sock)

    def put_back(self, connection: Connection) -> None:
        """Take back a connection whose response was read to its end."""
        idle = self._idle[connection.origin]
        if len(idle) >= MOST_IDLE:
            connection.close()
            return
        connection.idle_since = time.monotonic()
        idle.append(connection)
        while idle and connection.idle_since - idle[0].idle_since > IDLE:
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
