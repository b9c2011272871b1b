"""Type names for OpenAI's chat format, the internal one: https://platform.openai.com/docs/api-reference/chat"""

from typing import Any

Json = dict[str, Any]
# A validated chat request, unknown fields included. It is never edited: a change makes a new dict.
Chat = dict[str, Any]
# `object: "chat.completion"`, https://platform.openai.com/docs/api-reference/chat/object
Completion = dict[str, Any]
# `object: "chat.completion.chunk"`, https://platform.openai.com/docs/api-reference/chat-streaming
Chunk = dict[str, Any]
