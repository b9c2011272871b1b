"""
Every error that the gateway responds with, named by whose fault it is.

GatewayError
├── ClientFault                   the request is wrong: not retried, and no other target is tried
│   ├── InvalidRequest            400, and 405, 408, 413, 415 by `status`
│   │   └── Untranslatable        400: this target's API cannot express it; another target's may
│   ├── Unauthenticated           401
│   ├── OriginNotAllowed          403
│   ├── ModelNotFound             404
│   ├── MisdirectedRequest        421
│   └── RateLimited               429
├── GatewayFault                  the gateway's fault
│   ├── InternalError             500
│   └── Overloaded, ShuttingDown  503
├── UpstreamFault                 the upstream's fault; `retryable` says whether the same target may be tried again
│   ├── UpstreamRejected          its 400, 404, 409, 413, 422 ...: mirrored
│   ├── UpstreamLimited           429
│   ├── UpstreamCredentials       502: it refused the gateway's key or account (401, some 402 and 403)
│   ├── UpstreamRefused           502: it refused this request (other 402 and 403)
│   │   └── UpstreamBlocked       502: a web firewall in front of it answered
│   ├── UpstreamFailed            502 or 503: it failed, or its response was truncated or invalid
│   ├── NoHealthyUpstream         503: every target failed lately and is in its cool-down
│   └── UpstreamTimeout           504
└── ClientDisconnected            499, nginx's status for it: for the log, since nobody reads the response

The body is the same for all, OpenAI's error object: {"error": {"message", "type", "param", "code"}}.
https://platform.openai.com/docs/guides/error-codes
"""

import copy
import traceback
from pathlib import Path
from typing import Any, Self, TypeVar


class GatewayError(Exception):
    """
    An error response: `status`, the four members of OpenAI's error object, and `retry_after` in seconds.

    `retryable`: the same target may be tried again. `try_next_target`: another target may succeed. `client_may_retry`: the
    client's SDK may send the request again.
    """

    status = 500
    type = "server_error"
    code: str | None = None
    param: str | None = None
    retry_after: float | None = None
    retryable = False
    try_next_target = False
    client_may_retry = True

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        type: str | None = None,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        retryable: bool | None = None,
        try_next_target: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status or self.status
        self.type = type or self.type
        self.code = code or self.code
        self.param = param or self.param
        self.retry_after = retry_after if retry_after is not None else self.retry_after
        self.retryable = self.retryable if retryable is None else retryable
        self.try_next_target = self.try_next_target if try_next_target is None else try_next_target

    def without_secret(self, secret: str) -> Self:
        """The same error, with `***` wherever its members quote `secret`; the error itself where none does."""
        members = ("message", "type", "code", "param")
        quoting = [name for name in members if secret in (getattr(self, name) or "")]
        if not quoting:
            return self
        error = copy.copy(self)
        for name in quoting:
            setattr(error, name, getattr(self, name).replace(secret, "***"))
        error.args = (error.message,)
        return error

    def envelope(self) -> dict[str, Any]:
        """The body of the response."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


class ClientFault(GatewayError):
    status = 400
    type = "invalid_request_error"


class InvalidRequest(ClientFault):
    """The request is wrong; `param` is the path of the field, such as `messages[1].role`."""


class Untranslatable(InvalidRequest):
    """The API of this target cannot express a field of the request; `param` is the field's path."""

    code = "unsupported_parameter"
    try_next_target = True


class Unauthenticated(ClientFault):
    status = 401
    code = "invalid_api_key"


class OriginNotAllowed(ClientFault):
    """A web page of another origin called a gateway that needs no key."""

    status = 403
    type = "permission_error"
    code = "origin_not_allowed"


class MisdirectedRequest(ClientFault):
    """The Host is not one that a gateway without keys serves."""

    status = 421
    code = "misdirected_request"


class ModelNotFound(ClientFault):
    status = 404
    code = "model_not_found"
    param = "model"


class RateLimited(ClientFault):
    """A rate limit of the gateway is reached; `type` is `requests` or `tokens`, whichever is used up."""

    status = 429
    type = "requests"
    code = "rate_limit_exceeded"


class GatewayFault(GatewayError):
    pass


class InternalError(GatewayFault):
    code = "internal_error"


class Overloaded(GatewayFault):
    """As many calls are in flight as this process can hold."""

    status = 503
    code = "overloaded"
    retry_after = 1.0


class ShuttingDown(GatewayFault):
    """The process received SIGTERM, and its grace period is over."""

    status = 503
    code = "unavailable"
    retry_after = 1.0


# Values of `upstream_status` without a response: the gateway's own limit for a target, the timeout of the whole call.
OUR_LIMIT, CALL_TIMEOUT = "target_limit", "timeout"


class UpstreamFault(GatewayError):
    """
    `upstream_status` is the status of the upstream's response, or a word (`connection`, `timeout`) where there was none.

    `wait`: seconds until the target may be tried again, where they differ from `retry_after`, which the client receives.
    """

    status = 502
    code: str | None = "upstream_error"
    try_next_target = True

    def __init__(
        self, message: str, *, upstream_status: int | str | None = None, wait: float | None = None, **members: Any
    ) -> None:
        super().__init__(message, **members)
        self.upstream_status = upstream_status or self.status
        self.wait = self.retry_after if wait is None else wait


class UpstreamRejected(UpstreamFault):
    """The upstream refuses the request: mirrored with its status, since every other target would refuse it too."""

    status = 400
    type = "invalid_request_error"
    code = None
    try_next_target = False


class UpstreamLimited(UpstreamFault):
    status = 429
    type = "requests"
    code = "rate_limit_exceeded"
    retryable = True


class UpstreamCredentials(UpstreamFault):
    """The upstream refuses the gateway's own key or account: no request of any client gets through."""

    code = "upstream_credentials"


class UpstreamRefused(UpstreamFault):
    """The upstream refuses this request (402, 403), for a reason that may be the request's or the account's."""

    client_may_retry = False


class UpstreamBlocked(UpstreamRefused):
    """A web firewall in front of the upstream answered with a page of its own."""

    code = "upstream_blocked"


class UpstreamFailed(UpstreamFault):
    retryable = True


class NoHealthyUpstream(UpstreamFault):
    status = 503
    code = "no_healthy_upstream"
    try_next_target = False


class UpstreamTimeout(UpstreamFault):
    status = 504
    code = "upstream_timeout"
    retryable = True


class ClientDisconnected(GatewayError):
    status = 499


def error_location(error: BaseException) -> dict[str, Any]:
    """Where a fault of the gateway occurred, without its message, which may quote a request."""
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "exception": type(error).__name__,
        "location": [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames[-8:]],
    }


Fault = TypeVar("Fault", bound=BaseException)


def without_traceback(error: Fault) -> Fault:
    """The same error without its traceback, whose frames would keep the request in memory, in a reference cycle."""
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error
