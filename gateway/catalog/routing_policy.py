"""How the targets of one model name are used: their order, fallbacks, hedging and resumed streams."""

from dataclasses import dataclass

PRIORITY, WEIGHTED, ROUND_ROBIN = "priority", "weighted", "round-robin"
LEAST_BUSY, LOWEST_LATENCY, LOWEST_COST, STICKY = "least-busy", "lowest-latency", "lowest-cost", "sticky"
STRATEGIES = (PRIORITY, WEIGHTED, ROUND_ROBIN, LEAST_BUSY, LOWEST_LATENCY, LOWEST_COST, STICKY)
# LiteLLM's names for the strategies that it has: https://docs.litellm.ai/docs/routing.
LITELLM_STRATEGIES = {
    "simple-shuffle": WEIGHTED,
    "least-busy": LEAST_BUSY,
    "latency-based-routing": LOWEST_LATENCY,
    "cost-based-routing": LOWEST_COST,
}
# A value of `hedge_after`: the 95th percentile of the target's recent latencies.
P95 = "p95"
# Fields of Policy, keys of the YAML file, and LiteLLM's names: https://docs.litellm.ai/docs/proxy/reliability.
FALLBACK_KINDS = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The routing policy of a model name."""

    # The order of the targets. None: weighted if any target has a weight, else by priority.
    strategy: str | None = None
    # Model names that are tried after the model's own targets: after a failure that another model may not have, after a
    # request that was too large for the model, and after one that the provider's content policy refused.
    fallbacks: tuple[str, ...] = ()
    context_window_fallbacks: tuple[str, ...] = ()
    content_policy_fallbacks: tuple[str, ...] = ()
    # Whether a stream that breaks after its first content is continued by the next target.
    continue_on_break: bool = False
    # Seconds, or P95, without content from the first target, after which a second one is called in parallel.
    hedge_after: float | str | None = None


DEFAULT_POLICY = Policy()
