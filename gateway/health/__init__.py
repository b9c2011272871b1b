"""How each target is: its circuit breaker, its cool-down, its latency, and the probes that look whether it is back.

It is told of attempts; it makes none, and decides nothing about the order of targets.
"""
