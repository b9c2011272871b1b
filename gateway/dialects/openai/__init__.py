"""OpenAI's chat completions and their look-alikes: the upstream side, and the client's."""
