"""Requests to the OpenAI adapter, and chunks, shared by the tests of the dialect."""

from gateway.catalog.vendors import VENDORS
from gateway.dialects.contract import TargetRequest

HELLO = {"messages": [{"role": "user", "content": "Hello"}], "model": "m"}


def target_request(vendor="openai", model="gpt-x", **chat):
    return TargetRequest({**HELLO, **chat}, model, VENDORS[vendor], "chatcmpl-ours", 1700000000)
