"""How long an upstream asks to be left alone. https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3"""

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

SECONDS = re.compile(r"\d{1,300}(\.\d{1,15})?")
# Seconds: a longer Retry-After is cut to this.
MAX_RETRY_AFTER = 86400.0


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from `retry-after-ms`, which OpenAI sends, or `Retry-After`, a number of seconds or a date."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = headers.get(name, "")
        if SECONDS.fullmatch(value):
            return min(float(value) / unit, MAX_RETRY_AFTER)
    try:
        until = parsedate_to_datetime(headers.get("retry-after", "")).timestamp()
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, until - time.time()), MAX_RETRY_AFTER)
