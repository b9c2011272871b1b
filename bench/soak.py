"""
Look for leaks: send 200,000 mixed requests, sample the memory at rest, and compute the slope over the last 80 %. At the
end no socket, thread, greenlet or call may remain, and no breaker may stay open in front of an upstream that works again.

    python bench/soak.py [--requests 200000]

The requests are plain and streamed, passed through and translated, hedged and resumed; a quarter of them fails: upstream
errors, upstreams that fail for some time, truncated streams, rejected bodies, wrong keys and models, and clients that
disconnect in mid-stream. A slice with twice the load comes first, since allocators keep memory that was needed once. The
slope is by least squares, with its standard error. Consecutive samples are correlated, so the true error is larger: a slope
that is not significant here is not significant at all. The test uses Pss_Anon, since Pss changes with other programs that
use the same libraries; the file has both.

A slope of less than 4 bytes per request passes too if the processes mapped hardly any more memory meanwhile (VmData): then
they touch pages for the first time that they had before. The smallest object in Python has 16 bytes, and each failure,
which is every fourth request, creates hundreds of objects.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from math import sqrt
from pathlib import Path
from typing import Any

from load import streaming
from processes import (
    BENCH,
    BUILD,
    data_kb,
    environment,
    free_port,
    pinned,
    process_tree,
    pss_kb,
    tool,
    wait,
    wait_until,
)
from targets import AUTHORIZED_HEADERS, JSON_HEADERS, Launch, Target, ours, started, upstream
from workloads import Workload, chat, http_request

PATH = "/v1/chat/completions"
SLICE_SECONDS = 2
DISCONNECTING = Workload("disconnecting", "streams", connections=8, chunks=100, gap=5)
GREENLET_COUNT = BUILD / "greenlets"
SKIPPED_SHARE = 0.2  # of the samples: caches and pools fill in the first of them
ALLOWANCE = {"sockets": 64}  # pooled upstream connections beyond those after the first slice
CONNECTIONS = 32
# Seconds: a flapping upstream fails for 20 of them, and a breaker stays open for 120 at most.
BREAKER_CLOSE_TIMEOUT = 300.0
TARGETS = {
    "flap-openai": ["openai/bench-flap-503-20"],
    "flap-anthropic": ["anthropic/bench-flap-503-20"],
    "resumed": ["openai/bench-third-cut-5-1", "anthropic/bench-stream-20-0"],
    "hedged": ["openai/bench-stream-20-2", "anthropic/bench-stream-20-2"],
}
CONFIG = {
    "model_list": [
        {"model_name": name, "litellm_params": {"model": target}}
        for name, targets in TARGETS.items()
        for target in targets
    ],
    "router_settings": {"models": {"resumed": {"continue_on_break": True}, "hedged": {"hedge_after": 0.005}}},
}

MIN_LEAK = 4.0  # bytes per request
DATA_NOISE = 256  # KB that VmData changes without a leak: thread stacks, the end of the heap

Sample = tuple[int, int, int, int]  # requests so far; Pss_Anon, Pss and VmData in KB


def request_mix(port: int) -> list[bytes]:
    """Return the requests that the load repeats."""

    def chat_request(model: str, size: int = 1, *, stream: bool = False) -> bytes:
        return http_request(port, PATH, AUTHORIZED_HEADERS, chat(model, size, stream=stream))

    def raw_request(body: bytes, headers: dict[str, str] = AUTHORIZED_HEADERS) -> bytes:
        return http_request(port, PATH, headers, body)

    vendors = ("openai", "anthropic")
    valid = [chat_request(f"{vendor}/bench-plain", size) for vendor in vendors for size in (1, 1, 20)]
    valid += [chat_request(f"{vendor}/bench-stream-20-0", stream=True) for vendor in vendors for _ in range(2)]
    valid += [chat_request("hedged", stream=True)]
    failing = [chat_request(f"{vendor}/bench-status-{status}") for vendor in vendors for status in (400, 429)]
    failing += [chat_request(f"{vendor}/bench-third-status-500") for vendor in vendors for _ in range(3)]
    failing += [chat_request(f"{vendor}/bench-third-cut-5-1", stream=True) for vendor in vendors for _ in range(3)]
    failing += [chat_request(f"flap-{vendor}") for vendor in vendors]
    failing += [chat_request("resumed", stream=True) for _ in range(3)]
    failing += [
        raw_request(b'{"model": "openai/bench-plain", "messages": ['),
        raw_request(b'{"model": "openai/bench-plain", "messages": [{"role": "nobody", "content": 1}]}'),
        chat_request("nobody/nothing"),
        chat_request("openai/bench-plain", 100),
        raw_request(chat("openai/bench-plain", 1, stream=False), JSON_HEADERS),
        raw_request(chat("openai/bench-plain", 1, stream=False), {**JSON_HEADERS, "x-api-key": "sk-wrong"}),
    ]
    return [request for index, failure in enumerate(failing) for request in (*valid[index % 5 :: 5], failure)]


def main() -> int:
    parser = argparse.ArgumentParser(description="Look for leaks.")
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--cores", default="0,1", help="core of the gateway, core of the load generator")
    options = parser.parse_args()
    target_core, load_core = (int(core) for core in options.cores.split(","))
    with upstream(load_core) as direct:
        port = free_port()
        with started("ours", gateway_launch(port, direct.port), port, target_core) as target:
            samples, counts, remaining = soak(target, options.requests, load_core)
    used_samples = samples[int(len(samples) * SKIPPED_SHARE) :]
    slope, error = trend([(requests, anonymous) for requests, anonymous, *_ in used_samples])
    is_zero, mapped_kb = abs(slope) <= 2 * error, used_samples[-1][3] - used_samples[0][3]
    passed = is_zero or (mapped_kb <= DATA_NOISE and abs(slope) * 1024 / 1000 < MIN_LEAK)
    counts["faults"] = logged_failures()
    result = {
        "requests": counts,
        "slope_kb_per_1000": slope,
        "standard_error": error,
        "zero": is_zero,
        "taken_kb": mapped_kb,
        "left_over": remaining,
        "columns": ["requests", "pss_anon_kb", "pss_kb", "vm_data_kb"],
        "samples": samples,
    }
    (BENCH / "results").mkdir(exist_ok=True)
    (BENCH / "results" / "soak.json").write_text(json.dumps(result) + "\n")
    print(json.dumps(counts))
    for requests, anonymous, total, _ in (used_samples[0], used_samples[-1]):
        print(f"after {requests:>7,} requests: Pss_Anon {anonymous / 1024:.2f} MB, Pss {total / 1024:.2f} MB")
    print(
        f"slope {slope:.3f} KB per 1,000 requests, standard error {error:.3f}: {'not ' if is_zero else ''}significant"
    )
    print(f"data mapped meanwhile: {mapped_kb} KB")
    print(f"remaining: {json.dumps(remaining) if any(remaining.values()) else 'nothing'}")
    return 0 if passed and not any(remaining.values()) else 1


def gateway_launch(port: int, upstream: int) -> Launch:
    """Return the launch of a gateway with the model names of TARGETS that counts its greenlets."""
    config = BUILD / "soak.json"  # JSON is YAML too
    config.write_text(json.dumps(CONFIG))
    variables = {"GATEWAY_CONFIG": str(config), "RETRY_MAX_ATTEMPTS": "1", "MAX_BODY": "64kb"}
    launch = ours(port, upstream, **variables)
    settings = launch.command.index("-c") + 1
    launch.command[settings] = str(BENCH / "counted.py")
    return launch


def logged_failures() -> int:
    """Return the number of requests in the log that failed."""
    count = 0
    with (BUILD / "ours.log").open(encoding="utf-8", errors="replace") as log:
        for text in log:
            line = json.loads(text) if text.startswith('{"request_id"') else {}
            attempts = line.get("attempts") or ()
            failed = any(attempt["status"] not in ("200", "cancelled") for attempt in attempts)
            count += failed or line.get("status", 200) >= 400
    return count


def soak(target: Target, request_count: int, core: int) -> tuple[list[Sample], dict[str, int], dict[str, int]]:
    """Return a sample after each slice of load, the counts of the load, and what remains at the end."""
    paths = [BUILD / f"mix-{index}" for index in range(len(request_mix(0)))]
    for path, request in zip(paths, request_mix(target.port), strict=True):
        path.write_bytes(request)
    samples: list[Sample] = []
    counts: dict[str, int] = {}
    run_slice(target, paths, core, 2)
    wait(0.2)
    before = resources(target)
    while counts.get("all", 0) < request_count:
        slice_counts = run_slice(target, paths, core)
        counts = {name: counts.get(name, 0) + slice_counts[name] for name in slice_counts}
        wait(0.2)
        samples.append((counts["all"], pss_kb(target.pid, "Pss_Anon"), pss_kb(target.pid), data_kb(target.pid)))
        print(f"{samples[-1][0]:>8,} requests  Pss_Anon {samples[-1][1] / 1024:.2f} MB", file=sys.stderr, flush=True)
    wait(1)
    after = resources(target)
    remaining = {name: max(0, after[name] - before[name] - ALLOWANCE.get(name, 0)) for name in after}
    return samples, counts, {**remaining, "breakers": open_breakers(target)}


def open_breakers(target: Target) -> int:
    """Return the number of breakers that stay open although their upstreams work again."""

    def all_closed() -> bool:
        for name in readiness(target)["breakers"]:
            with contextlib.suppress(urllib.error.HTTPError):
                body = chat(name, 1, stream=True)
                urllib.request.urlopen(urllib.request.Request(url, body, AUTHORIZED_HEADERS)).close()
        return not readiness(target)["breakers"]

    url = f"http://127.0.0.1:{target.port}{PATH}"
    wait_until(all_closed, BREAKER_CLOSE_TIMEOUT)
    return len(readiness(target)["breakers"])


def readiness(target: Target) -> dict[str, Any]:
    url = f"http://127.0.0.1:{target.port}/health/ready"
    # Without a key it names no targets.
    request = urllib.request.Request(url, headers=AUTHORIZED_HEADERS)
    with urllib.request.urlopen(request) as response:
        body: dict[str, Any] = json.load(response)
        return body


def resources(target: Target) -> dict[str, int]:
    """Count what the gateway holds at rest."""
    worker = max(process_tree(target.pid))
    GREENLET_COUNT.unlink(missing_ok=True)
    os.kill(worker, signal.SIGRTMIN)
    if not wait_until(lambda: GREENLET_COUNT.exists() and GREENLET_COUNT.read_text() != "", 10):
        raise SystemExit("the worker does not report its greenlets")
    fds = [str(fd.readlink()) for fd in Path(f"/proc/{worker}/fd").iterdir() if fd.is_symlink()]
    return {
        "sockets": sum(name.startswith("socket:") for name in fds),
        "threads": len(list(Path(f"/proc/{worker}/task").iterdir())),
        "greenlets": int(GREENLET_COUNT.read_text()),
        **readiness(target)["calls"],
    }


def run_slice(target: Target, paths: list[Path], core: int, load_factor: int = 1) -> dict[str, int]:
    env = environment(BENCH_MIX="\n".join(map(str, paths)))
    command = [
        *pinned(core),
        tool("wrk", "wrk"),
        "-t1",
        f"-c{load_factor * CONNECTIONS}",
        f"-d{SLICE_SECONDS}s",
        "--timeout",
        "20s",
    ]
    command += ["-s", str(BENCH / "mix.lua"), f"http://127.0.0.1:{target.port}"]
    connections = load_factor * DISCONNECTING.connections
    with streaming(target, DISCONNECTING, core, connections=connections, seconds=SLICE_SECONDS, leave=7) as client:
        out = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
        streams: dict[str, Any] = json.loads(client.communicate()[0])
    counts: dict[str, int] = json.loads(out.partition("BENCH ")[2])
    return {
        "all": counts["requests"] + streams["left"],
        **counts,
        "left": streams["left"],
        "left_broken": streams["broken"],
    }


def trend(samples: list[tuple[int, int]]) -> tuple[float, float]:
    """Return the slope in KB per 1,000 requests, by least squares, and its standard error."""
    xs = [requests / 1000 for requests, _ in samples]
    ys = [float(kb) for _, kb in samples]
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - x_mean) ** 2 for x in xs)
    slope = sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True)) / spread
    residual = sum((y - y_mean - slope * (x - x_mean)) ** 2 for x, y in zip(xs, ys, strict=True))
    return slope, sqrt(residual / max(1, len(xs) - 2) / spread)


if __name__ == "__main__":
    sys.exit(main())
