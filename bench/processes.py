"""Processes: start and end them, and ask /proc what a whole tree of them costs."""
# ruff: noqa: TID251 - it waits, finds ports and hands the environment on; the gateway's rules are for the gateway

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

HERE = Path(__file__).parent
ROOT = HERE.parent
BUILD = HERE / ".build"
PEERS = HERE / ".peers"
TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 90.0


class Missing(Exception):
    """A tool that has to be there is not; the message says how to get it."""


def tool(name: str, package: str) -> str:
    """Where a program of the system is. Raises Missing."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        raise Missing(f"{name} is missing: apt install {package} (or your system's package of it)")
    return found


def built(name: str) -> str:
    """The program made from `name`.c, compiled anew when that is newer. Raises Missing."""
    source, program = HERE / f"{name}.c", BUILD / name
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        BUILD.mkdir(exist_ok=True)
        subprocess.run([tool("cc", "gcc libc6-dev"), "-O2", "-Wall", "-o", str(program), str(source)], check=True)
    return str(program)


def pinned(core: int) -> list[str]:
    """What precedes a command so that it, and all that it starts, runs on one core."""
    return [tool("taskset", "util-linux"), "-c", str(core)]


def environment(**more: str) -> dict[str, str]:
    """A bare environment: no key and no proxy of whoever runs the benchmark gets in."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "HOME": str(BUILD), "PYTHONDONTWRITEBYTECODE": "1", **more}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait(seconds: float) -> None:
    time.sleep(seconds)


def eventually(true: Callable[[], bool], patience: float = PATIENCE) -> bool:
    until = time.monotonic() + patience
    while not (said := true()) and time.monotonic() < until:
        wait(0.1)
    return said


@contextmanager
def running(command: list[str], env: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process in an empty folder, its output in `log`; afterwards it and its children are over."""
    empty = BUILD / "empty"
    empty.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=empty, env=env, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        family = tree(process.pid)
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pid in family[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)


def tree(pid: int) -> list[int]:
    """A process and all of its descendants."""
    family = [pid]
    for parent in family:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                family += [int(child) for child in (task / "children").read_text().split()]
    return family


def cpu_seconds(pid: int) -> float:
    """User and system time of a tree so far, of its children that ended too."""
    total = 0
    for member in tree(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(field) for field in fields[11:15])
    return total / TICKS


def core_seconds(core: int) -> float:
    """What a core has worked so far, for whomever."""
    lines = Path("/proc/stat").read_text().splitlines()
    user, nice, system, _, _, irq, softirq, steal = next(
        [int(field) for field in line.split()[1:9]] for line in lines if line.startswith(f"cpu{core} ")
    )
    return (user + nice + system + irq + softirq + steal) / TICKS


def pss_kb(pid: int, part: str = "Pss") -> int:
    """
    The memory of a tree; what processes share is counted once. `Pss_Anon` is the part that is nobody else's: of a library's
    pages Pss has less while another program on the machine uses the library too, and more once that ends.
    """
    total = 0
    for member in tree(pid):
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{member}/smaps_rollup").read_text().splitlines()
            total += next((int(line.split()[1]) for line in lines if line.startswith(f"{part}:")), 0)
    return total


def taken_kb(pid: int) -> int:
    """The memory that a tree has taken from the system for data (VmData), touched or not."""
    total = 0
    for member in tree(pid):
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{member}/status").read_text().splitlines()
            total += next((int(line.split()[1]) for line in lines if line.startswith("VmData:")), 0)
    return total


def machine() -> dict[str, str]:
    """What the figures were taken on."""
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": model[0].partition(":")[2].strip() if model else "unknown",
        "cores": str(os.cpu_count()),
        "kernel": os.uname().release,
        "python": sys.version.split()[0],
    }
