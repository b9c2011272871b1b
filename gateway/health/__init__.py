"""The health of each target: circuit breaker, cool-down, latency, calls in flight, and the probes of providers.

It records the results of attempts. It makes no attempts, and does not decide the order of targets.
"""
