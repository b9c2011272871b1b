"""Which targets can take a request."""

import pytest

from gateway.catalog.model_info import UNKNOWN, Facts
from gateway.catalog.vendors import VENDORS, Provider, Target
from gateway.errors import Untranslatable
from gateway.routing.capabilities import fitting, needs, unfit

OPENAI = Provider(VENDORS["openai"], "https://openai.example/v1", "key")
IMAGE = {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}


def target(name="m", **facts):
    return Target(OPENAI, name, facts=Facts(**facts) if facts else UNKNOWN)


def chat(content="Hello", **more):
    return {"model": "m", "messages": [{"role": "user", "content": content}], **more}


ASKING = {
    "vision": chat([IMAGE]),
    "tools": chat(tools=[{"type": "function", "function": {"name": "f"}}]),
    "json_schema": chat(response_format=SCHEMA),
}


@pytest.mark.parametrize("feature", ASKING)
def test_a_feature_goes_where_it_is_known_or_not_known_to_be_missing(feature):
    without, known, unknown = target(**{feature: False}), target(**{feature: True}), target()
    assert fitting((without, known, unknown), ASKING[feature]) == (known, unknown)
    assert fitting((without, known), chat()) == (without, known)


@pytest.mark.parametrize("feature", ASKING)
def test_what_no_target_has_is_an_error_of_the_request(feature):
    with pytest.raises(Untranslatable) as raised:
        fitting((target(**{feature: False}),), ASKING[feature])
    assert raised.value.status == 400
    assert raised.value.param in ("messages", "tools", "response_format")


def test_a_large_request_goes_where_it_fits():
    small, large = target("small", context=1000), target("large", context=100_000)
    assert fitting((small, large), chat("word " * 4000)) == (large,)
    assert fitting((small, large), chat("word")) == (small, large)


def test_where_it_fits_nowhere_the_upstreams_decide():
    small = (target("a", context=10), target("b", context=20))
    assert fitting(small, chat("word " * 400)) == small


def test_the_reason_is_told():
    assert unfit(target(tools=False), needs(ASKING["tools"])) == "its model has no tools"
    assert "takes 10 tokens" in unfit(target(context=10), needs(chat("word " * 400)))
    assert unfit(target(), needs(ASKING["vision"])) is None
