"""The path, the headers and the native fields of a request to Anthropic."""

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.dialects.anthropic.adapter import ADAPTER
from gateway.errors import InvalidRequest
from tests.support.anthropic_dialect import vendor_request
from tests.support.chat_strategies import SCHEMA_LIKE_JSON

NATIVE_FIELDS = [
    "thinking",
    "output_config",
    "betas",
    "container",
    "mcp_servers",
    "top_k",
    "cache_control",
    "fallbacks",
]


def test_a_streamed_request_has_the_version_header_and_stream():
    sent = vendor_request(stream=True, stream_options={"include_usage": True})
    assert sent.path == "/v1/messages"
    assert sent.headers == {}
    assert ADAPTER.base_headers == {"anthropic-version": "2023-06-01"}
    assert sent.body["stream"] is True
    assert sent.dropped == ()


def test_native_fields_are_passed_on():
    servers = [{"type": "url", "url": "https://example.com/mcp", "name": "x"}]
    sent = vendor_request(top_k=5, mcp_servers=servers, betas=["mcp-client-2025-11-20", "x-1"])
    assert sent.body["top_k"] == 5
    assert sent.body["mcp_servers"] == servers
    assert sent.headers["anthropic-beta"] == "mcp-client-2025-11-20,x-1"
    assert "betas" not in sent.body
    assert vendor_request(mcp_servers=servers).headers["anthropic-beta"].startswith("mcp-client-")


def test_a_beta_with_characters_invalid_in_a_header_is_refused():
    with pytest.raises(InvalidRequest):
        vendor_request(betas=["x\r\ny: z"])


@given(
    native=st.dictionaries(st.sampled_from(NATIVE_FIELDS), SCHEMA_LIKE_JSON),
    effort=st.sampled_from([None, "none", "low", "unknown"]),
)
@settings(deadline=None, suppress_health_check=list(HealthCheck))
def test_no_value_of_a_native_field_makes_the_adapter_fail(native, effort):
    with suppress(InvalidRequest):
        assert vendor_request(**native, reasoning_effort=effort).body
