"""OpenAI's chat completions and the vendors compatible with them: the upstream side and the client side."""
