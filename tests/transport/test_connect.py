"""Connecting, against real sockets: what is waited for may be broken off at any step, and each failure has its name."""

import math
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress

import pytest
import requests
import trustme

from gateway.errors import ClientDisconnected
from gateway.stream_events import PAUSE
from gateway.transport.client_watch import TOTAL, ClientWatch
from gateway.transport.http_transport import WatchingAdapter
from gateway.transport.pool import Pool, tls_context

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
LONG = 30.0


@contextmanager
def serving(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of a server that talks so on each connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def one(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            talk(connection)

    def serve() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    with closing(listener):
        yield listener.getsockname()[1]


def request(connection: socket.socket) -> bytes:
    said = b""
    while b"\r\n\r\n" not in said and (piece := connection.recv(65536)):
        said += piece
    return said


def answer(connection: socket.socket) -> None:
    request(connection)
    connection.sendall(OK)


def silent(connection: socket.socket) -> None:
    """Say nothing until the other side hangs up."""
    while connection.recv(65536):
        pass


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def trusted(authority, tmp_path):
    """A bundle that has the authority."""
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    return str(bundle)


@pytest.fixture
def secure(authority):
    """A server that agrees on TLS, then answers."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)

    def talk(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            answer(secured)

    with serving(talk) as port:
        yield port


@pytest.fixture
def deaf():
    """The port of a listener whose queue is full: what else comes is dropped."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@contextmanager
def forwarding(heard: list[bytes], said: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> Iterator[int]:
    """The port of a forward proxy, which answers a CONNECT so; `heard` gets each."""

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(65536):
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)

    def talk(connection: socket.socket) -> None:
        heard.append(request(connection))
        connection.sendall(said)
        if b" 200 " in said:
            host, _, port = heard[-1].split(b" ")[1].decode().rpartition(":")
            with socket.create_connection((host, int(port))) as onward:
                back = threading.Thread(target=pump, args=(onward, connection), daemon=True)
                back.start()
                pump(connection, onward)
                back.join()

    with serving(talk) as port:
        yield port


def pool(timeout: float = LONG, bundle: str | None = None, proxy: str = "") -> Pool:
    return Pool(timeout, tls_context(bundle), {"http": proxy, "https": proxy} if proxy else {}, "")


def asked(pool: Pool, url: str, watch: ClientWatch | None = None) -> bytes:
    exchange = WatchingAdapter(pool).open("POST", url, {}, b"{}", watch or ClientWatch())
    with closing(pool), closing(exchange):
        assert list(exchange.wait_for_headers()) == []
        return exchange.read_body()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_tls(secure, trusted, host):
    assert asked(pool(bundle=trusted), f"https://{host}:{secure}/") == b"hello"


def test_a_certificate_of_an_unknown_authority(secure):
    with pytest.raises(requests.exceptions.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        asked(pool(), f"https://127.0.0.1:{secure}/")


def test_a_certificate_for_another_host(authority, trusted):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("another.example").configure_cert(context)
    with (
        serving(lambda connection: context.wrap_socket(connection, server_side=True).close()) as port,
        pytest.raises(requests.exceptions.SSLError),
    ):
        asked(pool(bundle=trusted), f"https://127.0.0.1:{port}/")


def test_tls_that_ends_in_the_handshake():
    with serving(lambda connection: connection.recv(1000)) as port, pytest.raises(requests.ConnectionError):
        asked(pool(), f"https://127.0.0.1:{port}/")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_forward_proxy(secure, trusted, scheme):
    heard: list[bytes] = []
    with serving(answer) as open_port, forwarding(heard) as proxy:
        port = secure if scheme == "https" else open_port
        through = pool(bundle=trusted, proxy=f"http://me:s%20t@127.0.0.1:{proxy}")
        assert asked(through, f"{scheme}://127.0.0.1:{port}/x") == b"hello"
    secret = b64encode(b"me:s t")
    (line, *headers) = heard[0].split(b"\r\n")
    assert line == b"CONNECT 127.0.0.1:%d HTTP/1.1" % port
    assert b"Host: 127.0.0.1:%d" % port in headers
    assert b"Proxy-Authorization: Basic " + secret in headers


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n", "407"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "502"),
        (b"", "closed the connection"),
        (b"SSH-2.0-x\r\n\r\n", "no HTTP"),
    ],
)
def test_a_forward_proxy_that_opens_no_tunnel(said, why):
    with forwarding([], said) as proxy, pytest.raises(requests.exceptions.ProxyError, match=why):
        asked(pool(proxy=f"http://127.0.0.1:{proxy}"), "https://127.0.0.1:9/")


@pytest.fixture(params=["address", "tls", "proxy"])
def stuck(request, deaf):
    """A URL, and a proxy, where connecting comes to a stop: at the address, in the handshake, at the proxy."""
    with serving(silent) as mute:
        yield {
            "address": (f"http://127.0.0.1:{deaf}/", ""),
            "tls": (f"https://127.0.0.1:{mute}/", ""),
            "proxy": ("http://127.0.0.1:9/", f"http://127.0.0.1:{mute}"),
        }[request.param]


def test_connecting_has_its_time(stuck):
    url, proxy = stuck
    with pytest.raises(requests.ConnectTimeout, match=r"within 0\.2 s"):
        asked(pool(0.2, proxy=proxy), url)


def test_a_deadline_that_comes_first_has_its_name(stuck):
    url, proxy = stuck
    with pytest.raises(requests.Timeout) as caught:
        asked(pool(proxy=proxy), url, ClientWatch(deadline=time.monotonic() + 0.2))
    assert getattr(caught.value, "kind", None) == TOTAL


def test_pauses_while_connecting(stuck):
    url, proxy = stuck
    watch = ClientWatch(yield_at=time.monotonic() + 0.1)
    exchange = WatchingAdapter(pool(0.3, proxy=proxy)).open("POST", url, {}, b"{}", watch)
    with closing(exchange):
        head = exchange.wait_for_headers()
        assert next(head) is PAUSE
        watch.yield_at = math.inf
        with pytest.raises(requests.ConnectTimeout):
            next(head)


def test_a_client_that_leaves_while_connecting_ends_it(stuck):
    url, proxy = stuck
    with closing(socket.create_server(("127.0.0.1", 0))) as ours, closing(socket.socket()) as client:
        client.connect(ours.getsockname())
        served, _ = ours.accept()
        threading.Timer(0.1, client.close).start()
        with closing(served), pytest.raises(ClientDisconnected):
            asked(pool(proxy=proxy), url, ClientWatch(client=served))


def test_of_a_host_with_two_addresses_the_one_that_answers_is_taken():
    """`localhost` may be ::1 as well, where nobody listens."""
    with serving(answer) as port:
        assert asked(pool(), f"http://localhost:{port}/") == b"hello"


def test_nobody_listens():
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(requests.ConnectionError, match="refused"):
        asked(pool(), f"http://127.0.0.1:{port}/")
