"""OpenAI's chat completions and the vendors compatible with them: the upstream side and the client side.

It knows the contract of dialects and the ground below, and no other dialect. It is pure: no I/O, no clock.
"""
