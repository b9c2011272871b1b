"""The message in an upstream's error body, whatever the body's shape."""

from typing import Any


def error_message(status: int, body: Any) -> str:
    return _first_text(body) or f"The upstream answered with status {status} and gave no reason."


def _first_text(body: Any) -> str:
    """The first text in an error body that is written for people; "" where there is none."""
    if isinstance(body, str):
        # Proxies and load balancers in front of an API answer with an HTML page.
        return "" if "<html" in body.lower() else body.strip()
    if isinstance(body, dict):
        # In OpenAI's order; `Message` is AWS's, `detail` (a list of objects with `msg`) FastAPI's.
        body = [body.get(key) for key in ("error", "message", "Message", "msg", "detail")]
    return next(filter(None, map(_first_text, body)), "") if isinstance(body, list) else ""
