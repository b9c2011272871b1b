"""Which targets are capable of a request."""

import pytest

from gateway.catalog.model_info import UNKNOWN, ModelInfo
from gateway.catalog.targets import Provider, Target
from gateway.catalog.vendors import VENDORS
from gateway.errors import Untranslatable
from gateway.routing.capabilities import capable_targets, requirements, why_incapable

OPENAI = Provider(VENDORS["openai"], "https://openai.example/v1", "key")
IMAGE = {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}


def target(name="m", **info):
    return Target(OPENAI, name, model_info=ModelInfo(**info) if info else UNKNOWN)


def chat(content="Hello", **more):
    return {"model": "m", "messages": [{"role": "user", "content": content}], **more}


REQUESTS = {
    "vision": chat([IMAGE]),
    "tools": chat(tools=[{"type": "function", "function": {"name": "f"}}]),
    "json_schema": chat(response_format=SCHEMA),
}


@pytest.mark.parametrize("feature", REQUESTS)
def test_a_target_that_lacks_a_required_feature_is_left_out(feature):
    without, with_feature, unknown = target(**{feature: False}), target(**{feature: True}), target()
    assert capable_targets((without, with_feature, unknown), REQUESTS[feature]) == (with_feature, unknown)
    assert capable_targets((without, with_feature), chat()) == (without, with_feature)


@pytest.mark.parametrize("feature", REQUESTS)
def test_a_feature_that_no_target_has_is_refused(feature):
    with pytest.raises(Untranslatable) as raised:
        capable_targets((target(**{feature: False}),), REQUESTS[feature])
    assert raised.value.status == 400
    assert raised.value.param in ("messages", "tools", "response_format")


def test_a_large_request_goes_to_targets_with_enough_context():
    small, large = target("small", context_window=1000), target("large", context_window=100_000)
    assert capable_targets((small, large), chat("word " * 4000)) == (large,)
    assert capable_targets((small, large), chat("word")) == (small, large)


def test_a_request_too_large_for_every_target_is_left_to_the_upstreams():
    small = (target("a", context_window=10), target("b", context_window=20))
    assert capable_targets(small, chat("word " * 400)) == small


def test_why_incapable_names_the_reason():
    assert why_incapable(target(tools=False), requirements(REQUESTS["tools"])) == "its model has no tools"
    assert "takes 10 tokens" in why_incapable(target(context_window=10), requirements(chat("word " * 400)))
    assert why_incapable(target(), requirements(REQUESTS["vision"])) is None
