"""Medians of the rounds, as a table, against the goals, and as a picture."""

from collections import defaultdict
from collections.abc import Callable
from html import escape
from statistics import median
from typing import Any

Medians = dict[str, dict[str, dict[str, float]]]
"""workload -> target -> metric -> median."""

COLUMNS = {
    "requests": ("cpu_us", "rate", "busy", "others", "p50_ms", "p99_ms", "added_p50_ms", "failed"),
    "streams": (
        "cpu_us",
        "rate",
        "busy",
        "others",
        "first_chunk_ms",
        "delay_p50_ms",
        "delay_p99_ms",
        "largest_gap_ms",
        "failed",
    ),
    "held": ("kb_a_stream", "complete", "cpu_us", "busy", "others", "delay_p50_ms", "delay_p99_ms", "pss_mb", "failed"),
    "sustained": ("sustained",),
}
WIDEST = 15

Number = float | None
Look = Callable[[str, str, str], Number]


def medians(rounds: list[dict[str, Any]]) -> Medians:
    gathered: dict[str, Any] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for record in rounds:
        for metric, value in record.items():
            if isinstance(value, int | float) and metric != "round":
                gathered[record["workload"]][record["target"]][metric].append(value)
    said = {
        workload: {
            target: {metric: median(all_) for metric, all_ in metrics.items()} for target, metrics in targets.items()
        }
        for workload, targets in gathered.items()
    }
    return {workload: with_added(targets) for workload, targets in said.items()}


