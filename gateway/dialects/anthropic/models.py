"""
What Claude models take, by the family and version in their names.

https://platform.claude.com/docs/en/about-claude/models/overview and each model's "what's new" page. A name without a
version (a gateway's alias, another vendor's model) gets the form that most models take.
"""

import re
from dataclasses import dataclass

from gateway.openai_types import Json

BUDGET: Json = {"type": "enabled"}
ADAPTIVE: Json = {"type": "adaptive"}
SUMMARIZED: Json = {"type": "adaptive", "display": "summarized"}
"""Since 4.7 the thoughts' text is left out of the answer unless asked for."""
DISABLED: Json = {"type": "disabled"}
BETWEEN_TOOLS: Json = {"type": "between_tools"}
UNLESS_ASKED: Json = {}

BOTH, ONE, NEITHER = "both", "one", "neither"
ALL_EFFORTS = frozenset({"low", "medium", "high", "xhigh", "max"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """
    `on`: how thinking is asked for; None: it can't think. `off`: how it is told not to; None: it always thinks.
    `forced`: a tool can be forced. `sampling`: of temperature and top_p, which may differ from 1.
    `structured`: it takes schemas for its output and strict tools. `max_tokens`: the most it can say.
    """

    on: Json | None = None
    off: Json | None = None
    forced: bool = True
    sampling: str = BOTH
    efforts: frozenset[str] = ALL_EFFORTS
    structured: bool = False
    max_tokens: int = 8192


def _thinker(off: Json | None, *, forced: bool = True) -> Model:
    """A model since 4.7."""
    return Model(on=SUMMARIZED, off=off, forced=forced, sampling=NEITHER, structured=True, max_tokens=128_000)


# (families, least version, model): the first row that fits
MODELS: tuple[tuple[str, tuple[int, int], Model], ...] = (
    ("sonnet", (5, 5), _thinker(BETWEEN_TOOLS, forced=False)),
    ("opus", (5, 5), _thinker(None, forced=False)),
    ("fable mythos", (5, 1), _thinker(None, forced=False)),
    ("fable mythos", (0, 0), _thinker(None)),
    ("", (5, 0), _thinker(DISABLED)),
    ("", (4, 7), _thinker(UNLESS_ASKED)),
    (
        "",
        (4, 6),
        Model(
            on=ADAPTIVE,
            off=UNLESS_ASKED,
            sampling=ONE,
            efforts=ALL_EFFORTS - {"xhigh"},
            structured=True,
            max_tokens=128_000,
        ),
    ),
    ("", (4, 5), Model(on=BUDGET, off=UNLESS_ASKED, sampling=ONE, structured=True, max_tokens=64_000)),
    ("opus", (4, 1), Model(on=BUDGET, off=UNLESS_ASKED, sampling=ONE, max_tokens=32_000)),
    ("opus", (4, 0), Model(on=BUDGET, off=UNLESS_ASKED, max_tokens=32_000)),
    ("", (3, 7), Model(on=BUDGET, off=UNLESS_ASKED, max_tokens=64_000)),
    ("", (3, 5), Model(off=UNLESS_ASKED)),
    ("", (0, 0), Model(off=UNLESS_ASKED, max_tokens=4096)),
)
UNKNOWN = Model(on=BUDGET, off=UNLESS_ASKED, structured=True)

# claude-sonnet-4-5-20250929, claude-3-7-sonnet@20250219, claude-haiku-4.5, claude-opus-4-20250514, claude-mythos-preview
NAME = re.compile(
    r"claude-(?:(?P<family>[a-z]+)-?)?(?:(?P<major>\d)(?:[-.](?P<minor>\d{1,2}))?(?!\d))?(?:-(?P<late>[a-z]+))?"
)
UNNUMBERED = ("fable", "mythos")


def model_traits(name: str) -> Model:
    """What a model of this name takes."""
    found = NAME.search(name.lower())
    if found is None or not (found["major"] or found["family"] in UNNUMBERED):
        return UNKNOWN
    family = found["family"] or found["late"] or ""
    version = (int(found["major"] or 0), int(found["minor"] or 0))
    fits = (model for families, least, model in MODELS if family in (families or family) and version >= least)
    return next(fits, UNKNOWN)
