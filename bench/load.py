"""The loads: one measurement of one target under one workload, as a flat record."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from processes import BUILD, built, core_seconds, cpu_seconds, environment, pinned, pss_kb, tool, wait
from targets import Target
from workloads import SUSTAINED, Workload, chat, http_request

Record = dict[str, Any]
RAMP_MS = 1.2
"""Held streams start so far apart; those that are sustained start together."""


BURST = Workload("burst", "streams", at_once=16, chunks=200, gap=0)
"""What warms a target up."""


def measured(target: Target, workload: Workload, seconds: float, waves: int, core: int) -> Record:
    """One measurement, of `seconds` where the workload has no length of its own."""
    match workload.kind:
        case "requests":
            return requests(target, workload, seconds, core)
        case "streams":
            return streams(target, workload, seconds, core)
        case "held":
            return held(target, workload, core)
        case _:
            return sustained(target, workload, waves, core)


def warm(target: Target, seconds: float, core: int) -> None:
    """Let just-in-time compilers, pools and caches settle before anything counts."""
    for workload in (Workload("", "requests", at_once=32), BURST):
        measured(target, workload, seconds, 0, core)


def requests(target: Target, workload: Workload, seconds: float, core: int) -> Record:
    body = BUILD / f"body-{target.port}"
    body.write_bytes(chat(target.model(workload.model, workload.dialect), workload.size, stream=False))
    wrk(target, body, workload.at_once, max(1, round(seconds / 4)), core)
    with cost(target) as spent:
        said = wrk(target, body, workload.at_once, round(seconds), core)
    body.unlink()
    count = said["requests"]
    return {
        "per": "request",
        "cpu_us": spent["cpu"] / count * 1e6 if count else None,
        "rate": count / said["seconds"],
        "busy": spent["busy"],
        "others": spent["others"],
        "p50_ms": said["p50_ms"],
        "p99_ms": said["p99_ms"],
        "failed": said["errors"] + said["refused"],
    }


def wrk(target: Target, body: Any, connections: int, seconds: int, core: int) -> Record:
    headers = "\n".join(f"{name}: {value}" for name, value in target.launch.headers.items())
    command = [*pinned(core), tool("wrk", "wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s"]
    command += ["-s", str(BUILD.parent / "post.lua"), f"http://127.0.0.1:{target.port}/v1/chat/completions"]
    env = environment(BENCH_BODY=str(body), BENCH_HEADERS=headers)
    out = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    said: Record = json.loads(out.partition("BENCH ")[2])
    return said


def streams(target: Target, workload: Workload, seconds: float, core: int) -> Record:
    client(target, workload, core, seconds=seconds / 4)
    with cost(target) as spent:
        said = client(target, workload, core, seconds=seconds)
    return {**of_streams(said), "cpu_us": per_chunk(spent, said), "busy": spent["busy"], "others": spent["others"]}


def held(target: Target, workload: Workload, core: int) -> Record:
    client(target, replace(BURST, dialect=workload.dialect), core)
    before = most = pss_kb(target.pid, "Pss_Anon")
    young = pss_kb(target.pid)
    with cost(target) as spent, asking(target, workload, core, ramp=RAMP_MS * workload.at_once) as process:
        while process.poll() is None:
            wait(0.5)
            most = max(most, pss_kb(target.pid, "Pss_Anon"))
        said: Record = json.loads(process.communicate()[0])
    return {
        **of_streams(said),
        "cpu_us": per_chunk(spent, said),
        "busy": spent["busy"],
        "others": spent["others"],
        "complete": said["whole"] / workload.at_once,
        "kb_a_stream": (most - before) / workload.at_once,
        "pss_mb": young / 1024,
    }


def sustained(target: Target, workload: Workload, waves: int, core: int) -> Record:
    """The highest number of streams, begun together, of which each frame came and none later than 200 ms."""
    highest, levels = 0, {}
    client(target, workload, core, at_once=8)
    for level in SUSTAINED:
        said = [client(target, workload, core, at_once=level) for _ in range(waves)]
        broken = sum(one["broken"] for one in said)
        late = sum(one["gaps_over_200_ms"] for one in said)
        worst = max(one["largest_gap_ms"] for one in said)
        levels[str(level)] = {"broken": broken, "late": late, "largest_gap_ms": worst}
        if broken or late:
            break
        highest = level
    return {"per": "stream", "sustained": highest, "levels": levels}


def client(target: Target, workload: Workload, core: int, *, at_once: int = 0, seconds: float = 0) -> Record:
    """One run of the client of streams."""
    with asking(target, workload, core, at_once=at_once, seconds=seconds) as process:
        said: Record = json.loads(process.communicate()[0])
        return said


@contextmanager
def asking(
    target: Target,
    workload: Workload,
    core: int,
    *,
    at_once: int = 0,
    seconds: float = 0,
    ramp: float = 0,
    leave: int = 0,
) -> Iterator[subprocess.Popen[str]]:
    """The client of streams at work; what it says at its end is in its standard output."""
    request = BUILD / f"request-{target.port}"  # another run may be at work
    body = chat(target.model(workload.model, workload.dialect), workload.size, stream=True)
    request.write_bytes(http_request(target.port, target.launch.stream_path, target.launch.headers, body))
    numbers = (workload.chunks, at_once or workload.at_once, seconds, ramp, leave)
    command = [*pinned(core), built("streams"), str(target.port), str(request), *map(str, numbers)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        request.unlink(missing_ok=True)


@contextmanager
def cost(target: Target) -> Iterator[dict[str, float]]:
    """
    What the target's processes do meanwhile: `cpu` in seconds, `busy` as a share of their core. `others` is the share
    that somebody else took of it: much of that, and no figure is worth anything.
    """
    spent: dict[str, float] = {}
    began, worked, before = time.monotonic(), core_seconds(target.core), cpu_seconds(target.pid)
    yield spent
    spent["cpu"] = cpu_seconds(target.pid) - before
    took = time.monotonic() - began
    spent["busy"] = spent["cpu"] / took
    spent["others"] = max(0.0, (core_seconds(target.core) - worked) / took - spent["busy"])


def per_chunk(spent: dict[str, float], said: Record) -> float | None:
    """Of all that the streams cost, their requests' share too."""
    return spent["cpu"] / said["chunks"] * 1e6 if said["chunks"] else None


def of_streams(said: Record) -> Record:
    return {
        "per": "chunk",
        "rate": said["chunks"] / said["seconds"],
        "first_chunk_ms": said["first_chunk_ms"]["p50"],
        "delay_p50_ms": said["delay_ms"]["p50"],
        "delay_p99_ms": said["delay_ms"]["p99"],
        "largest_gap_ms": said["largest_gap_ms"],
        "streams": said["whole"],
        "failed": said["broken"],
        "why": said["reason"],
    }
