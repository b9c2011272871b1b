"""
Errors of OpenAI-compatible vendors: in the body of an error status, in a 200, or in a stream.

https://platform.openai.com/docs/guides/error-codes has OpenAI's own; others send `error` as text, or no `error` at all.
"""

import re
from typing import Any

from gateway.dialects.error_text import error_message, short_text
from gateway.dialects.upstream_error import upstream_error
from gateway.errors import UpstreamFault
from gateway.openai_types import Json

ERROR_STATUS = re.compile(r"[45]\d\d", re.ASCII)


def in_band_error(reported: Any, container: Any) -> UpstreamFault:
    """The error in a 200 or in its stream: `reported` is the `error` field, `container` the object that has it."""
    fields = reported if isinstance(reported, dict) else {}
    # OpenRouter puts the HTTP status into `code`; others have a field for it.
    codes = (fields.get("status"), fields.get("code"), fields.get("status_code"), fields.get("http_status"))
    status = next(
        (int(code) for code in codes if isinstance(code, int | str) and ERROR_STATUS.fullmatch(str(code))), 502
    )
    return upstream_error(status, **error(status, {"error": reported} if reported else container))


def error(status: int, body: Any) -> Json:
    """The contract's `error`, for a body of any shape."""
    fields = body.get("error") if isinstance(body, dict) else None
    fields = fields if isinstance(fields, dict) else body if isinstance(body, dict) else {}
    message = error_message(status, body)
    # OpenRouter's message says only that the provider failed; what the provider said is in metadata.raw:
    # https://openrouter.ai/docs/api-reference/errors
    metadata = fields.get("metadata")
    raw = short_text(metadata.get("raw")) if isinstance(metadata, dict) else ""
    if raw and raw not in message:
        message = f"{message} ({raw})"
    details = {name: short_text(fields.get(name)) for name in ("type", "param", "code")}
    return {"message": message, **{name: text for name, text in details.items() if text}}
