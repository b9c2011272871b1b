"""
Start servers as a user would: the gateway under gunicorn, and the replay server of the shared folder.

The environment of a server is built from nothing and its working directory is empty, so that no key and no `.env` file
of the person who runs the tests leaks in.
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
START_TIMEOUT = 30.0  # seconds; a shared machine may be busy


@dataclass(frozen=True)
class Server:
    """A running server process. It writes the files `out` and `err` in `folder`; clients send `key`."""

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

    def output(self) -> str:
        """Return everything that the process wrote to standard output and standard error."""
        return self.stdout() + self.stderr()

    def stdout(self) -> str:
        return (self.folder / "out").read_text(errors="replace")

    def stderr(self) -> str:
        return (self.folder / "err").read_text(errors="replace")

    def request_log(self, request_id: str, timeout: float = 5.0) -> dict[str, Any]:
        """Return the log line of a request, which is written after the response."""
        lines = wait_until(lambda: self._request_logs(request_id), timeout)
        assert len(lines) == 1, f"{len(lines)} lines in the log for one request"
        return lines[0]

    def _request_logs(self, request_id: str) -> list[dict[str, Any]]:
        complete = self.stdout().rpartition("\n")[0].splitlines()  # the last line may be half-written
        lines = [json.loads(line) for line in complete if f'"{request_id}"' in line]
        return [line for line in lines if line["event"] == "request" and line["request_id"] == request_id]


def wait_until(condition, timeout: float = 5.0, interval: float = 0.05):
    """Call `condition` until its result is true or `timeout` seconds have passed; return the last result."""
    deadline = time.monotonic() + timeout
    while not (result := condition()) and time.monotonic() < deadline:
        time.sleep(interval)
    return result


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def minimal_environment(folder: Path) -> dict[str, str]:
    """Return what any process needs, and nothing that configures the gateway."""
    inherited = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
    return {**inherited, "HOME": str(folder), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


def start_gunicorn(folder: Path, environ: dict[str, str], **options: Any) -> subprocess.Popen[bytes]:
    """Start the gateway as `make run` does."""
    cwd = folder / "empty"
    cwd.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "gunicorn", "-c", str(ROOT / "gunicorn.conf.py"), "wsgi:app"]
    return subprocess.Popen(command, cwd=cwd, env={**minimal_environment(folder), **environ}, **options)


@contextmanager
def run_gateway(folder: Path, **environ: str) -> Iterator[Server]:
    """Run a gateway on a free port. Its clients may use the first of VALID_API_KEYS."""
    port = free_port()
    defaults = {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "GRACEFUL_TIMEOUT": "1",
        "GATEWAY_ECHO_PACE": "0",
        "RATE_LIMIT": "",
    }
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = start_gunicorn(folder, {**defaults, **environ}, stdout=out, stderr=err)
    server = Server(port, process, folder, environ.get("VALID_API_KEYS", "").partition(",")[0])
    with terminating(process):
        wait_until_listening(server, "/health/live")
        yield server
    assert "Traceback" not in server.output(), server.output()


@contextmanager
def run_configured_gateway(folder: Path, config: str, **environ: str) -> Iterator[Server]:
    """Run a gateway with this configuration file, YAML or JSON, that calls each target once."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.yaml"
    path.write_text(config)
    with run_gateway(folder, **{"GATEWAY_CONFIG": str(path), "RETRY_MAX_ATTEMPTS": "1", **environ}) as server:
        yield server


@contextmanager
def run_replay_server(folder: Path, shared_folder: Path) -> Iterator[Server]:
    """Run the replay server with the recordings of the shared folder."""
    port = free_port()
    command = [sys.executable, str(shared_folder / "upstream" / "replay.py"), "--port", str(port)]
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen(command, cwd=folder, env=minimal_environment(folder), stdout=out, stderr=err)
    server = Server(port, process, folder)
    with terminating(process):
        wait_until_listening(server, "/__log")
        yield server


@contextmanager
def terminating(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Terminate the process at the end of the block, and kill it if it does not exit."""
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(START_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_listening(server: Server, path: str) -> None:
    """Wait until the server responds to a GET of `path`."""

    def responds() -> bool:
        assert server.process.poll() is None, f"the server exited at once:\n{server.output()}"
        try:
            return requests.get(server.url + path, timeout=5).ok
        except requests.ConnectionError:
            return False

    assert wait_until(responds, START_TIMEOUT), f"the server does not listen:\n{server.output()}"
