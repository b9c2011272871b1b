"""Start and stop processes, and read from /proc what a tree of them uses."""
# ruff: noqa: TID251 - sleeping, binding ports and reading the environment are banned in the gateway alone

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

BENCH = Path(__file__).parent
ROOT = BENCH.parent
BUILD = BENCH / ".build"
PEERS = BENCH / ".peers"
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
START_TIMEOUT = 90.0


class MissingTool(Exception):
    """A required tool is not installed; the message says how to install it."""


def tool(name: str, package: str) -> str:
    """Return the path of a system program. Raises MissingTool."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if path is None:
        raise MissingTool(f"{name} is missing: apt install {package} (or your system's package of it)")
    return path


def compiled(name: str) -> str:
    """Return the path of the program compiled from `name`.c, after a build if the source is newer. Raises MissingTool."""
    source, program = BENCH / f"{name}.c", BUILD / name
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        BUILD.mkdir(exist_ok=True)
        subprocess.run([tool("cc", "gcc libc6-dev"), "-O2", "-Wall", "-o", str(program), str(source)], check=True)
    return str(program)


def pinned(core: int) -> list[str]:
    """Return the prefix of a command that must run, with its children, on one core."""
    return [tool("taskset", "util-linux"), "-c", str(core)]


def environment(**variables: str) -> dict[str, str]:
    """Return a minimal environment, without the keys and proxies of the user who runs the benchmark."""
    inherited = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
    return {**inherited, "HOME": str(BUILD), "PYTHONDONTWRITEBYTECODE": "1", **variables}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait(seconds: float) -> None:
    time.sleep(seconds)


def wait_until(condition: Callable[[], bool], timeout: float = START_TIMEOUT) -> bool:
    deadline = time.monotonic() + timeout
    while not (result := condition()) and time.monotonic() < deadline:
        wait(0.1)
    return result


@contextmanager
def running(command: list[str], env: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process in an empty folder, its output in `log`; stop it and its children at the end of the block."""
    empty = BUILD / "empty"
    empty.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=empty, env=env, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        pids = process_tree(process.pid)
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pid in pids[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)


def process_tree(pid: int) -> list[int]:
    """Return the ids of a process and all of its descendants."""
    pids = [pid]
    for parent in pids:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                pids += [int(child) for child in (task / "children").read_text().split()]
    return pids


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process tree so far, exited children included."""
    total = 0
    for member in process_tree(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(field) for field in fields[11:15])
    return total / CLOCK_TICKS


def core_seconds(core: int) -> float:
    """Return how long a core has been busy so far, with any process."""
    lines = Path("/proc/stat").read_text().splitlines()
    user, nice, system, _, _, irq, softirq, steal = next(
        [int(field) for field in line.split()[1:9]] for line in lines if line.startswith(f"cpu{core} ")
    )
    return (user + nice + system + irq + softirq + steal) / CLOCK_TICKS


def pss_kb(pid: int, part: str = "Pss") -> int:
    """
    Return the memory of a process tree; pages that its processes share count once. Pss also divides the pages of a library
    among all programs on the machine that use it, so it changes when those start and end; `Pss_Anon` leaves them out.
    """
    total = 0
    for member in process_tree(pid):
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{member}/smaps_rollup").read_text().splitlines()
            total += next((int(line.split()[1]) for line in lines if line.startswith(f"{part}:")), 0)
    return total


def data_kb(pid: int) -> int:
    """Return the memory that a process tree has mapped for data (VmData), touched or not."""
    total = 0
    for member in process_tree(pid):
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{member}/status").read_text().splitlines()
            total += next((int(line.split()[1]) for line in lines if line.startswith("VmData:")), 0)
    return total


def machine() -> dict[str, str]:
    """Describe the machine of the measurement."""
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": model[0].partition(":")[2].strip() if model else "unknown",
        "cores": str(os.cpu_count()),
        "kernel": os.uname().release,
        "python": sys.version.split()[0],
    }
