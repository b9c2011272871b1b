"""
Wire formats as pure functions, one folder each: the side that faces upstreams, and the side that faces clients.

No I/O, clock, randomness, environment or Flask. `ADAPTERS` are the upstream sides, by the name in `Vendor.dialect`.
"""

from collections.abc import Mapping

from gateway.dialects.anthropic.adapter import ADAPTER as ANTHROPIC
from gateway.dialects.contract import Adapter
from gateway.dialects.openai.adapter import ADAPTER as OPENAI

ADAPTERS: Mapping[str, Adapter] = {"anthropic": ANTHROPIC, "openai": OPENAI}
