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
    until = timestamp(headers.get("retry-after", ""))
    if until is None:
        return None
    # RFC 9110 section 6.6.1: Date is when the response was made. Between two times of the upstream's clock, no error of ours or
    # of its own counts.
    sent = timestamp(headers.get("date", ""))
    return min(max(0.0, until - (time.time() if sent is None else sent)), MAX_RETRY_AFTER)


def timestamp(date: str) -> float | None:
    """The unix time of an HTTP date; None for what is none."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None
