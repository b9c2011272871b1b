"""
Writes gateway/catalog/models.json from genai-prices, LiteLLM's list, and our overrides; `make models` runs it.

Prices are genai-prices': it dates them, and knows tiers. LiteLLM gives the facts, the models and prices that are
missing there, and context windows, since it counts the input alone where genai-prices includes the answer. Where both
have a price and disagree, the report on standard output says so. The overrides have the last word.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tools import genai_source, litellm_source
from tools.model_table import Model, Row, current_prices, entry, fields_of, undated

OVERRIDES = Path(__file__).with_name("model_overrides.json")
COMPARED = ("input", "output", "cache_read", "cache_write", "cache_write_1h")
VENDORS = sorted({*genai_source.VENDORS, "huggingface", *litellm_source.VENDORS})

Facts = dict[str, Any]
Override = dict[str, Any]
Table = dict[str, dict[str, Model]]
Patterns = dict[str, dict[str, str]]


class Report:
    """What the sources disagree about, and what was left out."""

    def __init__(self) -> None:
        self.prices: list[str] = []
        self.windows: list[str] = []
        self.unused: list[str] = list(genai_source.unused_variants())
        self.overrides: list[str] = []

    def compare(self, name: str, genai: Model, other: Model, day: str) -> None:
        """Note where two sources of one model disagree."""
        ours, theirs = current_prices(genai.prices, day), current_prices(other.prices, day)
        self.prices += [
            f"{name} {field}: genai-prices {ours[field]}, LiteLLM {theirs[field]}"
            for field in COMPARED
            if field in ours and field in theirs and ours[field] != theirs[field]
        ]
        windows = genai.facts.get("context_window"), other.facts.get("context_window")
        if None not in windows and windows[0] != windows[1]:
            self.windows.append(f"{name}: genai-prices {windows[0]}, LiteLLM {windows[1]}")

    def lines(self, table: Table) -> Iterator[str]:
        for title, lines in (
            ("prices on which the sources disagree; genai-prices' count", self.prices),
            ("context windows on which they disagree; LiteLLM's count", self.windows),
            ("price variants of genai-prices that are left out", self.unused),
            ("overrides that change nothing any more", self.overrides),
        ):
            yield f"\n{len(lines)} {title}"
            yield from (f"  {line}" for line in lines)
        counts = Counter({vendor: len(models) for vendor, models in table.items()})
        yield f"\n{counts.total()} names"
        yield from (f"  {vendor}: {count}" for vendor, count in counts.most_common())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("litellm", type=Path, help="LiteLLM's model_prices_and_context_window.json")
    parser.add_argument("litellm_version")
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    day, report = datetime.now(UTC).date().isoformat(), Report()
    litellm = litellm_source.read(options.litellm)
    table = merge(litellm, day, report)
    patterns = {vendor: patterns_of(vendor, models) for vendor, models in table.items()}
    for override in json.loads(OVERRIDES.read_text(encoding="utf-8")):
        apply_override(override, table, litellm, patterns, report)
    sources = {"genai-prices": version("genai-prices"), "litellm": options.litellm_version}
    options.output.write_text(rendered(day, sources, table, patterns), encoding="utf-8")
    print("\n".join(report.lines(table)))


def merge(litellm: Table, day: str, report: Report) -> Table:
    """Every name of a vendor's models that either source has."""
    table: Table = {vendor: {} for vendor in VENDORS}
    for vendor, models in table.items():
        others = litellm.get(vendor, {})
        spellings = {_spelling(name): model for name, model in others.items()}
        for name in sorted({*others, *genai_source.names(vendor)}):
            genai, other = genai_source.converted(genai_source.find(vendor, name)), others.get(name)
            if other and other.prices and genai_source.is_guess(vendor, name):
                # Azure's own price counts where genai-prices falls back to that of the model's maker.
                genai = None
            if genai and other:
                report.compare(f"{vendor}/{name}", genai, other, day)
            facts = (other or spellings.get(_spelling(name), Model())).facts
            models[name] = Model(_facts(name, genai, facts), _prices(genai, other, day))
    return table


def patterns_of(vendor: str, models: dict[str, Model]) -> dict[str, str]:
    """The name that stands for each glob of genai-prices: the shortest of its model's, of those with facts if any."""
    names: dict[int, str] = {}
    for name in sorted(models, key=lambda name: ("mode" not in models[name].facts, len(name), name)):
        names.setdefault(id(genai_source.find(vendor, name)), name)
    patterns: dict[str, str] = {}
    for glob, model in genai_source.patterns(vendor):
        if id(model) in names:
            patterns.setdefault(glob, names[id(model)])
    return patterns


