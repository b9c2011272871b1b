"""The dialects, by the name that a vendor's row gives."""

from collections.abc import Mapping

from gateway.adapters.anthropic import ADAPTER as ANTHROPIC
from gateway.adapters.contract import Adapter
from gateway.adapters.openai import ADAPTER as OPENAI

ADAPTERS: Mapping[str, Adapter] = {"anthropic": ANTHROPIC, "openai": OPENAI}
