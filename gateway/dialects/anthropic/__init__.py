"""Anthropic's Messages API: the upstream side.

It knows the contract of dialects and the ground below, and no other dialect. It is pure: no I/O, no clock.
"""