def _spelling(name: str) -> str:
    """What the spellings of one model's name share: gpt-5.4, gpt-5-4, gpt-5.4-latest and gpt-5.4-2026-03-05."""
    return undated(name).removesuffix("-latest").replace(".", "-")


def _facts(name: str, genai: Model | None, facts: Facts) -> Facts:
    merged = {**(genai.facts if genai else {}), **facts}
    if "embed" in name or merged.get("mode") == "embedding":
        # The limit of an embedding model is one for each input: no window that a whole request has to fit in.
        window = merged.pop("context_window", None)
        merged = {"mode": "embedding", **({"max_input_tokens": window} if window else {}), **merged}
    return merged


def _prices(genai: Model | None, other: Model | None, day: str) -> list[Row]:
    """The rows of genai-prices, after what LiteLLM adds to them if both agree about the plain prices."""
    if not genai or not genai.prices:
        return other.prices if other else []
    if not other or not _agree(genai, other, day):
        return genai.prices
    priced = {field for row in genai.prices if "service_tier" not in row for field in fields_of(row)}
    tiers = {row.get("service_tier") for row in genai.prices}
    # Perplexity's fee for a request is one for its searches, which LiteLLM has by the search.
    excluded = {*priced, "web_search"} if "request" in priced else priced
    more = {field: price for field, price in fields_of(other.prices[0]).items() if field not in excluded}
    added = [{"source": "litellm", **more}] if more else []
    return [*added, *genai.prices, *(row for row in other.prices[1:] if row["service_tier"] not in tiers)]


def _agree(genai: Model, other: Model, day: str) -> bool:
    ours, theirs = current_prices(genai.prices, day), current_prices(other.prices, day)
    return all(ours[field] == theirs.get(field) for field in ("input", "output") if field in ours)


def apply_override(override: Override, table: Table, litellm: Table, patterns: Patterns, report: Report) -> None:
    """Change the models that an override names; one that it spells out is added. Raises ValueError: it matches none."""
    vendor, source = override["vendor"], override["source"]
    models = table.setdefault(vendor, {})
    for glob in override.get("models", ()):
        for name in [name for name in models if fnmatchcase(name, glob)] or _new(glob):
            model = models.get(name, Model())
            facts = model.facts | override.get("facts", {})
            changed = Model({fact: value for fact, value in facts.items() if value is not None}, model.prices)
            match override.get("prices"):
                case "litellm":
                    changed.prices = litellm[vendor][name].prices
                case list() as rows:
                    changed.prices = [{"source": source, **row} for row in rows]
            if changed == model:
                report.overrides.append(f"{vendor}/{name}: {source}")
            models[name] = changed
    # Ours come first, since they are narrower than the rules of genai-prices.
    patterns[vendor] = {**override.get("aliases", {}), **patterns.get(vendor, {})}


def _new(name: str) -> list[str]:
    if set("*?[") & set(name):
        raise ValueError(f"no model matches the override's {name}")
    return [name]


def rendered(day: str, sources: dict[str, str], table: Table, patterns: Patterns) -> str:
    """The file's text, with one model a line, so that changes can be read."""
    vendors = {
        vendor: _object(
            {"models": _object(_members(_entries(models))), "patterns": _object(_members(patterns[vendor]))}
        )
        for vendor, models in sorted(table.items())
    }
    return _object({**_members({"generated": day, "sources": sources}), "vendors": _object(vendors)}) + "\n"


def _object(members: dict[str, str]) -> str:
    """A JSON object of members that are JSON already, one a line."""
    return "{\n" + ",\n".join(f"{json.dumps(key)}: {text}" for key, text in members.items()) + "\n}"


def _members(values: dict[str, Any]) -> dict[str, str]:
    return {key: json.dumps(value) for key, value in values.items()}


def _entries(models: dict[str, Model]) -> dict[str, Any]:
    """Entries by name; a name that continues a shorter one with the same entry, as a dated one does, refers to it."""
    entries: dict[str, Any] = {}
    names: dict[str, list[str]] = {}
    for name in sorted(models, key=len):
        complete = entry(models[name])
        shorter = names.setdefault(json.dumps(complete), [])
        entries[name] = next((first for first in shorter if name.startswith(first)), complete)
        if entries[name] is complete:
            shorter.append(name)
    return dict(sorted(entries.items()))


if __name__ == "__main__":
    main()
