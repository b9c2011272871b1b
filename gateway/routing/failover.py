"""What comes after a failed attempt: a decision, without I/O, clock or chance."""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from gateway.catalog.targets import Target
from gateway.errors import (
    ClientDisconnected,
    GatewayError,
    NoHealthyUpstream,
    UpstreamCredentials,
    UpstreamFault,
    UpstreamLimited,
    UpstreamRejected,
)
from gateway.health.target_health import LIMITED, REFUSED, Unavailable

# Seconds: the first backoff, and the longest wait, ours or a Retry-After's, before the same target is tried again.
FIRST_DELAY, MAX_DELAY = 0.25, 4.0
# Vendors have no common code for these two: they are recognized by their messages where the code says nothing.
CONTEXT_TOO_LARGE = re.compile(
    r"context.{0,10}(length|window|limit)|maximum context|prompt is too long|too many (input )?tokens|"
    r"(input|request|prompt).{0,30}(exceeds|longer|too long|too large).{0,60}tokens",
    re.IGNORECASE,
)
CONTENT_REFUSED = re.compile(
    r"content.{0,3}(policy|filter|management)|safety (system|policy)|responsible ai", re.IGNORECASE
)


class Retry(NamedTuple):
    """Try the same target again after `seconds`."""

    seconds: float


class NextTarget(NamedTuple):
    """
    Try another target. `fallback_kind`: first those fallbacks that are for this error alone; None: there are none.
    `retry_later`: the failed target may have another try after the others.
    """

    fallback_kind: str | None
    retry_later: bool


class Fail(NamedTuple):
    """Respond with `error`."""

    error: GatewayError


class FailureState(NamedTuple):
    """
    What is known when an attempt has failed. `tries` and `max_tries` are the target's, the failed one included;
    `retry_allowed`: its retry budget allows another. `backoff` and `time_remaining`, until the call's deadline, are seconds.
    `resume_elsewhere`: content was sent already, and another target is there to resume the answer. `errors` are all of
    the call, this one last; `truncated_by` is the one that the client has to be told of once content was sent.
    """

    tries: int
    max_tries: int
    backoff: float
    time_remaining: float
    errors: Sequence[GatewayError]
    truncated_by: GatewayError | None = None
    unavailable: Sequence[Unavailable] = ()
    retry_allowed: bool = True
    resume_elsewhere: bool = False


def next_action(error: GatewayError, state: FailureState) -> Retry | NextTarget | Fail:
    """What to do after `error` has ended an attempt."""
    if isinstance(error, ClientDisconnected):
        return Fail(error)
    may_try_again = error.retryable and state.tries < state.max_tries
    requested = error.wait if isinstance(error, UpstreamFault) else error.retry_after
    delay = max(state.backoff, requested or 0.0)
    in_time = delay <= MAX_DELAY and delay < state.time_remaining
    if may_try_again and in_time and state.retry_allowed and not state.resume_elsewhere:
        return Retry(delay)
    if state.time_remaining <= 0:
        return Fail(final_error(state.errors, state.truncated_by, state.unavailable))
    return NextTarget(fallback_kind(error), retry_later=may_try_again and state.resume_elsewhere)


def final_error(
    errors: Sequence[GatewayError], truncated_by: GatewayError | None, unavailable: Sequence[Unavailable]
) -> GatewayError:
    """
    The error to respond with when no target is left: the last failure of an upstream, or, if all of them are only
    busy, the one with the least Retry-After. `unavailable` are the targets that were not even tried.
    """
    if truncated_by is not None:
        return truncated_by
    failures = [error for error in errors if isinstance(error, UpstreamFault)]
    other_than_limits = [error for error in failures if not isinstance(error, UpstreamLimited)]
    if other_than_limits or (errors and not failures):
        return (other_than_limits or errors)[-1]
    if failures:
        return min(failures, key=lambda error: math.inf if error.retry_after is None else error.retry_after)
    soonest = min(unavailable, key=lambda target: target.seconds)
    seconds = max(1.0, soonest.seconds)
    reasons = dict.fromkeys(target.reason for target in unavailable)
    # In the gateway's own words: what an upstream said to one caller is never repeated to another.
    if list(reasons) == [LIMITED]:
        message = "Every target of this model is rate limited by its provider, or by the configuration, at the moment."
        return UpstreamLimited(message, retry_after=seconds)
    if list(reasons) == [REFUSED]:
        message = "Every provider of this model refuses the gateway's credential or account at the moment."
        return UpstreamCredentials(message, retry_after=seconds)
    return NoHealthyUpstream(f"No target of this model is available: {', '.join(reasons)}.", retry_after=seconds)


def fallback_kind(error: GatewayError) -> str | None:
    """The kind of fallbacks that are for this error alone."""
    if not isinstance(error, UpstreamRejected):
        return None
    text = f"{error.code or ''} {error.message}"
    if error.code == "content_policy_violation":
        return "content_policy_fallbacks"
    if error.code == "context_length_exceeded" or CONTEXT_TOO_LARGE.search(text):
        return "context_window_fallbacks"
    return "content_policy_fallbacks" if CONTENT_REFUSED.search(text) else None


def may_help(error: GatewayError, failed: Target, other: Target) -> bool:
    """Whether another target could succeed: after a rejected request, only another model could."""
    return error.try_next_target or (isinstance(error, UpstreamRejected) and failed.model != other.model)


def backoff(tries: int, chance: float) -> float:
    """
    Seconds to wait after so many tries: exponential with full jitter; `chance` is from 0 to 1.

    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    return chance * min(MAX_DELAY, FIRST_DELAY * 2.0 ** (tries - 1))
