"""The overrides of the table of models, and the table that was made with them."""

import json
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from gateway.catalog.model_info import TABLE, VENDORS
from tools import update_models

OVERRIDES = json.loads(Path(update_models.__file__).with_name("model_overrides.json").read_text(encoding="utf-8"))


def entry_of(vendor, name):
    entry = VENDORS[vendor]["models"][name]
    return VENDORS[vendor]["models"][entry] if isinstance(entry, str) else entry


@pytest.mark.parametrize("override", OVERRIDES, ids=[f"{number}" for number, _ in enumerate(OVERRIDES)])
def test_the_table_was_made_with_the_override(override):
    assert override["source"]
    vendor = override["vendor"]
    names = {
        name for glob in override.get("models", ()) for name in VENDORS[vendor]["models"] if fnmatchcase(name, glob)
    }
    for name in names:
        facts = override.get("facts", {})
        assert {fact: entry_of(vendor, name).get(fact) for fact in facts} == facts, name
        if override.get("prices") == "litellm":
            assert {row["source"] for row in entry_of(vendor, name)["prices"]} == {"litellm"}, name
    assert override.get("aliases", {}).items() <= VENDORS[vendor]["patterns"].items()
    assert names or "aliases" in override


def test_the_table_was_made_from_the_pinned_sources():
    assert TABLE["sources"] == {"genai-prices": update_models.GENAI_PRICES, "litellm": update_models.LITELLM}


def test_no_compromised_release_of_litellm_is_pinned():
    assert update_models.LITELLM not in update_models.COMPROMISED
