"""The model lists of providers."""

import json
from contextlib import closing

import pytest

from gateway.catalog.targets import Provider
from gateway.catalog.vendors import VENDORS
from gateway.routing.provider_models import ProviderModel, ProviderModels, parse_model_list
from gateway.transport.http_transport import Transport, WatchingAdapter
from gateway.transport.pool import Pool, tls_context
from tests.support.socket_upstream import OK, Upstream


@pytest.mark.parametrize(
    "data, models",
    [
        ({"data": [{"id": "a", "created": 5}, {"id": "b"}]}, [("a", 5), ("b", 0)]),
        ({"data": [{"type": "model", "id": "claude", "created_at": "2025-09-29T00:00:00Z"}]}, [("claude", 1759104000)]),
        ([{"id": "a"}, {"name": "no id"}, "x"], [("a", 0)]),
    ],
)
def test_a_model_list_has_ids_and_times(data, models):
    assert parse_model_list(data) == [ProviderModel(*model) for model in models]


@pytest.mark.parametrize("data", [{}, {"data": None}, "x", 5, None])
def test_anything_but_a_model_list_is_refused(data):
    with pytest.raises(ValueError, match="no list"):
        parse_model_list(data)


@pytest.mark.parametrize(
    "created", [1e308, -5, True, "0001-01-01T00:00:00", "9999-12-31T23:59:59-12:00", "NaN", {"a": 1}, 10**18]
)
def test_a_time_that_is_none_is_left_out(created):
    ((_, seconds),) = parse_model_list([{"id": "a", "created": created}])
    assert 0 <= seconds < 1 << 40


def test_a_list_is_cut_and_long_names_are_left_out():
    rows = [{"id": "x" * 1000}, *({"id": f"m{n}"} for n in range(100))]
    assert [model.id for model in parse_model_list(rows, max_models=10)] == [f"m{n}" for n in range(9)]


def test_each_list_is_fetched_once_with_its_own_credentials_and_a_failure_is_left_out():
    body = json.dumps({"data": [{"id": "m"}]}).encode()
    good = Upstream(lambda connection, _: connection.sendall(OK + b"content-length: %d\r\n\r\n%b" % (len(body), body)))
    bad = Upstream(lambda connection, _: connection.sendall(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"))
    pool = Pool(5, tls_context(None), {}, "")
    providers = {
        "openai": Provider(VENDORS["openai"], good.url, "sk-one"),
        "anthropic": Provider(VENDORS["anthropic"], good.url, "sk-two"),
        "groq": Provider(VENDORS["groq"], bad.url, "sk-three"),
        "echo": Provider(VENDORS["echo"], "echo://"),
    }
    provider_models = ProviderModels(Transport({"http://": WatchingAdapter(pool)}).session, providers)
    with closing(good), closing(bad), closing(pool):
        for _ in range(2):
            assert provider_models.models() == {"openai": [ProviderModel("m", 0)], "anthropic": [ProviderModel("m", 0)]}
    requests = b"".join(sorted(good.requests))
    assert (len(good.requests), len(bad.requests)) == (2, 1)
    assert b"GET /v1/x/models" in requests
    assert b"GET /v1/x/v1/models?limit=1000" in requests
    assert b"anthropic-version: 2023-06-01" in requests
    assert b"Authorization: Bearer sk-one" in requests
    assert b"x-api-key: sk-two" in requests
