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
    r"insufficient.{0,12}(balance|credits?|funds|quota)|balance.{0,12}insufficient|credit balance|"
    r"(exceeded|used up|used all|out of).{0,20}(quota|credits?)|billing.{0,3}(error|hard|limit|not active)|"
    r"(incorrect|invalid).api.key|(account|key|organi[sz]ation|project)[^.]{0,80}"
    r"(suspended|deactivated|disabled|revoked|expired|not active|terminated)",
    re.IGNORECASE,
)
# The account is out of credit, which no waiting changes. OpenAI has it as type and as code; the second is Moonshot's type.
QUOTA_USED_UP = {"insufficient_quota", "exceeded_current_quota_error"}
# An error that quotes the prompt says with it what the client likes.
QUOTATION = re.compile(r"""(?<!\w)(?:'[^']*'|"[^"]*"|`[^`]*`)(?!\w)|“[^”]*”""")
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
        return _refusal(status, message, f"{type} {code or ''} {QUOTATION.sub('', message)}", reported)
    if status == 429:
        used_up = not QUOTA_USED_UP.isdisjoint((type, code))
        kind = "insufficient_quota" if used_up else "tokens" if type == "tokens" else None
        return UpstreamLimited(
            message, **reported, retry_after=retry_after, type=kind, code=code, retryable=not used_up
        )
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
    """The error for a web page in place of an API's refusal."""
    return UpstreamBlocked(
        f"A web firewall in front of {provider} answered with status {status} and a page of its own.",
        upstream_status=status,
    )


def _refusal(status: int, message: str, text: str, reported: dict[str, Any]) -> UpstreamFault:
    """401, 402 or 403; `text` is all that the upstream said of it itself."""
    account, moderation = ACCOUNT.search(text), MODERATION.search(text) if status == 403 else None
    if status == 401 or (account and not moderation):
        return UpstreamCredentials(message, **reported)
    if moderation and not (account and account.start() < moderation.start()):
        return UpstreamRejected(message, **reported, status=400, code="content_policy_violation")
    # Neither, or both: what follows a moderation's words may be the prompt, but "your account was flagged and is disabled"
    # may be true, which the refusals of other callers tell.
    return UpstreamRefused(message, **reported)
