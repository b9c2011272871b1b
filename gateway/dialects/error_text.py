"""The message in an upstream's error body, whatever the body's shape."""

from typing import Any

# Characters of an upstream's text that are looked at and passed on: it may send megabytes.
MAX_TEXT = 8192
# Levels of an error body that are searched for a message; FastAPI's are three deep.
MAX_DEPTH = 8


def error_message(status: int, body: Any) -> str:
    return _first_text(body, MAX_DEPTH) or f"The upstream answered with status {status} and gave no reason."


def short_text(value: Any) -> str:
    """A text of an error body, cut short; "" for anything else."""
    return value[:MAX_TEXT] if isinstance(value, str) else ""


def _first_text(body: Any, levels: int) -> str:
    """The first text in an error body that is written for people; "" where there is none."""
    if isinstance(body, str):
        text = body[:MAX_TEXT].strip()
        # Proxies and load balancers in front of an API answer with an HTML page.
        return "" if "<html" in text.lower() else text
    if isinstance(body, dict):
        # In OpenAI's order; `Message` is AWS's, `detail` (a list of objects with `msg`) FastAPI's.
        body = [body.get(key) for key in ("error", "message", "Message", "msg", "detail")]
    if not isinstance(body, list) or not levels:
        return ""
    return next(filter(None, (_first_text(item, levels - 1) for item in body)), "")
