"""
The benchmark.

    python bench/run.py                                  ours, all workloads, one round
    python bench/run.py --quick --only 1kb --targets ours,nginx
    python bench/run.py --targets direct,ours,nginx,litellm,portkey --rounds 3 --name peers

The targets run on one core, one worker each; the upstream and the load on another. Each round starts every target anew and
alternates between them, workload by workload. docs/performance.md says what is measured, and how.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

from load import Record, measured, warm
from processes import HERE, Missing, built, machine, tool
from report import disturbed, goals, medians, picture, shown, tables
from targets import LAUNCHES, Target, targets
from workloads import WORKLOADS, Workload

RESULTS = HERE / "results"
Cores = tuple[int, ...]


def main() -> int:
    options = arguments()
    names = tuple(options.targets.split(","))
    unknown = set(names) - {"direct", *LAUNCHES}
    chosen = [
        row for row in WORKLOADS if begins(row, options.only) and not (options.skip and begins(row, options.skip))
    ]
    if unknown or not chosen:
        print(f"Unknown: {', '.join(unknown) or options.only}. Workloads: {', '.join(row.name for row in WORKLOADS)}")
        return 2
    try:
        tool("wrk", "wrk")
        built("upstream"), built("streams")
        names = tuple(name for name in names if present(name))
        rounds = list(measurements(names, chosen, options))
    except Missing as missing:
        print(missing, file=sys.stderr)
        return 1
    publish(rounds, names, options)
    return 0


def begins(workload: Workload, names: str) -> bool:
    """Whether its name begins with one of `names`, which commas separate."""
    return workload.name.startswith(tuple(names.split(",")))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the gateway, and others beside it.")
    parser.add_argument("--targets", default="direct,ours", help="of: direct, ours, nginx, litellm, portkey")
    parser.add_argument("--only", default="", help="workloads whose names begin so, separated by commas")
    parser.add_argument("--skip", default="", help="the same, but left out")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument(
        "--seconds", type=float, default=8.0, help="of a measurement, where its workload has no length of its own"
    )
    parser.add_argument("--waves", type=int, default=3, help="runs of each level of the sustained streams")
    parser.add_argument("--quick", action="store_true", help="2 seconds and 1 wave: for development")
    parser.add_argument("--name", default="latest", help="of the files in bench/results")
    parser.add_argument("--cores", default="0,1", help="the targets' core, the load's")
    options = parser.parse_args()
    if options.quick:
        options.seconds, options.waves = 2.0, 1
    return options


def present(name: str) -> bool:
    """Whether a target can be started here; says why not."""
    if name in ("direct", "ours"):
        return True
    try:
        LAUNCHES[name](0, 0)
    except Missing as missing:
        print(f"without {name}: {missing}", file=sys.stderr)
        return False
    return True


def measurements(names: tuple[str, ...], chosen: list[Workload], options: argparse.Namespace) -> Iterator[Record]:
    """Memory is measured in processes just started, each alone: the rest of a round would leave its own behind."""
    cores = tuple(int(core) for core in options.cores.split(","))
    for number in range(1, options.rounds + 1):
        for workload in (row for row in chosen if row.kind == "held"):
            for name in (name for name in names if name in workload.targets):
                with targets((name,), *cores) as (target,):
                    yield said(number, target, workload, options, cores[1])
        rest = [row for row in chosen if row.kind != "held"]
        if rest:
            yield from alternating(number, names, rest, options, cores)


def alternating(
    number: int, names: tuple[str, ...], chosen: list[Workload], options: argparse.Namespace, cores: Cores
) -> Iterator[Record]:
    with targets(names, *cores) as listening:
        for target in listening:
            warm(target, options.seconds / 2, cores[1])
        for workload in chosen:
            for target in (target for target in listening if target.name in workload.targets):
                yield said(number, target, workload, options, cores[1])


def said(number: int, target: Target, workload: Workload, options: argparse.Namespace, core: int) -> Record:
    record = measured(target, workload, options.seconds, options.waves, core)
    print(line(number, workload.name, target.name, record), file=sys.stderr, flush=True)
    return {"round": number, "workload": workload.name, "target": target.name, **record}


def line(number: int, workload: str, target: str, record: Record) -> str:
    figures = (f"{name} {shown(value)}" for name, value in record.items() if isinstance(value, int | float))
    return f"{number} {workload:<20} {target:<8} {'  '.join(figures)}  {record.get('why') or ''}"


def publish(rounds: list[Record], names: tuple[str, ...], options: argparse.Namespace) -> None:
    middle = medians(rounds)
    kinds = {workload.name: workload.kind for workload in WORKLOADS}
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    where = machine()
    whole = {
        "when": when,
        "machine": where,
        "targets": names,
        "options": vars(options),
        "medians": middle,
        "rounds": rounds,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{options.name}.json").write_text(json.dumps(whole, indent=1) + "\n")
    caption = f"Medians of {options.rounds} round(s), one worker on one core of {where['cpu']}, {when}"
    (RESULTS / f"{options.name}.svg").write_text(picture(middle, caption))
    print("\n".join(part for part in (tables(middle, kinds), goals(middle), disturbed(middle), caption) if part))
    print(f"bench/results/{options.name}.json, .svg")


if __name__ == "__main__":
    sys.exit(main())
