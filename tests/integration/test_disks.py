"""Full and unusable disks, and what a start that fails leaves behind."""

import os
import signal
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.http_client import chat_request, expect_error, get, post
from tests.support.scripted_upstream import json_response, run_scripted_upstream
from tests.support.servers import (
    Server,
    free_port,
    run_gateway,
    start_gunicorn,
    terminating,
    wait_until,
    wait_until_listening,
)

# The status makes the target cool down, which sets a metric.
REFUSED = json_response({"error": {"message": "no"}}, status=401)


@contextmanager
def full_file_system(folder):
    """Mount a file system of 64 KB without room at a folder."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this user may not mount a file system")
    try:
        with (folder / "fill").open("wb", buffering=0) as file:
            while file.write(bytes(4096)) == 4096:
                pass
    except OSError:
        pass
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def worker_of(server):
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    return children.read_text().split()


def test_a_worker_survives_a_full_disk_under_its_metrics(tmp_path, worker_class, scripted_upstream):
    environ = {"OPENAI_API_KEY": "sk-full", "OPENAI_BASE_URL": scripted_upstream.url}
    with (
        full_file_system(tmp_path / "full") as full,
        run_gateway(
            tmp_path, GATEWAY_WORKER_CLASS=worker_class, PROMETHEUS_MULTIPROC_DIR=str(full), **environ
        ) as server,
    ):
        workers = worker_of(server)
        for _ in range(3):
            expect_error(post(server, chat_request(f"openai/{scripted_upstream.add_model(REFUSED)}")), 502)
        assert get(server, "/metrics").status_code == 200
        assert worker_of(server) == workers
        assert server.stdout().count("No room in the folder of the metrics") == 1


def test_every_worker_probes_where_the_data_folder_is_unusable(tmp_path, worker_class):
    (tmp_path / "file").write_text("")
    with run_scripted_upstream() as upstream:
        environ = {
            "GATEWAY_WORKER_CLASS": worker_class,
            "WEB_CONCURRENCY": "2",
            "OPENAI_API_KEY": "sk-probed",
            "OPENAI_BASE_URL": upstream.url,
            "GATEWAY_DATA": str(tmp_path / "file"),
            "HEALTH_CHECK_INTERVAL": "0.2",
        }
        with run_gateway(tmp_path, **environ) as server:
            assert wait_until(lambda: server.stdout().count("each process probes the providers itself") == 2, 10)
            probed = upstream.probes
            assert wait_until(lambda: upstream.probes > probed + 3, 10)
            assert server.stdout().count("each process probes the providers itself") == 2


def test_requests_are_served_while_the_log_is_on_a_full_disk(tmp_path, worker_class):
    port = free_port()
    environ = {
        "PORT": str(port),
        "GATEWAY_WORKER_CLASS": worker_class,
        "GATEWAY_ECHO_PACE": "0",
        "GRACEFUL_TIMEOUT": "1",
    }
    (tmp_path / "out").write_text("")
    # /dev/full fails each write with ENOSPC (full(4)).
    with Path("/dev/full").open("wb") as full, (tmp_path / "err").open("wb") as err:
        process = start_gunicorn(tmp_path, environ, stdout=full, stderr=err)
    with terminating(process):
        server = Server(port, process, tmp_path)
        wait_until_listening(server, "/health/live")
        for _ in range(20):
            assert post(server, chat_request()).status_code == 200
        assert post(server, chat_request(stream=True)).text.endswith("data: [DONE]\n\n")
        expect_error(post(server, b"{"), 400)
        assert len(worker_of(server)) == 1
        assert "Traceback" not in server.stderr()


def metrics_folders(process):
    """The folders for metrics that this gateway made."""
    shared_memory = Path("/dev/shm")
    parent = shared_memory if os.access(shared_memory, os.W_OK) else Path(tempfile.gettempdir())
    return list(parent.glob(f"pointsman-metrics-{process.pid}-*"))


@contextmanager
def taken_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_start_whose_port_is_taken_leaves_no_folder_behind(tmp_path, worker_class):
    with taken_port() as port:
        environ = {"PORT": str(port), "GATEWAY_WORKER_CLASS": worker_class}
        process = start_gunicorn(tmp_path, environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output, _ = process.communicate(timeout=30)
    assert process.returncode != 0
    assert b"Address already in use" in output
    assert metrics_folders(process) == []
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_reload_to_a_port_that_is_taken_leaves_no_folder_behind(tmp_path, worker_class):
    port = free_port()
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/.env").write_text(f"PORT={port}\nGATEWAY_WORKER_CLASS={worker_class}\n")
    with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err, taken_port() as taken:
        process = start_gunicorn(tmp_path, {}, stdout=out, stderr=err)
        with terminating(process):
            wait_until_listening(Server(port, process, tmp_path), "/health/live")
            assert len(metrics_folders(process)) == 1
            (tmp_path / "empty/.env").write_text(f"PORT={taken}\nGATEWAY_WORKER_CLASS={worker_class}\n")
            process.send_signal(signal.SIGHUP)
            assert process.wait(30) != 0
    assert metrics_folders(process) == []
