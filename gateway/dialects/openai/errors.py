"""Errors of OpenAI-compatible vendors, in a body of their own, in a 200, or in a stream.

https://platform.openai.com/docs/guides/error-codes, and what its look-alikes send instead.
"""

from typing import Any

from gateway.dialects.error_text import error_text
from gateway.errors import UpstreamFault, upstream_error
from gateway.openai_types import Json


def in_band_error(found: Any, around: Any) -> UpstreamFault:
    """The error that stands in an answer of status 200, or in its stream."""
    told = found if isinstance(found, dict) else {}
    codes = (told.get("status"), told.get("code"), told.get("status_code"), told.get("http_status"))
    status = next((int(code) for code in map(str, codes) if code.isdecimal() and 400 <= int(code) < 600), 502)
    return upstream_error(status, **error(status, {"error": found} if found else around))


def error(status: int, body: Any) -> Json:
    """What an error body says, of whatever shape."""
    told = body.get("error") if isinstance(body, dict) else None
    told = told if isinstance(told, dict) else body if isinstance(body, dict) else {}
    message = error_text(body) or f"The upstream answered with status {status} and gave no reason."
    details = told.get("metadata")
    raw = details.get("raw") if isinstance(details, dict) else None
    if isinstance(raw, str) and raw not in message:
        message = f"{message} ({raw})"
    return {"message": message, **{field: told[field] for field in ("type", "param", "code") if told.get(field)}}
