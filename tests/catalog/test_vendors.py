"""The table of vendors is consistent, and agrees with its page in the docs."""

import re
from pathlib import Path

import pytest

from gateway.catalog.targets import Provider
from gateway.catalog.vendors import VENDORS, VENDORS_BY_NAME, strip_endpoint

DOCS = Path(__file__).parents[2] / "docs/providers.md"


def rows():
    return {
        row[0].strip("`"): row[1:]
        for row in (
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in DOCS.read_text().splitlines()
            if line.startswith("| `")
        )
    }


def test_the_docs_have_a_row_for_each_vendor_with_its_base_url_and_key_variables():
    documented = rows()
    assert list(documented) == list(VENDORS)
    for name, (url, keys, *_) in documented.items():
        assert url.strip("`") == VENDORS[name].base_url
        assert tuple(re.findall(r"`([A-Z_]+)`", keys)) == VENDORS[name].key_variables


def test_the_docs_list_the_unsupported_fields_of_each_vendor():
    for name, (_, _, unsupported, *_) in rows().items():
        assert set(re.findall(r"`([^`]+)`", unsupported)) == VENDORS[name].unsupported


def test_no_two_vendors_share_a_name():
    names = [name for vendor in VENDORS.values() for name in (vendor.name, *vendor.aliases)]
    assert len(names) == len(set(names)) == len(VENDORS_BY_NAME)


def test_no_two_vendors_share_a_key_variable():
    keys = [key for vendor in VENDORS.values() for key in vendor.key_variables]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    "vendor", [vendor for vendor in VENDORS.values() if vendor.base_url.startswith("http")], ids=lambda v: v.name
)
def test_a_base_url_ends_neither_with_a_slash_nor_with_an_endpoint(vendor):
    assert not vendor.base_url.endswith("/")
    assert strip_endpoint(vendor, vendor.base_url) == vendor.base_url


def test_local_servers_and_echo_are_keyless():
    assert {name for name, vendor in VENDORS.items() if not vendor.key_variables} == {"echo"}
    assert {name for name, vendor in VENDORS.items() if vendor.keyless} == {
        "lmstudio",
        "llamacpp",
        "vllm",
        "openai-compatible",
        "echo",
    }


def test_the_variable_of_a_base_url_has_the_name_in_capitals():
    assert VENDORS["github-models"].base_url_variable == "GITHUB_MODELS_BASE_URL"


def test_the_repr_of_a_provider_hides_its_key():
    assert "hush" not in repr(Provider(VENDORS["openai"], "https://api.openai.com/v1", "hush"))