def with_added(targets: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """With what each adds to the median time of the upstream asked directly."""
    direct = targets.get("direct", {}).get("p50_ms")
    if direct is None:
        return targets
    return {
        target: {**metrics, "added_p50_ms": metrics["p50_ms"] - direct} if target != "direct" else metrics
        for target, metrics in targets.items()
    }


def ratios(said: Medians) -> dict[str, dict[str, float]]:
    """How many times our CPU each target needs: workload -> target -> times."""
    return {
        workload: {
            target: metrics["cpu_us"] / targets["ours"]["cpu_us"]
            for target, metrics in targets.items()
            if target not in ("ours", "direct") and "cpu_us" in metrics
        }
        for workload, targets in said.items()
        if targets.get("ours", {}).get("cpu_us")
    }


def tables(said: Medians, kinds: dict[str, str]) -> str:
    """One table a workload; cpu_us is for a request, or for a chunk."""
    times = ratios(said)
    blocks = []
    for workload, targets in said.items():
        columns = [name for name in COLUMNS[kinds[workload]] if any(name in metrics for metrics in targets.values())]
        lines = [f"{workload:<22}" + "".join(f"{name:>{WIDEST}}" for name in columns) + f"{'cpu / ours':>{WIDEST}}"]
        for target, metrics in targets.items():
            cells = "".join(f"{shown(metrics.get(name)):>{WIDEST}}" for name in columns)
            lines.append(f"  {target:<20}{cells}{shown(times.get(workload, {}).get(target)):>{WIDEST}}")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def shown(value: Number) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def disturbed(said: Medians) -> str:
    """A warning, where others worked on the targets' core."""
    shares = [
        metrics.get("others", 0) for targets in said.values() for name, metrics in targets.items() if name != "direct"
    ]
    if not shares or max(shares) < 0.05:
        return ""
    return f"Others took up to {max(shares):.0%} of the targets' core: times and throughput are worth little, CPU is inflated."


def goals(said: Medians) -> str:
    """Each goal that this run can tell, and whether it was reached."""

    def look(workload: str, target: str, metric: str) -> Number:
        return said.get(workload, {}).get(target, {}).get(metric)

    lines = []
    for what, figure, at_least, goal in GOALS:
        value = figure(look)
        if value is not None:
            reached = value >= goal if at_least else value <= goal
            word = "at least" if at_least else "at most"
            lines.append(f"  {what:<62}{shown(value):>9}   {word} {goal:<6g} {'reached' if reached else 'NOT reached'}")
    return "\n".join(["goals", *lines]) if lines else ""


def over(above: tuple[str, str, str], below: tuple[str, str, str]) -> Callable[[Look], Number]:
    """One figure divided by another."""

    def figure(look: Look) -> Number:
        one, other = look(*above), look(*below)
        return None if one is None or not other else one / other

    return figure


def cpu(workload: str, target: str) -> tuple[str, str, str]:
    return workload, target, "cpu_us"


def alone(workload: str, metric: str) -> Callable[[Look], Number]:
    return lambda look: look(workload, "ours", metric)


def times_less(workload: str, peer: str) -> Callable[[Look], Number]:
    return over(cpu(workload, peer), cpu(workload, "ours"))


GOALS = (
    ("LiteLLM's CPU a request / ours, 1 KB", times_less("1kb-32", "litellm"), True, 40),
    ("LiteLLM's CPU a request / ours, 20 KB", times_less("20kb-32", "litellm"), True, 40),
    ("Portkey's CPU a request / ours, 1 KB", times_less("1kb-32", "portkey"), True, 4),
    ("Portkey's CPU a request / ours, 20 KB", times_less("20kb-32", "portkey"), True, 5),
    ("our CPU a request / nginx's, 1 KB", over(cpu("1kb-32", "ours"), cpu("1kb-32", "nginx")), False, 18),
    ("our CPU a request / nginx's, 20 KB", over(cpu("20kb-32", "ours"), cpu("20kb-32", "nginx")), False, 18),
    ("LiteLLM's CPU a chunk / ours, 16 streams 5 ms", times_less("paced-16", "litellm"), True, 15),
    ("Portkey's CPU a chunk / ours, 16 streams 5 ms", times_less("paced-16", "portkey"), True, 2.5),
    ("our CPU a chunk / nginx's, 16 streams 5 ms", over(cpu("paced-16", "ours"), cpu("paced-16", "nginx")), False, 2.2),
    ("our CPU a chunk, translated / passed through, 16 streams 5 ms",
     over(cpu("anthropic-paced-16", "ours"), cpu("paced-16", "ours")), False, 2.5),
    ("our added p50 / nginx's, 1 connection, 1 KB",
     over(("1kb-1", "ours", "added_p50_ms"), ("1kb-1", "nginx", "added_p50_ms")), False, 5),
    ("our added p50 / nginx's, 1 connection, 20 KB",
     over(("20kb-1", "ours", "added_p50_ms"), ("20kb-1", "nginx", "added_p50_ms")), False, 5),
    ("streams sustained at once", alone("sustained", "sustained"), True, 256),
    ("500 held streams: share complete", alone("held-500", "complete"), True, 1),
    ("500 held streams: KB each", alone("held-500", "kb_a_stream"), False, 50),
    ("3,000 held streams: share complete", alone("held-3000", "complete"), True, 1),
)  # fmt: skip
"""(what, its figure, at least rather than at most, the goal)."""

PANELS = (
    ("1kb-32", "cpu_us", "CPU microseconds a request, 1 KB"),
    ("20kb-32", "cpu_us", "CPU microseconds a request, 20 KB"),
    ("paced-16", "cpu_us", "CPU microseconds a streamed chunk, 16 streams, 5 ms apart"),
    ("sustained", "sustained", "Streams sustained at once on one core (more is better)"),
)
NAMES = {"ours": "Pointsman", "nginx": "nginx (no gateway)", "litellm": "LiteLLM", "portkey": "Portkey"}
COLORS = {"ours": "#2563eb", "nginx": "#9ca3af", "litellm": "#d97706", "portkey": "#7c3aed"}
WIDTH, LEFT, BAR, PANEL_HEAD = 760, 150, 22, 34


def picture(said: Medians, caption: str) -> str:
    """The panels as an SVG of bars, to scale; without those that were not measured."""
    marks: list[str] = []
    y = 10
    for workload, metric, title in PANELS:
        values = {name: said.get(workload, {}).get(name, {}).get(metric) for name in NAMES}
        bars = {name: value for name, value in values.items() if value is not None}
        if not bars:
            continue
        marks.append(f'<text x="10" y="{y + 16}" font-weight="bold">{escape(title)}</text>')
        for row, (name, value) in enumerate(bars.items()):
            marks += bar(name, value, max(bars.values()), y + PANEL_HEAD - 8 + row * BAR)
        y += PANEL_HEAD + len(bars) * BAR + 6
    marks.append(f'<text x="10" y="{y + 12}" fill="#6b7280" font-size="11">{escape(caption)}</text>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 24}" font-family="sans-serif" font-size="13">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *marks, "</svg>\n"])


def bar(name: str, value: float, most: float, y: int) -> list[str]:
    length = max(1.0, (WIDTH - LEFT - 90) * value / most) if most else 1.0
    return [
        f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(NAMES[name])}</text>',
        f'<rect x="{LEFT}" y="{y + 2}" width="{length:.1f}" height="{BAR - 6}" fill="{COLORS[name]}"/>',
        f'<text x="{LEFT + length + 6:.1f}" y="{y + 14}">{shown(value)}</text>',
    ]
