"""The medians of the rounds as tables, against the goals, and as a chart."""

from collections import defaultdict
from collections.abc import Callable
from html import escape
from statistics import median
from typing import Any

Medians = dict[str, dict[str, dict[str, float]]]  # workload -> target -> metric -> median

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
COLUMN_WIDTH = 15

Number = float | None
Lookup = Callable[[str, str, str], Number]


def medians(rounds: list[dict[str, Any]]) -> Medians:
    samples: dict[str, Any] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for record in rounds:
        for metric, value in record.items():
            if isinstance(value, int | float) and metric != "round":
                samples[record["workload"]][record["target"]][metric].append(value)
    result = {
        workload: {
            target: {metric: median(values) for metric, values in metrics.items()}
            for target, metrics in targets.items()
        }
        for workload, targets in samples.items()
    }
    return {workload: with_added_latency(targets) for workload, targets in result.items()}


def with_added_latency(targets: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Add to each target what it adds to the median latency of direct requests to the upstream."""
    direct = targets.get("direct", {}).get("p50_ms")
    if direct is None:
        return targets
    return {
        target: {**metrics, "added_p50_ms": metrics["p50_ms"] - direct} if target != "direct" else metrics
        for target, metrics in targets.items()
    }


def ratios(results: Medians) -> dict[str, dict[str, float]]:
    """Return the CPU of each target as a multiple of the gateway's: workload -> target -> ratio."""
    return {
        workload: {
            target: metrics["cpu_us"] / targets["ours"]["cpu_us"]
            for target, metrics in targets.items()
            if target not in ("ours", "direct") and "cpu_us" in metrics
        }
        for workload, targets in results.items()
        if targets.get("ours", {}).get("cpu_us")
    }


def tables(results: Medians, kinds: dict[str, str]) -> str:
    """Format a table for each workload; cpu_us is per request or per chunk."""
    cpu_ratios = ratios(results)
    blocks = []
    for workload, targets in results.items():
        columns = [name for name in COLUMNS[kinds[workload]] if any(name in metrics for metrics in targets.values())]
        lines = [
            f"{workload:<22}"
            + "".join(f"{name:>{COLUMN_WIDTH}}" for name in columns)
            + f"{'cpu / ours':>{COLUMN_WIDTH}}"
        ]
        for target, metrics in targets.items():
            cells = "".join(f"{format_number(metrics.get(name)):>{COLUMN_WIDTH}}" for name in columns)
            lines.append(
                f"  {target:<20}{cells}{format_number(cpu_ratios.get(workload, {}).get(target)):>{COLUMN_WIDTH}}"
            )
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def format_number(value: Number) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def disturbance(results: Medians) -> str:
    """Return a warning if other processes used the targets' core, else ""."""
    shares = [
        metrics.get("others", 0)
        for targets in results.values()
        for name, metrics in targets.items()
        if name != "direct"
    ]
    if not shares or max(shares) < 0.05:
        return ""
    return (
        f"Other processes used up to {max(shares):.0%} of the targets' core: do not rely on times, throughput or CPU."
    )


def goals(results: Medians) -> str:
    """List each goal that this run measured, and whether it was reached."""

    def look_up(workload: str, target: str, metric: str) -> Number:
        return results.get(workload, {}).get(target, {}).get(metric)

    lines = []
    for title, figure, at_least, goal in GOALS:
        value = figure(look_up)
        if value is not None:
            reached = value >= goal if at_least else value <= goal
            bound = "at least" if at_least else "at most"
            lines.append(
                f"  {title:<62}{format_number(value):>9}   {bound} {goal:<6g} {'reached' if reached else 'NOT reached'}"
            )
    return "\n".join(["goals", *lines]) if lines else ""


def ratio(numerator: tuple[str, str, str], denominator: tuple[str, str, str]) -> Callable[[Lookup], Number]:
    """Return a function that divides one figure by another."""

    def figure(look_up: Lookup) -> Number:
        value, divisor = look_up(*numerator), look_up(*denominator)
        return None if value is None or not divisor else value / divisor

    return figure


def cpu(workload: str, target: str) -> tuple[str, str, str]:
    return workload, target, "cpu_us"


def gateway_figure(workload: str, metric: str) -> Callable[[Lookup], Number]:
    return lambda look_up: look_up(workload, "ours", metric)


def cpu_ratio(workload: str, peer: str) -> Callable[[Lookup], Number]:
    return ratio(cpu(workload, peer), cpu(workload, "ours"))


# (title, figure, whether the goal is a minimum, goal)
GOALS = (
    ("LiteLLM's CPU per request / ours, 1 KB", cpu_ratio("1kb-32", "litellm"), True, 40),
    ("LiteLLM's CPU per request / ours, 20 KB", cpu_ratio("20kb-32", "litellm"), True, 40),
    ("Portkey's CPU per request / ours, 1 KB", cpu_ratio("1kb-32", "portkey"), True, 4),
    ("Portkey's CPU per request / ours, 20 KB", cpu_ratio("20kb-32", "portkey"), True, 5),
    ("our CPU per request / nginx's, 1 KB", ratio(cpu("1kb-32", "ours"), cpu("1kb-32", "nginx")), False, 18),
    ("our CPU per request / nginx's, 20 KB", ratio(cpu("20kb-32", "ours"), cpu("20kb-32", "nginx")), False, 18),
    ("LiteLLM's CPU per chunk / ours, 16 streams 5 ms", cpu_ratio("paced-16", "litellm"), True, 15),
    ("Portkey's CPU per chunk / ours, 16 streams 5 ms", cpu_ratio("paced-16", "portkey"), True, 2.5),
    ("our CPU per chunk / nginx's, 16 streams 5 ms", ratio(cpu("paced-16", "ours"), cpu("paced-16", "nginx")), False, 2.2),
    ("our CPU per chunk, translated / passed through, 16 streams 5 ms",
     ratio(cpu("anthropic-paced-16", "ours"), cpu("paced-16", "ours")), False, 2.5),
    ("our added p50 / nginx's, 1 connection, 1 KB",
     ratio(("1kb-1", "ours", "added_p50_ms"), ("1kb-1", "nginx", "added_p50_ms")), False, 5),
    ("our added p50 / nginx's, 1 connection, 20 KB",
     ratio(("20kb-1", "ours", "added_p50_ms"), ("20kb-1", "nginx", "added_p50_ms")), False, 5),
    ("streams sustained at once", gateway_figure("sustained", "sustained"), True, 256),
    ("500 held streams: share complete", gateway_figure("held-500", "complete"), True, 1),
    ("500 held streams: KB each", gateway_figure("held-500", "kb_a_stream"), False, 50),
    ("3,000 held streams: share complete", gateway_figure("held-3000", "complete"), True, 1),
)  # fmt: skip

PANELS = (
    ("1kb-32", "cpu_us", "CPU microseconds per request, 1 KB"),
    ("20kb-32", "cpu_us", "CPU microseconds per request, 20 KB"),
    ("paced-16", "cpu_us", "CPU microseconds per streamed chunk, 16 streams, 5 ms apart"),
    ("sustained", "sustained", "Streams sustained at once on one core (more is better)"),
)
NAMES = {"ours": "Pointsman", "nginx": "nginx (no gateway)", "litellm": "LiteLLM", "portkey": "Portkey"}
COLORS = {"ours": "#2563eb", "nginx": "#9ca3af", "litellm": "#d97706", "portkey": "#7c3aed"}
WIDTH, LEFT, BAR, PANEL_HEAD = 760, 150, 22, 34


def chart(results: Medians, caption: str) -> str:
    """Draw the measured panels as an SVG with bars to scale."""
    marks: list[str] = []
    y = 10
    for workload, metric, title in PANELS:
        values = {name: results.get(workload, {}).get(name, {}).get(metric) for name in NAMES}
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


def bar(name: str, value: float, maximum: float, y: int) -> list[str]:
    length = max(1.0, (WIDTH - LEFT - 90) * value / maximum) if maximum else 1.0
    return [
        f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(NAMES[name])}</text>',
        f'<rect x="{LEFT}" y="{y + 2}" width="{length:.1f}" height="{BAR - 6}" fill="{COLORS[name]}"/>',
        f'<text x="{LEFT + length + 6:.1f}" y="{y + 14}">{format_number(value)}</text>',
    ]
