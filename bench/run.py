"""
Run the benchmark.

    python bench/run.py                                  the gateway, all workloads, one round
    python bench/run.py --quick --only 1kb --targets ours,nginx
    python bench/run.py --targets direct,ours,nginx,litellm,portkey --rounds 3 --name peers

The targets run on one core with one worker each, the upstream and the load generator on another. Each round starts every
target again and alternates between the targets, workload by workload. docs/performance.md describes the measurements.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

from load import Record, measure, warm
from processes import BENCH, MissingTool, compiled, machine, tool
from report import chart, disturbance, format_number, goals, medians, tables
from targets import LAUNCHES, Target, targets
from workloads import WORKLOADS, Workload

RESULTS = BENCH / "results"
Cores = tuple[int, ...]


def main() -> int:
    options = arguments()
    names = tuple(options.targets.split(","))
    unknown = set(names) - {"direct", *LAUNCHES}
    workloads = [
        workload
        for workload in WORKLOADS
        if name_matches(workload, options.only) and not (options.skip and name_matches(workload, options.skip))
    ]
    if unknown or not workloads:
        print(
            f"Unknown: {', '.join(unknown) or options.only}. Workloads: {', '.join(workload.name for workload in WORKLOADS)}"
        )
        return 2
    try:
        tool("wrk", "wrk")
        compiled("upstream"), compiled("streams")
        names = tuple(name for name in names if can_start(name))
        rounds = list(measurements(names, workloads, options))
    except MissingTool as missing:
        print(missing, file=sys.stderr)
        return 1
    publish(rounds, names, options)
    return 0


def name_matches(workload: Workload, prefixes: str) -> bool:
    """Return whether the name starts with one of the prefixes, which are separated by commas."""
    return workload.name.startswith(tuple(prefixes.split(",")))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the gateway and its peers.")
    parser.add_argument("--targets", default="direct,ours", help="some of: direct, ours, nginx, litellm, portkey")
    parser.add_argument("--only", default="", help="run workloads with these name prefixes, separated by commas")
    parser.add_argument("--skip", default="", help="skip workloads with these name prefixes")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument(
        "--seconds", type=float, default=8.0, help="length of a measurement, unless its workload has a fixed length"
    )
    parser.add_argument("--waves", type=int, default=3, help="runs for each number of sustained streams")
    parser.add_argument("--quick", action="store_true", help="2 seconds and 1 wave, for development")
    parser.add_argument("--name", default="latest", help="name of the files in bench/results")
    parser.add_argument("--cores", default="0,1", help="core of the targets, core of the load generator")
    options = parser.parse_args()
    if options.quick:
        options.seconds, options.waves = 2.0, 1
    return options


def can_start(name: str) -> bool:
    """Return whether a target can be started here; print the reason if not."""
    if name in ("direct", "ours"):
        return True
    try:
        LAUNCHES[name](0, 0)
    except MissingTool as missing:
        print(f"without {name}: {missing}", file=sys.stderr)
        return False
    return True


def measurements(names: tuple[str, ...], workloads: list[Workload], options: argparse.Namespace) -> Iterator[Record]:
    """Measure all rounds. Held streams come first, each in new processes: other load would leave memory behind."""
    cores = tuple(int(core) for core in options.cores.split(","))
    for number in range(1, options.rounds + 1):
        for workload in (workload for workload in workloads if workload.kind == "held"):
            for name in (name for name in names if name in workload.targets):
                with targets((name,), *cores) as (target,):
                    yield measure_and_print(number, target, workload, options, cores[1])
        others = [workload for workload in workloads if workload.kind != "held"]
        if others:
            yield from alternating(number, names, others, options, cores)


def alternating(
    number: int, names: tuple[str, ...], workloads: list[Workload], options: argparse.Namespace, cores: Cores
) -> Iterator[Record]:
    with targets(names, *cores) as running_targets:
        for target in running_targets:
            warm(target, options.seconds / 2, cores[1])
        for workload in workloads:
            for target in (target for target in running_targets if target.name in workload.targets):
                yield measure_and_print(number, target, workload, options, cores[1])


def measure_and_print(
    number: int, target: Target, workload: Workload, options: argparse.Namespace, core: int
) -> Record:
    record = measure(target, workload, options.seconds, options.waves, core)
    print(line(number, workload.name, target.name, record), file=sys.stderr, flush=True)
    return {"round": number, "workload": workload.name, "target": target.name, **record}


def line(number: int, workload: str, target: str, record: Record) -> str:
    figures = (f"{name} {format_number(value)}" for name, value in record.items() if isinstance(value, int | float))
    return f"{number} {workload:<20} {target:<8} {'  '.join(figures)}  {record.get('why') or ''}"


def publish(rounds: list[Record], names: tuple[str, ...], options: argparse.Namespace) -> None:
    results = medians(rounds)
    kinds = {workload.name: workload.kind for workload in WORKLOADS}
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    host = machine()
    report = {
        "when": when,
        "machine": host,
        "targets": names,
        "options": vars(options),
        "medians": results,
        "rounds": rounds,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{options.name}.json").write_text(json.dumps(report, indent=1) + "\n")
    caption = f"Medians of {options.rounds} round(s), one worker on one core of {host['cpu']}, {when}"
    (RESULTS / f"{options.name}.svg").write_text(chart(results, caption))
    print("\n".join(part for part in (tables(results, kinds), goals(results), disturbance(results), caption) if part))
    print(f"bench/results/{options.name}.json, .svg")


if __name__ == "__main__":
    sys.exit(main())
