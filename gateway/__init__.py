"""Pointsman: an OpenAI-compatible gateway in front of every LLM provider."""

VERSION = "0.1.0"
