"""What an upstream's error body says, of whatever shape it is."""

from collections.abc import Iterable
from typing import Any


def error_text(said: Any) -> str:
    """The first text in an error body that is meant for people."""
    if isinstance(said, str):
        return "" if "<html" in said.lower() else said.strip()
    if isinstance(said, list):
        return next(filter(None, map(error_text, said)), "")
    if isinstance(said, dict):
        return _first(said.get(key) for key in ("error", "message", "Message", "msg", "detail"))
    return ""


def _first(said: Iterable[Any]) -> str:
    return next(filter(None, map(error_text, said)), "")
