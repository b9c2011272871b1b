"""Whose fault an upstream's error is, by its status and by what it says."""

import re
from typing import Any

from gateway.dialects.error_text import MAX_TEXT, short_text
from gateway.errors import (
    UpstreamBlocked,
    UpstreamCredentials,
    UpstreamFailed,
    UpstreamFault,
    UpstreamLimited,
    UpstreamRefused,
    UpstreamRejected,
    UpstreamTimeout,
)

# What vendors say when the account itself cannot be used, whatever the request: DeepSeek's 402 is "Insufficient Balance",
# OpenRouter's "Insufficient credits", Anthropic's "Your credit balance is too low", OpenAI's "You exceeded your current quota",
# "account_deactivated" and "billing_hard_limit_reached". OpenRouter's "This request requires more credits, or fewer max_tokens"
# is none of them: it is about one request.
ACCOUNT = re.compile(
    r"insufficient.?(balance|credits?|funds|quota)|credit balance|(exceeded|used up|out of).{0,20}(quota|credits?)|"
    r"billing.{0,3}(error|hard|limit|not active)|(account|key|organi[sz]ation|project).{0,40}"
    r"(suspended|deactivated|disabled|revoked|expired|not active|terminated|blocked)",
    re.IGNORECASE,
)
# OpenRouter: "Your chosen model requires moderation and your input was flagged"; Azure: "content management policy".
MODERATION = re.compile(
    r"moderation|flagged|content.{0,3}(policy|filter|management)|safety (system|policy)|usage polic|responsible ai",
    re.IGNORECASE,
)


def upstream_error(
    status: int,
    message: str,
    *,
    type: str | None = None,
    code: Any = None,
    param: Any = None,
    retry_after: float | None = None,
) -> UpstreamFault:
    """The error for an upstream's response with an error `status`; `code` and `param` are whatever its body has there."""
    message, type = message[:MAX_TEXT], short_text(type)
    code, param = short_text(code) or None, short_text(param) or None
    reported: dict[str, Any] = {"upstream_status": status, "wait": retry_after}
    if status in (401, 402, 403):
        return _refusal(status, message, f"{type} {code or ''} {message}", reported)
    if status == 429:
        # OpenAI's type for an account that is out of credit, which no waiting changes.
        kind = type if type in ("tokens", "insufficient_quota") else None
        retryable = kind != "insufficient_quota"
        return UpstreamLimited(message, **reported, retry_after=retry_after, type=kind, code=code, retryable=retryable)
    if status == 504:
        return UpstreamTimeout(message, **reported)
    if status in (503, 529):  # 529: Anthropic's overloaded_error
        reported["wait"] = retry_after or 0.0
        return UpstreamFailed(message, **reported, status=503, code="overloaded", retry_after=retry_after or 1.0)
    if not 400 <= status < 500:
        return UpstreamFailed(message, **reported)
    # 408, 409 and 425 are about the moment, not about the request: RFC 9110 section 15.5 and RFC 8470 section 5.2.
    temporary = status in (408, 409, 425)
    return UpstreamRejected(
        message, **reported, status=status, code=code, param=param, retryable=temporary, try_next_target=temporary
    )


def blocked(status: int, provider: str) -> UpstreamBlocked:
    """The error for a web page in place of an API's 403."""
    return UpstreamBlocked(
        f"A web firewall in front of {provider} answered with status {status} and a page of its own.",
        upstream_status=status,
    )


def _refusal(status: int, message: str, text: str, reported: dict[str, Any]) -> UpstreamFault:
    """401, 402 or 403; `text` is all that the upstream said of it."""
    if status == 401 or ACCOUNT.search(text):
        return UpstreamCredentials(message, **reported)
    if status == 403 and MODERATION.search(text):
        return UpstreamRejected(message, **reported, status=400, code="content_policy_violation")
    return UpstreamRefused(message, **reported)
