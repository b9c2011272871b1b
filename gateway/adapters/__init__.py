"""The dialects, by the name that a vendor's row gives."""

from collections.abc import Mapping

from gateway.adapters import anthropic, openai
from gateway.adapters.contract import Adapter

ADAPTERS: Mapping[str, Adapter] = {"anthropic": anthropic.ADAPTER, "openai": openai.ADAPTER}
