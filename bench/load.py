"""Load generators: each measures a target under a workload and returns a flat record."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from processes import BUILD, compiled, core_seconds, cpu_seconds, environment, pinned, pss_kb, tool, wait
from targets import Target
from workloads import SUSTAINED_LEVELS, Workload, chat, http_request

Record = dict[str, Any]
RAMP_MS = 1.2  # between the starts of two held streams; sustained streams start together
BURST = Workload("burst", "streams", connections=16, chunks=200, gap=0)  # warms a target up


def measure(target: Target, workload: Workload, seconds: float, waves: int, core: int) -> Record:
    """Measure a target; `seconds` applies to workloads without a fixed length."""
    match workload.kind:
        case "requests":
            return measure_requests(target, workload, seconds, core)
        case "streams":
            return measure_streams(target, workload, seconds, core)
        case "held":
            return measure_held(target, workload, core)
        case _:
            return measure_sustained(target, workload, waves, core)


def warm(target: Target, seconds: float, core: int) -> None:
    """Run load that is not measured, so that JIT compilers, pools and caches settle."""
    for workload in (Workload("", "requests", connections=32), BURST):
        measure(target, workload, seconds, 0, core)


def measure_requests(target: Target, workload: Workload, seconds: float, core: int) -> Record:
    body = BUILD / f"body-{target.port}"
    body.write_bytes(chat(target.model(workload.model, workload.dialect), workload.size, stream=False))
    wrk(target, body, workload.connections, max(1, round(seconds / 4)), core)
    with cost(target) as usage:
        result = wrk(target, body, workload.connections, round(seconds), core)
    body.unlink()
    count = result["requests"]
    return {
        "per": "request",
        "cpu_us": usage["cpu"] / count * 1e6 if count else None,
        "rate": count / result["seconds"],
        "busy": usage["busy"],
        "others": usage["others"],
        "p50_ms": result["p50_ms"],
        "p99_ms": result["p99_ms"],
        "failed": result["errors"] + result["refused"],
    }


def wrk(target: Target, body: Any, connections: int, seconds: int, core: int) -> Record:
    headers = "\n".join(f"{name}: {value}" for name, value in target.launch.headers.items())
    command = [*pinned(core), tool("wrk", "wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s"]
    command += ["-s", str(BUILD.parent / "post.lua"), f"http://127.0.0.1:{target.port}/v1/chat/completions"]
    env = environment(BENCH_BODY=str(body), BENCH_HEADERS=headers)
    out = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    result: Record = json.loads(out.partition("BENCH ")[2])
    return result


def measure_streams(target: Target, workload: Workload, seconds: float, core: int) -> Record:
    run_client(target, workload, core, seconds=seconds / 4)
    with cost(target) as usage:
        result = run_client(target, workload, core, seconds=seconds)
    return {
        **stream_figures(result),
        "cpu_us": cpu_us_per_chunk(usage, result),
        "busy": usage["busy"],
        "others": usage["others"],
    }


def measure_held(target: Target, workload: Workload, core: int) -> Record:
    run_client(target, replace(BURST, dialect=workload.dialect), core)
    before = peak = pss_kb(target.pid, "Pss_Anon")
    initial_pss = pss_kb(target.pid)
    with cost(target) as usage, streaming(target, workload, core, ramp=RAMP_MS * workload.connections) as process:
        while process.poll() is None:
            wait(0.5)
            peak = max(peak, pss_kb(target.pid, "Pss_Anon"))
        result: Record = json.loads(process.communicate()[0])
    return {
        **stream_figures(result),
        "cpu_us": cpu_us_per_chunk(usage, result),
        "busy": usage["busy"],
        "others": usage["others"],
        "complete": result["whole"] / workload.connections,
        "kb_a_stream": (peak - before) / workload.connections,
        "pss_mb": initial_pss / 1024,
    }


def measure_sustained(target: Target, workload: Workload, waves: int, core: int) -> Record:
    """Find the highest number of concurrent streams with every frame received and no gap over 200 ms."""
    highest, levels = 0, {}
    run_client(target, workload, core, connections=8)
    for level in SUSTAINED_LEVELS:
        results = [run_client(target, workload, core, connections=level) for _ in range(waves)]
        broken = sum(result["broken"] for result in results)
        late = sum(result["gaps_over_200_ms"] for result in results)
        worst = max(result["largest_gap_ms"] for result in results)
        levels[str(level)] = {"broken": broken, "late": late, "largest_gap_ms": worst}
        if broken or late:
            break
        highest = level
    return {"per": "stream", "sustained": highest, "levels": levels}


def run_client(target: Target, workload: Workload, core: int, *, connections: int = 0, seconds: float = 0) -> Record:
    """Run the stream client once and return its result."""
    with streaming(target, workload, core, connections=connections, seconds=seconds) as process:
        result: Record = json.loads(process.communicate()[0])
        return result


@contextmanager
def streaming(
    target: Target,
    workload: Workload,
    core: int,
    *,
    connections: int = 0,
    seconds: float = 0,
    ramp: float = 0,
    leave: int = 0,
) -> Iterator[subprocess.Popen[str]]:
    """Run the stream client beside the block; it prints its result as JSON when it exits."""
    request = BUILD / f"request-{target.port}"  # a file for each target: two runs may overlap
    body = chat(target.model(workload.model, workload.dialect), workload.size, stream=True)
    request.write_bytes(http_request(target.port, target.launch.stream_path, target.launch.headers, body))
    numbers = (workload.chunks, connections or workload.connections, seconds, ramp, leave)
    command = [*pinned(core), compiled("streams"), str(target.port), str(request), *map(str, numbers)]
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
    Measure the target's processes during the block: `cpu` in seconds, `busy` as a share of their core. `others` is the
    share of that core that other processes used; a high share makes the figures worthless.
    """
    usage: dict[str, float] = {}
    start, core_before, cpu_before = time.monotonic(), core_seconds(target.core), cpu_seconds(target.pid)
    yield usage
    usage["cpu"] = cpu_seconds(target.pid) - cpu_before
    elapsed = time.monotonic() - start
    usage["busy"] = usage["cpu"] / elapsed
    usage["others"] = max(0.0, (core_seconds(target.core) - core_before) / elapsed - usage["busy"])


def cpu_us_per_chunk(usage: dict[str, float], result: Record) -> float | None:
    """Return the CPU microseconds per chunk, with the cost of the requests included."""
    return usage["cpu"] / result["chunks"] * 1e6 if result["chunks"] else None


def stream_figures(result: Record) -> Record:
    return {
        "per": "chunk",
        "rate": result["chunks"] / result["seconds"],
        "first_chunk_ms": result["first_chunk_ms"]["p50"],
        "delay_p50_ms": result["delay_ms"]["p50"],
        "delay_p99_ms": result["delay_ms"]["p99"],
        "largest_gap_ms": result["largest_gap_ms"],
        "streams": result["whole"],
        "failed": result["broken"],
        "why": result["reason"],
    }
