"""OpenAI's chat format, the gateway's internal one, by the names of its shapes. https://platform.openai.com/docs/api-reference/chat"""

from typing import Any

Json = dict[str, Any]
Chat = dict[str, Any]
"""A validated chat request, unknown fields included. Never edited: build a new value."""
Completion = dict[str, Any]
"""A chat completion (`object: "chat.completion"`)."""
Chunk = dict[str, Any]
"""A chat completion chunk (`object: "chat.completion.chunk"`)."""
