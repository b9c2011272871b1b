"""
What Claude models accept, by the family and the version in their names.

https://platform.claude.com/docs/en/about-claude/models/overview and each model's "what's new" page. A name without a
version (a gateway's alias, another vendor's model) gets the form that most models accept.
"""

import re
from dataclasses import dataclass
from functools import partial

from gateway.openai_types import Json

# Forms of `thinking`: https://platform.claude.com/docs/en/build-with-claude/extended-thinking
# ENABLED also needs budget_tokens.
ENABLED: Json = {"type": "enabled"}
ADAPTIVE: Json = {"type": "adaptive"}
# From 4.7 on the text of thinking is left out of the response by default (`display: "omitted"`).
SUMMARIZED: Json = {"type": "adaptive", "display": "summarized"}
DISABLED: Json = {"type": "disabled"}
BETWEEN_TOOLS: Json = {"type": "between_tools"}
OFF_BY_DEFAULT: Json = {}

BOTH, ONE, NEITHER = "both", "one", "neither"
ALL_EFFORTS = frozenset({"low", "medium", "high", "xhigh", "max"})
NO_XHIGH = ALL_EFFORTS - {"xhigh"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """
    What one model accepts.

    `thinking_on`: the `thinking` that turns it on; None: the model cannot think. `thinking_off`: the one that turns it
    off; None: it always thinks. `tool_forcing`: tool_choice may be `any` or `tool`. `sampling`: which of temperature
    and top_p may differ from 1. `structured_outputs`: schemas for the output, and strict tools. `max_tokens`: the most
    output tokens.
    """

    thinking_on: Json | None = None
    thinking_off: Json | None = None
    tool_forcing: bool = True
    sampling: str = BOTH
    efforts: frozenset[str] = ALL_EFFORTS
    structured_outputs: bool = False
    max_tokens: int = 8192


# Models that think within a budget of tokens, where the request turns thinking on.
budgeted_model = partial(Model, thinking_on=ENABLED, thinking_off=OFF_BY_DEFAULT)
# "Claude 4.7 and later models do not support" a budget. They accept the default temperature and top_p only.
adaptive_model = partial(Model, thinking_on=SUMMARIZED, sampling=NEITHER, structured_outputs=True, max_tokens=128_000)

# (families, minimum version, model), "" for any family. The first row that matches counts.
MODELS: tuple[tuple[str, tuple[int, int], Model], ...] = (
    ("sonnet", (5, 5), adaptive_model(thinking_off=BETWEEN_TOOLS, tool_forcing=False)),
    ("opus", (5, 5), adaptive_model(thinking_off=None, tool_forcing=False)),
    ("fable mythos", (5, 1), adaptive_model(thinking_off=None, tool_forcing=False)),
    ("fable mythos", (0, 0), adaptive_model(thinking_off=None)),
    ("", (5, 0), adaptive_model(thinking_off=DISABLED)),
    ("", (4, 7), adaptive_model(thinking_off=OFF_BY_DEFAULT)),
    ("", (4, 6), adaptive_model(thinking_on=ADAPTIVE, thinking_off=OFF_BY_DEFAULT, sampling=ONE, efforts=NO_XHIGH)),
    ("", (4, 5), budgeted_model(sampling=ONE, structured_outputs=True, max_tokens=64_000)),
    ("opus", (4, 1), budgeted_model(sampling=ONE, max_tokens=32_000)),
    ("opus", (4, 0), budgeted_model(max_tokens=32_000)),
    ("", (3, 7), budgeted_model(max_tokens=64_000)),
    ("", (3, 5), Model(thinking_off=OFF_BY_DEFAULT)),
    ("", (0, 0), Model(thinking_off=OFF_BY_DEFAULT, max_tokens=4096)),
)
UNKNOWN = budgeted_model(structured_outputs=True)

# The family is before or after the version: claude-sonnet-4-5-20250929, claude-haiku-4.5, claude-opus-4-20250514,
# claude-3-7-sonnet@20250219, claude-mythos-preview.
NAME = re.compile(
    r"claude-(?:(?P<family>[a-z]+)-?)?(?:(?P<major>\d)(?:[-.](?P<minor>\d{1,2}))?(?!\d))?(?:-(?P<late_family>[a-z]+))?"
)
UNNUMBERED = ("fable", "mythos")


def model_traits(name: str) -> Model:
    """What the model of this name accepts."""
    match = NAME.search(name.lower())
    if match is None or not (match["major"] or match["family"] in UNNUMBERED):
        return UNKNOWN
    family = match["family"] or match["late_family"] or ""
    version = (int(match["major"] or 0), int(match["minor"] or 0))
    rows = (model for families, minimum, model in MODELS if family in (families or family) and version >= minimum)
    return next(rows, UNKNOWN)
