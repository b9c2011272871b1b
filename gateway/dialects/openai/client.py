"""
OpenAI's chat completions as clients use them: the internal format, so that nothing is translated.

https://platform.openai.com/docs/api-reference/chat-streaming
"""

from collections.abc import Iterable, Iterator

from gateway.dialects.contract import ClientDialect
from gateway.json_codec import dumps
from gateway.openai_types import Chat, Chunk, Completion, Json
from gateway.stream_events import PAUSE, Pause


def chat_request(body: Json) -> Chat:
    return body


def completion_body(completion: Completion) -> Json:
    return completion


def stream_frames(chunks: Iterable[Chunk | Pause]) -> Iterator[bytes | Pause]:
    # Neither `event:` nor `id:`: after an `id:`, OpenAI's Python SDK turns the next comment into an empty event.
    for chunk in chunks:
        yield chunk if chunk is PAUSE else b"data: %b\n\n" % dumps(chunk)
    # "The stream is terminated by a data: [DONE] message."
    yield b"data: [DONE]\n\n"


def error_frame(body: Json) -> bytes:
    # No [DONE] follows, and no finish_reason is made up: OpenAI's SDKs raise APIError for a frame with `error` in it.
    return b"data: %b\n\n" % dumps(body)


CLIENT_DIALECT = ClientDialect(
    chat_request=chat_request,
    completion_body=completion_body,
    stream_frames=stream_frames,
    error_frame=error_frame,
)
