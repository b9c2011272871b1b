"""How much work a function does, as a number that no clock or machine changes."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def operations(function: Callable[..., Any], *args: Any) -> int:
    """The bytecode instructions that a call executes; its exceptions are ignored."""
    count = 0

    def trace(frame: FrameType, event: str, _arg: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function(*args)
    except Exception:  # noqa: BLE001 - what counts is the work until then
        pass
    finally:
        sys.settrace(before)
    return count


def grows_linearly(function: Callable[[Any], Any], make_input: Callable[[int], Any], size: int) -> bool:
    """Whether twice the input takes at most twice the instructions, with some tolerance for what is constant."""
    # Python 3.12.1 counts no instructions the first time that they are traced.
    _, once, twice = (operations(function, make_input(n)) for n in (1, size, 2 * size))
    return twice <= 2.2 * once + 1000
