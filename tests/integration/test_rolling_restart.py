"""A rolling restart: behind nginx each gateway in turn exits and starts again, and no request fails."""

import os
import pwd
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.http_client import chat_request, post, post_stream
from tests.support.servers import (
    START_TIMEOUT,
    Server,
    free_port,
    minimal_environment,
    start_gunicorn,
    terminating,
    wait_until,
    wait_until_listening,
)

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
STREAM_CLIENTS = 200  # each requests the next stream when the last has ended
PLAIN_CLIENTS = 4
PACE = 0.35  # seconds per word: a stream takes about 5 s
GRACE_PERIOD = 30
CONFIG = """
daemon off;
master_process off;
user {user};
pid {folder}/nginx.pid;
events {{ worker_connections 1000; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream gateways {{
    # max_fails=0: nginx must not mark a restarted gateway as down, or both could be down at the same time
    server 127.0.0.1:{first} max_fails=0;
    server 127.0.0.1:{second} max_fails=0;
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://gateways;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_next_upstream error;
    }}
  }}
}}
"""

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


@dataclass
class Clients:
    """Clients that send requests until `stop` is set. `streams`: (text, whether complete); `open`: clients that stream."""

    server: Server
    stop: threading.Event = field(default_factory=threading.Event)
    streams: list[tuple[str, bool]] = field(default_factory=list)
    plain_statuses: list[int] = field(default_factory=list)
    open: set[int] = field(default_factory=set)

    def stream_repeatedly(self, client: int) -> None:
        while not self.stop.is_set():
            self.open.add(client)
            response = post_stream(self.server, chat_request(content=f"client {client}"))
            self.open.discard(client)
            self.streams.append((response.text, response.status == 200 and response.done))

    def post_repeatedly(self) -> None:
        while not self.stop.wait(0.01):
            self.plain_statuses.append(post(self.server, chat_request()).status_code)


@contextmanager
def run_gateway_on(port: int, folder: Path) -> Iterator[Server]:
    """Run a gateway on a port that another gateway may have used before."""
    folder.mkdir()
    environ = {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "GATEWAY_WORKER_CLASS": "gevent",
        "GATEWAY_ECHO_PACE": str(PACE),
        "GRACEFUL_TIMEOUT": str(GRACE_PERIOD),
        "RATE_LIMIT": "",
    }
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        server = Server(port, start_gunicorn(folder, environ, stdout=out, stderr=err), folder)
    with terminating(server.process):
        wait_until_listening(server, "/health/live")
        yield server
    assert "Traceback" not in server.output(), server.output()


@contextmanager
def run_nginx(folder: Path, *ports: int) -> Iterator[Server]:
    """Run nginx in front of two gateways; it writes only to its folder."""
    folder.mkdir()
    port, (first, second) = free_port(), ports
    config = folder / "nginx.conf"
    user = pwd.getpwuid(os.getuid()).pw_name
    config.write_text(CONFIG.format(folder=folder, port=port, first=first, second=second, user=user))
    command = [NGINX, "-p", str(folder), "-c", str(config), "-e", str(folder / "errors")]
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen(command, cwd=folder, env=minimal_environment(folder), stdout=out, stderr=err)
    server = Server(port, process, folder)
    with terminating(process):
        wait_until_listening(server, "/health/live")
        yield server


@contextmanager
def running_clients(server: Server) -> Iterator[Clients]:
    """Run clients with streams and with plain requests; at the end of the block they finish their last request."""
    clients = Clients(server)
    with ThreadPoolExecutor(STREAM_CLIENTS + PLAIN_CLIENTS) as pool:
        futures = [pool.submit(clients.stream_repeatedly, client) for client in range(STREAM_CLIENTS)]
        futures += [pool.submit(clients.post_repeatedly) for _ in range(PLAIN_CLIENTS)]
        try:
            assert wait_until(lambda: len(clients.open) == STREAM_CLIENTS, START_TIMEOUT)
            yield clients
        finally:
            clients.stop.set()
    for future in futures:
        future.result()


@contextmanager
def restarted(old: Server, folder: Path, clients: Clients) -> Iterator[Server]:
    """Terminate a gateway, wait for its exit, and run another one on its port."""
    start, count = time.monotonic(), len(clients.streams)
    old.process.send_signal(signal.SIGTERM)
    assert old.process.wait(GRACE_PERIOD) == 0, old.output()
    print(
        "seconds until the exit",
        round(time.monotonic() - start, 1),
        "streams that ended meanwhile",
        len(clients.streams) - count,
    )
    with run_gateway_on(old.port, folder / f"second-{old.port}") as server:
        yield server


def test_every_stream_is_complete_while_the_gateways_restart_in_turn(tmp_path):
    ports = (free_port(), free_port())
    with ExitStack() as stack:
        first = [stack.enter_context(run_gateway_on(port, tmp_path / f"first-{port}")) for port in ports]
        front = stack.enter_context(run_nginx(tmp_path / "nginx", *ports))
        sample = post(front, chat_request(content="client")).json()["choices"][0]["message"]["content"]
        with running_clients(front) as clients:
            second = [stack.enter_context(restarted(old, tmp_path, clients)) for old in first]
    print("streams", len(clients.streams), "plain requests", len(clients.plain_statuses))
    assert set(clients.plain_statuses) == {200}
    assert all(done for _, done in clients.streams)
    assert {text for text, _ in clients.streams} == {f"{sample} {client}" for client in range(STREAM_CLIENTS)}
    assert all(len(server.stdout().splitlines()) > STREAM_CLIENTS // 4 for server in (*first, second[0])), (
        "each gateway received a share"
    )
