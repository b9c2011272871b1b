"""An upstream scripted byte for byte: a function talks on each connection."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

OK = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n"


class Upstream:
    """Accepts connections and lets a script talk on each; `connections` counts them."""

    def __init__(self, script: Callable[[socket.socket, int], None]) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/v1/x"
        self.connections, self.requests, self._script = 0, [], script
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=(connection, self.connections), daemon=True).start()

    def _talk(self, connection: socket.socket, number: int) -> None:
        with connection, suppress(OSError):  # a gateway that hangs up is what some scripts are about
            while request := self.read(connection):
                self.requests.append(request)
                self._script(connection, number)

    @staticmethod
    def read(connection: socket.socket) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                return b""
            data += piece
        return data

    def close(self) -> None:
        self.listener.close()
