"""What is asked of the targets of one model name, beside which they are."""

from dataclasses import dataclass

PRIORITY, WEIGHTED, ROUND_ROBIN = "priority", "weighted", "round-robin"
LEAST_BUSY, LOWEST_LATENCY, LOWEST_COST, STICKY = "least-busy", "lowest-latency", "lowest-cost", "sticky"
STRATEGIES = (PRIORITY, WEIGHTED, ROUND_ROBIN, LEAST_BUSY, LOWEST_LATENCY, LOWEST_COST, STICKY)
LITELLM_STRATEGIES = {
    "simple-shuffle": WEIGHTED,
    "least-busy": LEAST_BUSY,
    "latency-based-routing": LOWEST_LATENCY,
    "cost-based-routing": LOWEST_COST,
}
"""LiteLLM's names for those that it has."""


P95 = "p95"
FALLBACK_KINDS = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """
    `strategy` orders the targets; None: by their weights where any is given, else by priority, as they are listed.

    The fallbacks are model names, asked when the model's own targets are through: after any failure that another
    target could cure, after a request too large for the model, after one that offended its content policy.
    `continue_on_break`: a stream that broke off after content goes on with the next target. `hedge_after`: seconds, or
    P95 of what the first target usually takes, after which a second one is asked beside it.
    """

    strategy: str | None = None
    fallbacks: tuple[str, ...] = ()
    context_window_fallbacks: tuple[str, ...] = ()
    content_policy_fallbacks: tuple[str, ...] = ()
    continue_on_break: bool = False
    hedge_after: float | str | None = None


DEFAULT_POLICY = Policy()
