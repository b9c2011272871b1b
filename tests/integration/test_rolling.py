"""A rolling restart: behind nginx one gateway after the other is ended and started anew, and no client notices."""

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

from tests.support.http_client import chat, post, stream
from tests.support.servers import PATIENCE, Server, bare_environment, eventually, free_port, gunicorn, listening
from tests.support.servers import ended as over_with

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
STREAMS = 200
"""Under way at any time: a client that has heard one asks for the next."""
PLAIN = 4
PACE = 0.35
"""Seconds a word: a stream takes some 5 s."""
GRACE = 30
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
    # one that is away for a second is asked again as soon as it is back: else both could be thought dead at once
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
    """Those that ask until it is over; `heard` are text and success of streams, `statuses` those of plain requests."""

    server: Server
    over: threading.Event = field(default_factory=threading.Event)
    heard: list[tuple[str, bool]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    live: set[int] = field(default_factory=set)
    """The streams under way."""

    def hear(self, client: int) -> None:
        while not self.over.is_set():
            self.live.add(client)
            told = stream(self.server, chat(said=f"client {client}"))
            self.live.discard(client)
            self.heard.append((told.text, told.status == 200 and told.done))

    def ask(self, _: int) -> None:
        while not self.over.wait(0.01):
            self.statuses.append(post(self.server, chat()).status_code)


@contextmanager
def gateway_on(port: int, folder: Path) -> Iterator[Server]:
    """A gateway on a port that another one may have had before."""
    folder.mkdir()
    environ = {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "GATEWAY_WORKER_CLASS": "gevent",
        "GATEWAY_ECHO_PACE": str(PACE),
        "GRACEFUL_TIMEOUT": str(GRACE),
        "RATE_LIMIT": "",
    }
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        server = Server(port, gunicorn(folder, environ, stdout=out, stderr=err), folder)
    with over_with(server.process):
        listening(server, "/health/live")
        yield server
    assert "Traceback" not in server.said(), server.said()


@contextmanager
def nginx(folder: Path, *ports: int) -> Iterator[Server]:
    """nginx in front of two gateways, all that it writes in its folder."""
    folder.mkdir()
    port, (first, second) = free_port(), ports
    config = folder / "nginx.conf"
    user = pwd.getpwuid(os.getuid()).pw_name
    config.write_text(CONFIG.format(folder=folder, port=port, first=first, second=second, user=user))
    command = [NGINX, "-p", str(folder), "-c", str(config), "-e", str(folder / "errors")]
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen(command, cwd=folder, env=bare_environment(folder), stdout=out, stderr=err)
    server = Server(port, process, folder)
    with over_with(process):
        listening(server, "/health/live")
        yield server


@contextmanager
def asking(server: Server) -> Iterator[Clients]:
    """Clients that stream and clients that ask plainly, until the end of the block and of what they then hear."""
    clients = Clients(server)
    with ThreadPoolExecutor(STREAMS + PLAIN) as pool:
        jobs = [pool.submit(clients.hear, client) for client in range(STREAMS)]
        jobs += [pool.submit(clients.ask, client) for client in range(PLAIN)]
        try:
            assert eventually(lambda: len(clients.live) == STREAMS, PATIENCE)
            yield clients
        finally:
            clients.over.set()
    for job in jobs:
        job.result()


@contextmanager
def renewed(old: Server, folder: Path, clients: Clients) -> Iterator[Server]:
    """Another gateway in the place of one that is told to end, and does so in time."""
    began, heard = time.monotonic(), len(clients.heard)
    old.process.send_signal(signal.SIGTERM)
    assert old.process.wait(GRACE) == 0, old.said()
    print(
        "seconds to end", round(time.monotonic() - began, 1), "streams that ended meanwhile", len(clients.heard) - heard
    )
    with gateway_on(old.port, folder / f"second-{old.port}") as server:
        yield server


def test_gateways_are_restarted_one_after_the_other_and_every_stream_is_whole(tmp_path):
    ports = (free_port(), free_port())
    with ExitStack() as stack:
        first = [stack.enter_context(gateway_on(port, tmp_path / f"first-{port}")) for port in ports]
        front = stack.enter_context(nginx(tmp_path / "nginx", *ports))
        sample = post(front, chat(said="client")).json()["choices"][0]["message"]["content"]
        with asking(front) as clients:
            second = [stack.enter_context(renewed(old, tmp_path, clients)) for old in first]
    print("streams", len(clients.heard), "plain requests", len(clients.statuses))
    assert set(clients.statuses) == {200}
    assert all(done for _, done in clients.heard)
    assert {text for text, _ in clients.heard} == {f"{sample} {client}" for client in range(STREAMS)}
    assert all(len(server.out().splitlines()) > STREAMS // 4 for server in (*first, second[0])), "all were asked"
