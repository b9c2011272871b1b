"""Servers on real sockets whose every byte is scripted."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

OK = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n"


class Listener:
    """Accepts connections and runs a script on each, in a thread; the script's end closes the connection."""

    def __init__(self, script: Callable[[socket.socket], None]) -> None:
        self._socket, self._script = socket.create_server(("127.0.0.1", 0)), script
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                threading.Thread(target=self._serve, args=(self._socket.accept()[0],), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):  # a gateway that closes its connection is what some scripts are about
            self._script(connection)

    def close(self) -> None:
        self._socket.close()


class Upstream(Listener):
    """Runs a script after each request; `connections` counts the connections, `requests` has the heads of the requests."""

    def __init__(self, script: Callable[[socket.socket, int], None]) -> None:
        """The script gets the connection and its number, from 1 on."""
        self.connections, self.requests = 0, []

        def serve(connection: socket.socket) -> None:
            self.connections += 1
            number = self.connections
            while request := read_head(connection):
                self.requests.append(request)
                script(connection, number)

        super().__init__(serve)
        self.url = f"http://127.0.0.1:{self.port}/v1/x"


def read_head(connection: socket.socket) -> bytes:
    """What arrives up to the end of a request's headers; b"" if the connection ends before."""
    data = b""
    while b"\r\n\r\n" not in data:
        received = connection.recv(65536)
        if not received:
            return b""
        data += received
    return data


@contextmanager
def listening(script: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of a Listener."""
    with closing(Listener(script)) as listener:
        yield listener.port


@contextmanager
def connected_client() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client's socket, and the server's end of its connection."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener, closing(socket.socket()) as client:
        client.connect(listener.getsockname())
        with closing(listener.accept()[0]) as accepted:
            yield client, accepted
