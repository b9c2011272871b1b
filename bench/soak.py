"""
Does it leak? 200,000 mixed requests, the memory sampled at rest, and the slope of the last 80 %; at the end, no socket,
thread, greenlet or call may be left over, and no breaker may stay open in front of an upstream that is well again.

    python bench/soak.py [--requests 200000]

Plain and streamed, passed through and translated, two attempts at once, streams carried on; a fifth of it goes wrong:
upstream errors, upstreams that come and go, streams that break off, bodies refused, wrong keys and models, and clients that
leave in mid-stream. A slice with twice the load comes first, since memory that was needed once is kept. The slope is by
least squares, with its standard error; samples that follow each other are alike, so that the true error is larger: what is
not told from zero here is not told from it at all. It is judged by Pss_Anon, since Pss moves with whoever else on the
machine uses the same libraries; that is in the file too.

A slope of less than 4 bytes a request passes as well, if the processes took hardly any memory from the system meanwhile
(VmData): it is pages that they had already, touched for the first time. The least that Python can leak is 16 bytes, and a
fault, which is every fourth request, makes hundreds of objects.
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

from load import asking
from processes import BUILD, HERE, environment, eventually, free_port, pinned, pss_kb, taken_kb, tool, tree, wait
from targets import AUTHORIZED, JSON, Launch, Target, ours, started, upstream
from workloads import Workload, chat, http_request

PATH = "/v1/chat/completions"
SLICE_SECONDS = 2
LEAVING = Workload("leaving", "streams", at_once=8, chunks=100, gap=5)
COUNTED = BUILD / "greenlets"
SKIPPED = 0.2
"""The first of the samples, in which caches and pools fill."""

SPARE = {"sockets": 64}
"""Connections to the upstream that may be kept beyond those after the first slice."""
AT_ONCE = 32
CLOSED_AGAIN = 300.0
"""Seconds: an upstream that comes and goes is away for 20 of them, and a breaker rests for at most 120."""
TARGETS = {
    "flap-openai": ["openai/bench-flap-503-20"],
    "flap-anthropic": ["anthropic/bench-flap-503-20"],
    "carried": ["openai/bench-third-cut-5-1", "anthropic/bench-stream-20-0"],
    "hedged": ["openai/bench-stream-20-2", "anthropic/bench-stream-20-2"],
}
CONFIG = {
    "model_list": [
        {"model_name": name, "litellm_params": {"model": target}} for name, found in TARGETS.items() for target in found
    ],
    "router_settings": {"models": {"carried": {"continue_on_break": True}, "hedged": {"hedge_after": 0.005}}},
}

LEAST_LEAK = 4.0
"""Bytes a request."""
LEAST_TAKEN = 256
"""KB that VmData moves by itself: stacks of threads, the end of the heap."""

Sample = tuple[int, int, int, int]
"""Requests so far; Pss_Anon, Pss and VmData in KB."""


def mix(port: int) -> list[bytes]:
    """The requests of one turn."""

    def asked(model: str, size: int = 1, *, stream: bool = False) -> bytes:
        return http_request(port, PATH, AUTHORIZED, chat(model, size, stream=stream))

    def posted(body: bytes, headers: dict[str, str] = AUTHORIZED) -> bytes:
        return http_request(port, PATH, headers, body)

    vendors = ("openai", "anthropic")
    good = [asked(f"{vendor}/bench-plain", size) for vendor in vendors for size in (1, 1, 20)]
    good += [asked(f"{vendor}/bench-stream-20-0", stream=True) for vendor in vendors for _ in range(2)]
    good += [asked("hedged", stream=True)]
    bad = [asked(f"{vendor}/bench-status-{status}") for vendor in vendors for status in (400, 429)]
    bad += [asked(f"{vendor}/bench-third-status-500") for vendor in vendors for _ in range(3)]
    bad += [asked(f"{vendor}/bench-third-cut-5-1", stream=True) for vendor in vendors for _ in range(3)]
    bad += [asked(f"flap-{vendor}") for vendor in vendors]
    bad += [asked("carried", stream=True) for _ in range(3)]
    bad += [
        posted(b'{"model": "openai/bench-plain", "messages": ['),
        posted(b'{"model": "openai/bench-plain", "messages": [{"role": "nobody", "content": 1}]}'),
        asked("nobody/nothing"),
        asked("openai/bench-plain", 100),
        posted(chat("openai/bench-plain", 1, stream=False), JSON),
        posted(chat("openai/bench-plain", 1, stream=False), {**JSON, "x-api-key": "sk-wrong"}),
    ]
    return [request for index, fault in enumerate(bad) for request in (*good[index % 5 :: 5], fault)]


def main() -> int:
    parser = argparse.ArgumentParser(description="Look for a leak.")
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--cores", default="0,1", help="the gateway's core, the load's")
    options = parser.parse_args()
    target_core, load_core = (int(core) for core in options.cores.split(","))
    with upstream(load_core) as direct:
        port = free_port()
        with started("ours", launched(port, direct.port), port, target_core) as target:
            samples, counts, left = soaked(target, options.requests, load_core)
    kept = samples[int(len(samples) * SKIPPED) :]
    slope, error = trend([(requests, anonymous) for requests, anonymous, *_ in kept])
    zero, taken = abs(slope) <= 2 * error, kept[-1][3] - kept[0][3]
    well = zero or (taken <= LEAST_TAKEN and abs(slope) * 1024 / 1000 < LEAST_LEAK)
    counts["faults"] = faults()
    result = {
        "requests": counts,
        "slope_kb_per_1000": slope,
        "standard_error": error,
        "zero": zero,
        "taken_kb": taken,
        "left_over": left,
        "columns": ["requests", "pss_anon_kb", "pss_kb", "vm_data_kb"],
        "samples": samples,
    }
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / "soak.json").write_text(json.dumps(result) + "\n")
    print(json.dumps(counts))
    for requests, anonymous, whole, _ in (kept[0], kept[-1]):
        print(f"after {requests:>7,} requests: Pss_Anon {anonymous / 1024:.2f} MB, Pss {whole / 1024:.2f} MB")
    print(
        f"slope {slope:.3f} KB per 1,000 requests, standard error {error:.3f}: {'not ' if zero else ''}told from zero"
    )
    print(f"taken from the system meanwhile: {taken} KB")
    print(f"left over: {json.dumps(left) if any(left.values()) else 'nothing'}")
    return 0 if well and not any(left.values()) else 1


def launched(port: int, upstream: int) -> Launch:
    """The gateway, with the names of TARGETS, which counts its greenlets."""
    config = BUILD / "soak.json"  # which is YAML as well
    config.write_text(json.dumps(CONFIG))
    told = {"GATEWAY_CONFIG": str(config), "RETRY_MAX_ATTEMPTS": "1", "MAX_BODY": "64kb"}
    launch = ours(port, upstream, **told)
    settings = launch.command.index("-c") + 1
    launch.command[settings] = str(HERE / "counted.py")
    return launch


def faults() -> int:
    """Requests that went wrong, by the log."""
    count = 0
    with (BUILD / "ours.log").open(encoding="utf-8", errors="replace") as log:
        for text in log:
            line = json.loads(text) if text.startswith('{"request_id"') else {}
            tried = line.get("attempts") or ()
            failed = any(one["status"] not in ("200", "cancelled") for one in tried)
            count += failed or line.get("status", 200) >= 400
    return count


def soaked(target: Target, wanted: int, core: int) -> tuple[list[Sample], dict[str, int], dict[str, int]]:
    """A sample after each slice of load, what the load met, and what was left over in the end."""
    paths = [BUILD / f"mix-{index}" for index in range(len(mix(0)))]
    for path, request in zip(paths, mix(target.port), strict=True):
        path.write_bytes(request)
    samples: list[Sample] = []
    counts: dict[str, int] = {}
    one_slice(target, paths, core, 2)
    wait(0.2)
    first = held(target)
    while counts.get("all", 0) < wanted:
        met = one_slice(target, paths, core)
        counts = {name: counts.get(name, 0) + met[name] for name in met}
        wait(0.2)
        samples.append((counts["all"], pss_kb(target.pid, "Pss_Anon"), pss_kb(target.pid), taken_kb(target.pid)))
        print(f"{samples[-1][0]:>8,} requests  Pss_Anon {samples[-1][1] / 1024:.2f} MB", file=sys.stderr, flush=True)
    wait(1)
    last = held(target)
    left = {name: max(0, last[name] - first[name] - SPARE.get(name, 0)) for name in last}
    return samples, counts, {**left, "breakers": still_open(target)}


def still_open(target: Target) -> int:
    """Breakers that do not close though their upstreams are well, time and again."""

    def closed() -> bool:
        for name in ready(target)["breakers"]:
            with contextlib.suppress(urllib.error.HTTPError):
                body = chat(name, 1, stream=True)
                urllib.request.urlopen(urllib.request.Request(url, body, AUTHORIZED)).close()
        return not ready(target)["breakers"]

    url = f"http://127.0.0.1:{target.port}{PATH}"
    eventually(closed, CLOSED_AGAIN)
    return len(ready(target)["breakers"])


def ready(target: Target) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{target.port}/health/ready") as response:
        told: dict[str, Any] = json.load(response)
        return told


def held(target: Target) -> dict[str, int]:
    """What the gateway holds at rest."""
    worker = max(tree(target.pid))
    COUNTED.unlink(missing_ok=True)
    os.kill(worker, signal.SIGRTMIN)
    if not eventually(lambda: COUNTED.exists() and COUNTED.read_text() != "", 10):
        raise SystemExit("the worker does not count its greenlets")
    fds = [str(fd.readlink()) for fd in Path(f"/proc/{worker}/fd").iterdir() if fd.is_symlink()]
    return {
        "sockets": sum(name.startswith("socket:") for name in fds),
        "threads": len(list(Path(f"/proc/{worker}/task").iterdir())),
        "greenlets": int(COUNTED.read_text()),
        **ready(target)["calls"],
    }


def one_slice(target: Target, paths: list[Path], core: int, times: int = 1) -> dict[str, int]:
    env = environment(BENCH_MIX="\n".join(map(str, paths)))
    command = [
        *pinned(core),
        tool("wrk", "wrk"),
        "-t1",
        f"-c{times * AT_ONCE}",
        f"-d{SLICE_SECONDS}s",
        "--timeout",
        "20s",
    ]
    command += ["-s", str(HERE / "mix.lua"), f"http://127.0.0.1:{target.port}"]
    at_once = times * LEAVING.at_once
    with asking(target, LEAVING, core, at_once=at_once, seconds=SLICE_SECONDS, leave=7) as leaving:
        out = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
        left: dict[str, Any] = json.loads(leaving.communicate()[0])
    met: dict[str, int] = json.loads(out.partition("BENCH ")[2])
    return {"all": met["requests"] + left["left"], **met, "left": left["left"], "left_broken": left["broken"]}


def trend(samples: list[tuple[int, int]]) -> tuple[float, float]:
    """The slope in KB per 1,000 requests, by least squares, and its standard error."""
    xs = [requests / 1000 for requests, _ in samples]
    ys = [float(kb) for _, kb in samples]
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - x_mean) ** 2 for x in xs)
    slope = sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True)) / spread
    left = sum((y - y_mean - slope * (x - x_mean)) ** 2 for x, y in zip(xs, ys, strict=True))
    return slope, sqrt(left / max(1, len(xs) - 2) / spread)


if __name__ == "__main__":
    sys.exit(main())
