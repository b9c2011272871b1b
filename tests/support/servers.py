"""
Servers as a user would start them: the gateway under gunicorn, and the replay server of the shared folder.

A server's environment is built from nothing and its working directory is empty, so that no key and no `.env` of
whoever runs the tests leaks in.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).parents[2]
WORKER_CLASSES = ("gevent", "gthread")
PATIENCE = 30.0


@dataclass(frozen=True)
class Server:
    """A process that listens; `out` and `err` are the files that it writes to. `key` is for its clients."""

    port: int
    process: subprocess.Popen[bytes]
    folder: Path
    key: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    def said(self) -> str:
        """All that it wrote, on standard output and error."""
        return self.out() + (self.folder / "err").read_text(errors="replace")

    def out(self) -> str:
        return (self.folder / "out").read_text(errors="replace")

    def log(self, request_id: str, patience: float = 5.0) -> dict[str, Any]:
        """The log line of a request; it comes after the answer."""
        lines = eventually(lambda: self.lines(request_id), patience)
        assert len(lines) == 1, f"{len(lines)} lines in the log for one request"
        return lines[0]

    def lines(self, request_id: str) -> list[dict[str, Any]]:
        whole = self.out().rpartition("\n")[0].splitlines()  # the last line may be half-written
        written = [json.loads(line) for line in whole if f'"{request_id}"' in line]
        return [line for line in written if line["event"] == "request" and line["request_id"] == request_id]


def eventually(found, patience: float = 5.0, step: float = 0.05):
    """What `found()` says as soon as it says something, or at the end of the patience."""
    until = time.monotonic() + patience
    while not (said := found()) and time.monotonic() < until:
        time.sleep(step)
    return said


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def bare_environment(folder: Path) -> dict[str, str]:
    """What any process needs, and nothing that configures the gateway."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "HOME": str(folder), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


def gunicorn(folder: Path, environ: dict[str, str], **options: Any) -> subprocess.Popen[bytes]:
    """The gateway as `make run` starts it."""
    cwd = folder / "empty"
    cwd.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "gunicorn", "-c", str(ROOT / "gunicorn.conf.py"), "wsgi:app"]
    return subprocess.Popen(command, cwd=cwd, env={**bare_environment(folder), **environ}, **options)


@contextmanager
def gateway(folder: Path, **environ: str) -> Iterator[Server]:
    """A gateway on a free port. Clients may use the first of VALID_API_KEYS."""
    port = free_port()
    usual = {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "GRACEFUL_TIMEOUT": "1",
        "GATEWAY_ECHO_PACE": "0",
        "RATE_LIMIT": "",
    }
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = gunicorn(folder, {**usual, **environ}, stdout=out, stderr=err)
    server = Server(port, process, folder, environ.get("VALID_API_KEYS", "").partition(",")[0])
    with ended(process):
        listening(server, "/health/live")
        yield server
    assert "Traceback" not in server.said(), server.said()


@contextmanager
def configured(folder: Path, written: str, **environ: str) -> Iterator[Server]:
    """A gateway with this configuration file, YAML or JSON, that asks each target once."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.yaml"
    config.write_text(written)
    with gateway(folder, **{"GATEWAY_CONFIG": str(config), "RETRY_MAX_ATTEMPTS": "1", **environ}) as server:
        yield server


@contextmanager
def replaying(folder: Path, shared: Path) -> Iterator[Server]:
    """The replay server, with the recordings of the shared folder."""
    port = free_port()
    command = [sys.executable, str(shared / "upstream" / "replay.py"), "--port", str(port)]
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen(command, cwd=folder, env=bare_environment(folder), stdout=out, stderr=err)
    server = Server(port, process, folder)
    with ended(process):
        listening(server, "/__log")
        yield server


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Whatever happens within, the process is over afterwards."""
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def listening(server: Server, path: str) -> None:
    """Wait until the server answers."""

    def answers() -> bool:
        assert server.process.poll() is None, f"the server ended at once:\n{server.said()}"
        try:
            return requests.get(server.url + path, timeout=5).ok
        except requests.ConnectionError:
            return False

    assert eventually(answers, PATIENCE), f"nothing listens:\n{server.said()}"
