"""One client's request on its way: what it asks, what became of it, and what has to be closed when it is over."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway.catalog.registry import Route
from gateway.catalog.routing_policy import DEFAULT_POLICY, Policy
from gateway.catalog.vendors import Target
from gateway.dialects.contract import ClientDialect, TargetRequest
from gateway.dialects.openai.client import CLIENT_DIALECT
from gateway.errors import ClientDisconnected, GatewayError, UpstreamFault
from gateway.openai_types import Chat, Json
from gateway.routing.stream_resume import Transcript, resume_request
from gateway.transport.client_watch import ClientWatch

MOST_LISTED = 6000
"""Characters of dropped paths that fit a header; of more, only what they are part of is told."""
MOST_ROOTS = 50
MODEL_SHOWN = 200
"""Characters of a model's name in the log."""
COUNTS = ("prompt_tokens", "completion_tokens")
SHORTEST_KEY = 8
"""Characters below which a key is a placeholder, and masking it would only maul words."""


class AttemptRecord(NamedTuple):
    """An attempt: what it came to (a status, or a word where there was none), and after how many seconds that was known."""

    provider: str
    model: str
    status: str
    seconds: float


@dataclass(slots=True, kw_only=True)
class Call:
    """
    `created` in unix seconds, `deadline` and `first_content` by `time.monotonic()`. `session` is what a sticky strategy
    sticks to; `more(kind)`: where the policy's fallbacks of a kind lead. `outcome` stays "client_disconnected" unless the
    end is reached.
    """

    id: str
    chat: Chat
    targets: tuple[Target, ...]
    created: int
    client: ClientDialect = CLIENT_DIALECT
    policy: Policy = DEFAULT_POLICY
    session: str = ""
    fallback_routes: Callable[[str], Mapping[str, Route]] = lambda _: {}
    watch: ClientWatch = field(default_factory=ClientWatch)
    strict: bool = False
    deadline: float = math.inf

    served_by: Target | None = None
    model: str | None = None
    attempts: list[AttemptRecord] = field(default_factory=list)
    attempt_started: float = 0.0
    dropped: tuple[str, ...] = ()
    usage: Mapping[str, Any] | None = None
    first_content: float | None = None
    transcript: Transcript | None = None
    hedge_winner: "Call | None" = None
    """The one of two attempts at once that won: it has the watch of the answer."""
    cancelled_targets: list[Target] = field(default_factory=list)
    outcome: str = "client_disconnected"
    error: GatewayError | None = None
    fault: Mapping[str, Any] | None = None
    closers: list[Callable[[], None]] = field(default_factory=list)
    """What is called when the response is closed, the last one first."""

    def request_for(self, target: Target) -> TargetRequest:
        """The same request, of one target; what was answered already is to be carried on."""
        said = self.transcript.text if self.transcript else ""
        chat = resume_request(self.chat, said, target) if said else self.chat
        return TargetRequest(chat, target.model, target.provider.vendor, f"chatcmpl-{self.id}", self.created)

    def failed(self, target: Target, error: GatewayError) -> None:
        """Write a failed attempt into the trail, such as `anthropic:529`; our key must not be in any message."""
        if isinstance(error, UpstreamFault):
            self._tried(target, str(error.upstream_status))
        key = target.provider.key or ""
        if len(key) >= SHORTEST_KEY:
            for name in ("message", "type", "code", "param"):
                said = getattr(error, name)
                if said and key in said:
                    setattr(error, name, said.replace(key, "***"))
            error.args = (error.message,)

    def record_first_content(self, target: Target, answer: Json) -> None:
        """The first content, or the whole answer, is there."""
        self._tried(target, "200")
        self.served_by, self.model, self.first_content = target, answer.get("model"), time.monotonic()

    def record_cancelled(self, target: Target) -> None:
        """Another target answered first."""
        self.cancelled_targets.append(target)
        self._tried(target, "cancelled")

    def _tried(self, target: Target, status: str) -> None:
        self.attempts.append(
            AttemptRecord(target.provider.name, target.model, status, time.monotonic() - self.attempt_started)
        )

    def close(self) -> None:
        """The response is out, or nobody wants it."""
        try:
            while self.closers:
                self.closers.pop()()
        finally:
            if self.closers:  # one of them failed: the others are called all the same
                self.close()

    def tokens(self) -> int:
        """All that were used, as far as is known."""
        total = (self.usage or {}).get("total_tokens")
        return total if isinstance(total, int) else 0

    def finish(self, error: GatewayError | None = None) -> None:
        """The end is reached, with an answer or with an error; a client that left has not reached it."""
        if isinstance(error, ClientDisconnected):
            return
        self.outcome, self.error = ("failed", error) if error else ("completed", None)

    def trail(self) -> dict[str, str]:
        """What the gateway did, by header name without its `x-gateway-`."""
        told = {"attempts": ",".join(f"{tried.provider}:{tried.status}" for tried in self.attempts)}
        if self.served_by:
            told |= {"provider": self.served_by.provider.name, "model": self.served_by.model}
        if self.dropped:
            told["dropped-params"] = ", ".join(header_list(self.dropped))
        return told

    def log_fields(self, began: float) -> dict[str, Any]:
        """What the request's log line says of it; `began` is when the request came, by `time.monotonic()`."""
        used = self.usage or {}
        target = self.served_by
        fields = {
            "model": self.chat["model"][:MODEL_SHOWN],
            "served": str(self.model)[:MODEL_SHOWN] if self.model else None,
            "provider": target.provider.name if target else None,
            "attempts": [
                {
                    "target": f"{tried.provider}/{tried.model}"[:MODEL_SHOWN],
                    "status": tried.status,
                    "ms": round(1000 * tried.seconds, 1),
                }
                for tried in self.attempts
            ]
            or None,
            "stream": bool(self.chat.get("stream")),
            "outcome": self.outcome,
            **{name: used[name] for name in COUNTS if isinstance(used.get(name), int)},
            "first_content_seconds": round(self.first_content - began, 6) if self.first_content else None,
        }
        if self.outcome == "client_disconnected":
            fields["status"] = 499
        return {**fields, **(self.fault or {})}


def header_list(paths: tuple[str, ...]) -> list[str]:
    """Dropped paths for a list that is separated by commas."""
    told = [path.replace(",", "%2C") for path in paths]
    if sum(map(len, told)) <= MOST_LISTED:
        return told
    roots = list(dict.fromkeys(path.partition(".")[0].partition("[")[0][:100] for path in told))
    return roots if len(roots) <= MOST_ROOTS else [*roots[:MOST_ROOTS], f"and {len(roots) - MOST_ROOTS} more fields"]
