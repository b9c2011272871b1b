"""A client's request, what became of it, and what has to be closed when it is over."""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway.catalog.registry import Route
from gateway.catalog.routing_policy import DEFAULT_POLICY, Policy
from gateway.catalog.targets import Target, Targets
from gateway.dialects.contract import ClientDialect, TargetRequest
from gateway.dialects.openai.client import CLIENT_DIALECT
from gateway.errors import ClientDisconnected, GatewayError
from gateway.health.refusals import Caller
from gateway.json_codec import dumps
from gateway.openai_types import Chat
from gateway.routing.stream_resume import Transcript, resume_request
from gateway.transport.client_watch import ClientWatch

# Characters of dropped paths that a header holds; of more, only the top-level fields are listed, and at most so many.
MAX_PATHS_LENGTH, MAX_FIELDS = 6000, 50
# Characters of a model's name in the log.
MAX_MODEL_LENGTH = 200
# Beyond it a count of tokens is nonsense, and a store of limits may not hold it.
MAX_TOKENS = 2**53
TOKEN_COUNTS = ("prompt_tokens", "completion_tokens")


class AttemptRecord(NamedTuple):
    """An attempt that has ended: its status, or a word where the upstream sent none, and the seconds until that was known."""

    provider: str
    model: str
    status: str
    seconds: float


@dataclass(slots=True, kw_only=True)
class Call:
    """
    The client's request, and its outcome.

    `caller_id` tells callers apart: a key's id, or an address. `created` is in unix seconds, `deadline` and `first_content` by `time.monotonic()`. `session` is what a sticky strategy
    keeps to one target; `fallback_routes(kind)`: where the policy's fallbacks of a kind lead.
    """

    # The request: written when it is made; `deadline` is shortened once, by the router.
    id: str
    chat: Chat
    targets: Targets
    created: int
    client: ClientDialect = CLIENT_DIALECT
    policy: Policy = DEFAULT_POLICY
    session: str = ""
    caller_id: str = ""
    fallback_routes: Callable[[str], Mapping[str, Route]] = lambda _: {}
    watch: ClientWatch = field(default_factory=ClientWatch)
    strict: bool = False
    deadline: float = math.inf

    # What the attempts came to: written by UpstreamAttempt.
    attempts: list[AttemptRecord] = field(default_factory=list)
    cancelled_targets: list[Target] = field(default_factory=list)
    dropped: tuple[str, ...] = ()
    served_by: Target | None = None
    served_model: str | None = None
    first_content: float | None = None

    # What the client has of a stream that may be resumed elsewhere: written by the router.
    transcript: Transcript | None = None

    # The outcome: written by completions/. It stays "client_disconnected" unless the end is reached.
    usage: Mapping[str, Any] | None = None
    outcome: str = "client_disconnected"
    error: GatewayError | None = None
    fault: Mapping[str, Any] | None = None

    # Called when the response is closed, the last one first.
    closers: list[Callable[[], None]] = field(default_factory=list)

    def request_for(self, target: Target) -> TargetRequest:
        """The request as one target gets it: where content was sent already, it asks to resume the answer."""
        text = self.transcript.text if self.transcript else ""
        chat = resume_request(self.chat, text, target) if text else self.chat
        return TargetRequest(chat, target.model, target.provider.vendor, f"chatcmpl-{self.id}", self.created)

    def caller(self) -> Caller:
        """Who makes the call, and what with."""
        return Caller(self.caller_id, hashlib.blake2b(dumps(self.chat), digest_size=16).digest())

    def record_attempt(self, target: Target, status: str, seconds: float) -> None:
        """Add an attempt to the trail, such as `anthropic:529`."""
        self.attempts.append(AttemptRecord(target.provider.name, target.model, status, seconds))

    def close(self) -> None:
        """The response is sent, or the client has left."""
        try:
            while self.closers:
                self.closers.pop()()
        finally:
            if self.closers:  # one of them failed: the others are called all the same
                self.close()

    def tokens(self) -> int:
        """The tokens used in total, as far as is known."""
        total = (self.usage or {}).get("total_tokens")
        return total if isinstance(total, int) and 0 <= total < MAX_TOKENS else 0

    def finish(self, error: GatewayError | None = None) -> None:
        """The end is reached, with a response or with an error; where the client left, it is not."""
        if not isinstance(error, ClientDisconnected):
            self.outcome, self.error = ("failed", error) if error else ("completed", None)

    def trail(self) -> dict[str, str]:
        """What the gateway did, by header name without its `x-gateway-`."""
        trail = {"attempts": ",".join(f"{attempt.provider}:{attempt.status}" for attempt in self.attempts)}
        if self.served_by:
            trail |= {"provider": self.served_by.provider.name, "model": self.served_by.model}
        if self.dropped:
            trail["dropped-params"] = ", ".join(header_list(self.dropped))
        return trail

    def log_fields(self, began: float) -> dict[str, Any]:
        """The call's part of the log line; `began` is when the request came, by `time.monotonic()`."""
        usage, target = self.usage or {}, self.served_by
        fields = {
            "model": self.chat["model"][:MAX_MODEL_LENGTH],
            "served": str(self.served_model)[:MAX_MODEL_LENGTH] if self.served_model else None,
            "provider": target.provider.name if target else None,
            "attempts": [
                {
                    "target": f"{attempt.provider}/{attempt.model}"[:MAX_MODEL_LENGTH],
                    "status": attempt.status,
                    "ms": round(1000 * attempt.seconds, 1),
                }
                for attempt in self.attempts
            ]
            or None,
            "stream": bool(self.chat.get("stream")),
            "outcome": self.outcome,
            **{name: usage[name] for name in TOKEN_COUNTS if isinstance(usage.get(name), int)},
            "first_content_seconds": round(self.first_content - began, 6) if self.first_content else None,
        }
        if self.outcome == "client_disconnected":
            fields["status"] = 499  # nginx's status for it: no response was sent to its end
        return {**fields, **(self.fault or {})}


def header_list(paths: tuple[str, ...]) -> list[str]:
    """Dropped paths for a header in which commas separate them."""
    escaped = [path.replace(",", "%2C") for path in paths]
    if sum(map(len, escaped)) <= MAX_PATHS_LENGTH:
        return escaped
    fields = list(dict.fromkeys(path.partition(".")[0].partition("[")[0][:100] for path in escaped))
    return (
        fields if len(fields) <= MAX_FIELDS else [*fields[:MAX_FIELDS], f"and {len(fields) - MAX_FIELDS} more fields"]
    )
