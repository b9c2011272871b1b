"""Connecting, against real sockets: every step can be interrupted, and every failure has its kind."""

import math
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress

import pytest
import trustme

from gateway.errors import ClientDisconnected
from gateway.stream_events import PAUSE
from gateway.transport.client_watch import ClientWatch
from gateway.transport.failures import TransportFailure
from gateway.transport.http_transport import WatchingAdapter
from gateway.transport.pool import Pool, tls_context
from gateway.transport.upstream_wait import TOTAL, UpstreamWait
from tests.support.socket_upstream import connected_client, listening, read_head

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
LONG = 30.0


def respond(connection: socket.socket) -> None:
    read_head(connection)
    connection.sendall(OK)


def stay_silent(connection: socket.socket) -> None:
    """Send nothing until the other side closes the connection."""
    while connection.recv(65536):
        pass


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def bundle(authority, tmp_path):
    """A file with the authority's certificate."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def tls_port(authority):
    """The port of a server that responds over TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)

    def respond_over_tls(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            respond(secured)

    with listening(respond_over_tls) as port:
        yield port


@pytest.fixture
def full_port():
    """The port of a listener whose queue is full: the system drops further attempts to connect."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@contextmanager
def forward_proxy(
    requests: list[bytes], response: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n"
) -> Iterator[int]:
    """The port of a proxy that answers a CONNECT with this response; `requests` gets each."""

    def copy(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def serve(connection: socket.socket) -> None:
        requests.append(read_head(connection))
        connection.sendall(response)
        if b" 200 " in response:
            host, _, port = requests[-1].split(b" ")[1].decode().rpartition(":")
            with socket.create_connection((host, int(port))) as tunnel:
                back = threading.Thread(target=copy, args=(tunnel, connection), daemon=True)
                back.start()
                copy(connection, tunnel)
                back.join()

    with listening(serve) as port:
        yield port


def new_pool(timeout: float = LONG, bundle: str | None = None, proxy: str = "") -> Pool:
    return Pool(timeout, tls_context(bundle), {"http": proxy, "https": proxy} if proxy else {}, "")


def fetch(pool: Pool, url: str, wait: UpstreamWait | None = None) -> bytes:
    exchange = WatchingAdapter(pool).open("POST", url, {}, b"{}", wait or UpstreamWait())
    with closing(pool), closing(exchange):
        assert list(exchange.wait_for_headers()) == []
        return exchange.read_body()


@contextmanager
def fails(kind: str, match: str | None = None) -> Iterator[None]:
    """What runs within it fails with this kind, and with a message that matches, if that is given."""
    with pytest.raises(TransportFailure, match=match) as caught:
        yield
    assert caught.value.kind == kind


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_server_with_a_trusted_certificate_responds_over_tls(tls_port, bundle, host):
    assert fetch(new_pool(bundle=bundle), f"https://{host}:{tls_port}/") == b"hello"


def test_a_certificate_of_an_unknown_authority_is_refused(tls_port):
    with fails("tls", "CERTIFICATE_VERIFY_FAILED"):
        fetch(new_pool(), f"https://127.0.0.1:{tls_port}/")


def test_a_certificate_for_another_host_is_refused(authority, bundle):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("another.example").configure_cert(context)
    with (
        listening(lambda connection: context.wrap_socket(connection, server_side=True).close()) as port,
        fails("tls", "CERTIFICATE_VERIFY_FAILED"),
    ):
        fetch(new_pool(bundle=bundle), f"https://127.0.0.1:{port}/")


def test_a_connection_that_ends_in_the_tls_handshake_is_a_failure():
    with listening(lambda connection: connection.recv(1000)) as port, pytest.raises(TransportFailure) as caught:
        fetch(new_pool(), f"https://127.0.0.1:{port}/")
    assert caught.value.kind in ("tls", "connection")  # the server's system sends a FIN or a reset


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_forward_proxy_opens_a_tunnel_to_the_upstream(tls_port, bundle, scheme):
    requests: list[bytes] = []
    with listening(respond) as open_port, forward_proxy(requests) as proxy:
        port = tls_port if scheme == "https" else open_port
        pool = new_pool(bundle=bundle, proxy=f"http://me:s%20t@127.0.0.1:{proxy}")
        assert fetch(pool, f"{scheme}://127.0.0.1:{port}/x") == b"hello"
    credentials = b64encode(b"me:s t")
    (line, *headers) = requests[0].split(b"\r\n")
    assert line == b"CONNECT 127.0.0.1:%d HTTP/1.1" % port
    assert b"Host: 127.0.0.1:%d" % port in headers
    assert b"Proxy-Authorization: Basic " + credentials in headers


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n", "407"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "502"),
        (b"", "closed the connection"),
        (b"SSH-2.0-x\r\n\r\n", "no HTTP"),
    ],
)
def test_a_forward_proxy_that_opens_no_tunnel_is_a_failure(response, reason):
    with forward_proxy([], response) as proxy, fails("proxy", reason):
        fetch(new_pool(proxy=f"http://127.0.0.1:{proxy}"), "https://127.0.0.1:9/")


@pytest.fixture(params=["address", "tls", "proxy"])
def stalled(request, full_port):
    """A URL and a proxy where connecting stalls: at the address, in the handshake, at the proxy."""
    with listening(stay_silent) as silent_port:
        yield {
            "address": (f"http://127.0.0.1:{full_port}/", ""),
            "tls": (f"https://127.0.0.1:{silent_port}/", ""),
            "proxy": ("http://127.0.0.1:9/", f"http://127.0.0.1:{silent_port}"),
        }[request.param]


def test_connecting_ends_at_the_connect_timeout(stalled):
    url, proxy = stalled
    with fails("connect_timeout", r"within 0\.2 s"):
        fetch(new_pool(0.2, proxy=proxy), url)


def test_connecting_ends_at_the_deadline_of_the_request(stalled):
    url, proxy = stalled
    with fails(TOTAL):
        fetch(new_pool(proxy=proxy), url, UpstreamWait(deadline=time.monotonic() + 0.2))


def test_connecting_yields_pauses(stalled):
    url, proxy = stalled
    wait = UpstreamWait(ClientWatch(yield_at=time.monotonic() + 0.1))
    exchange = WatchingAdapter(new_pool(0.3, proxy=proxy)).open("POST", url, {}, b"{}", wait)
    with closing(exchange):
        headers = exchange.wait_for_headers()
        assert next(headers) is PAUSE
        wait.watch.yield_at = math.inf
        with fails("connect_timeout"):
            next(headers)


def test_connecting_ends_when_the_client_disconnects(stalled):
    url, proxy = stalled
    with connected_client() as (client, accepted):
        threading.Timer(0.1, client.close).start()
        with pytest.raises(ClientDisconnected):
            fetch(new_pool(proxy=proxy), url, UpstreamWait(ClientWatch(client=accepted)))


def test_the_address_that_accepts_is_taken_of_a_host_with_two():
    """`localhost` may be ::1 as well, where nothing listens."""
    with listening(respond) as port:
        assert fetch(new_pool(), f"http://localhost:{port}/") == b"hello"


def test_a_port_where_nothing_listens_is_a_failed_connection():
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    with fails("connection", "refused"):
        fetch(new_pool(), f"http://127.0.0.1:{port}/")


def test_an_invalid_host_name_is_a_failed_connection():
    with fails("connection"):
        fetch(new_pool(), f"http://{'x' * 64}.example/")
