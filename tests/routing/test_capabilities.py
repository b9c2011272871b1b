"""Which targets can take a request."""

import pytest

from gateway.catalog.model_info import UNKNOWN, ModelInfo
from gateway.catalog.vendors import VENDORS, Provider, Target
from gateway.errors import Untranslatable
from gateway.routing.capabilities import capable_targets, requirements, why_incapable

OPENAI = Provider(VENDORS["openai"], "https://openai.example/v1", "key")
IMAGE = {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}


def target(name="m", **facts):
    return Target(OPENAI, name, model_info=ModelInfo(**facts) if facts else UNKNOWN)


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
    assert capable_targets((without, known, unknown), ASKING[feature]) == (known, unknown)
    assert capable_targets((without, known), chat()) == (without, known)


@pytest.mark.parametrize("feature", ASKING)
def test_what_no_target_has_is_an_error_of_the_request(feature):
    with pytest.raises(Untranslatable) as raised:
        capable_targets((target(**{feature: False}),), ASKING[feature])
    assert raised.value.status == 400
    assert raised.value.param in ("messages", "tools", "response_format")


def test_a_large_request_goes_where_it_fits():
    small, large = target("small", context_window=1000), target("large", context_window=100_000)
    assert capable_targets((small, large), chat("word " * 4000)) == (large,)
    assert capable_targets((small, large), chat("word")) == (small, large)


def test_where_it_fits_nowhere_the_upstreams_decide():
    small = (target("a", context_window=10), target("b", context_window=20))
    assert capable_targets(small, chat("word " * 400)) == small


def test_the_reason_is_told():
    assert why_incapable(target(tools=False), requirements(ASKING["tools"])) == "its model has no tools"
    assert "takes 10 tokens" in why_incapable(target(context_window=10), requirements(chat("word " * 400)))
    assert why_incapable(target(), requirements(ASKING["vision"])) is None
