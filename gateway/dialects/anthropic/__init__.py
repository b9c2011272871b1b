"""Anthropic's Messages API: the upstream side."""
