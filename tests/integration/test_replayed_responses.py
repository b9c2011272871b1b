"""The official SDK in front of recorded responses of providers."""

import asyncio
import json

import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel, ConfigDict

from tests.support.recordings import (
    MESSAGES,
    SAMPLE_SIZE,
    SPECIAL_TAGS,
    create_completion,
    recorded_reasoning,
    recorded_text,
    recorded_tool_names,
    replayed_calls,
)

TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]


class AnyObject(BaseModel):
    model_config = ConfigDict(extra="allow")


def test_a_plain_response_has_the_recorded_text(replayed_client, provider, recording_ids, recordings):
    names = recording_ids(provider, "nonstream", "finish:stop", excluding=SPECIAL_TAGS)
    for name in names[:SAMPLE_SIZE]:
        response = create_completion(replayed_client, f"{provider}/{name}")
        assert response.choices[0].message.content == recorded_text(recordings[name])
        assert response.choices[0].finish_reason == "stop"
        assert response.usage.total_tokens == response.usage.prompt_tokens + response.usage.completion_tokens > 0


def test_a_stream_has_the_recorded_text(replayed_client, provider, streamed_recording_id, recordings):
    with create_completion(replayed_client, f"{provider}/{streamed_recording_id}", stream=True) as chunks:
        received = list(chunks)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in received) == recorded_text(
        recordings[streamed_recording_id]
    )
    assert [chunk.choices[0].finish_reason for chunk in received if chunk.choices[0].finish_reason] == ["stop"]
    assert all(chunk.usage is None for chunk in received)
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in received}) == 1


def test_the_async_client_receives_the_recorded_text(
    replayed_gateway, provider, streamed_recording_id, plain_recording_id, recordings
):
    async def call():
        async with AsyncOpenAI(base_url=f"{replayed_gateway.url}/v1", api_key="unneeded", max_retries=0) as client:
            plain, chunks = await asyncio.gather(
                create_completion(client, f"{provider}/{plain_recording_id}"),
                create_completion(client, f"{provider}/{streamed_recording_id}", stream=True),
            )
            return plain, [chunk async for chunk in chunks]

    plain, received = asyncio.run(call())
    assert plain.choices[0].message.content == recorded_text(recordings[plain_recording_id])
    assert "".join(chunk.choices[0].delta.content or "" for chunk in received) == recorded_text(
        recordings[streamed_recording_id]
    )


def test_a_stream_has_its_usage_in_the_last_chunk_if_the_client_requests_it(replayed_client, provider, recording_ids):
    for name in recording_ids(provider, "stream", "usage-in-stream", "finish:stop")[:SAMPLE_SIZE]:
        with create_completion(
            replayed_client, f"{provider}/{name}", stream=True, stream_options={"include_usage": True}
        ) as chunks:
            *others, last = chunks
        assert last.choices == []
        assert last.usage.total_tokens == last.usage.prompt_tokens + last.usage.completion_tokens > 0
        assert all(chunk.usage is None and chunk.choices for chunk in others), name


def test_anthropic_prompt_tokens_include_cached_tokens(replayed_client, recording_ids, recordings):
    name = recording_ids("anthropic", "nonstream", "cache-hit", "finish:stop")[0]
    recorded_usage = json.loads(recordings[name]["response"]["body"])["usage"]
    usage = create_completion(replayed_client, f"anthropic/{name}").usage
    names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    assert usage.prompt_tokens == sum(recorded_usage.get(name) or 0 for name in names)
    assert usage.prompt_tokens_details.cached_tokens == recorded_usage["cache_read_input_tokens"] > 0


def test_a_response_calls_the_recorded_tools(replayed_client, provider, recording_ids, recordings):
    for name in recording_ids(provider, "nonstream", "tool-call", "finish:tool", excluding=SPECIAL_TAGS)[:SAMPLE_SIZE]:
        choice = create_completion(replayed_client, f"{provider}/{name}", tools=TOOLS).choices[0]
        assert choice.finish_reason == "tool_calls"
        assert [call.function.name for call in choice.message.tool_calls] == recorded_tool_names(recordings[name])
        assert all(isinstance(json.loads(call.function.arguments), dict) for call in choice.message.tool_calls)


@pytest.mark.parametrize("kind", ["stream", "nonstream"])
def test_parallel_tool_calls_have_different_ids(replayed_client, provider, recording_ids, recordings, kind):
    names = recording_ids(provider, kind, "parallel-tools", "tool-call")
    if kind == "nonstream":
        names = [name for name in names if len(recorded_tool_names(recordings[name])) > 1]
    request = {"model": f"{provider}/{names[0]}", "messages": MESSAGES, "tools": TOOLS}
    if kind == "stream":
        with replayed_client.chat.completions.stream(**request) as events:
            response = events.get_final_completion()
    else:
        response = replayed_client.chat.completions.create(**request)
    calls = response.choices[0].message.tool_calls
    assert len(calls) > 1
    assert len({call.id for call in calls}) == len(calls)
    assert all(isinstance(json.loads(call.function.arguments), dict) for call in calls)


@pytest.mark.parametrize("kind", ["stream", "nonstream"])
def test_the_sdk_parses_a_recorded_json_schema_response(replayed_client, provider, recording_ids, recordings, kind):
    names = recording_ids(provider, kind, "json-schema", "finish:stop", excluding=SPECIAL_TAGS)
    name = next(name for name in names if (recorded_text(recordings[name]) or "").startswith("{"))
    request = {"model": f"{provider}/{name}", "messages": MESSAGES, "response_format": AnyObject}
    if kind == "stream":
        with replayed_client.chat.completions.stream(**request) as events:
            response = events.get_final_completion()
    else:
        response = replayed_client.chat.completions.parse(**request)
    assert response.choices[0].message.parsed.model_dump() == json.loads(recorded_text(recordings[name]))


def test_an_image_reaches_the_vendor_in_its_dialect(
    replayed_client, replay_server, provider, recording_ids, recordings
):
    name = recording_ids(provider, "vision", "nonstream", "finish:stop")[0]
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{pixel}"}}
    model = f"{name}+for={id(image)}"
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, image]}]
    response = create_completion(replayed_client, f"{provider}/{model}", messages=messages)
    assert response.choices[0].message.content == recorded_text(recordings[name])
    (call,) = replayed_calls(replay_server, model)
    part = call["body"]["messages"][0]["content"][1]
    source = {"type": "base64", "media_type": "image/png", "data": pixel}
    assert part == (image if provider == "openai" else {"type": "image", "source": source})


@pytest.mark.parametrize("kind", ["stream", "nonstream"])
@pytest.mark.parametrize("vendor", ["anthropic", "deepseek", "openrouter", "groq"])
def test_reasoning_is_in_reasoning_content(replayed_client, recording_ids, recordings, vendor, kind):
    names = recording_ids(vendor, "thinking/reasoning", kind, excluding=(*SPECIAL_TAGS, "redacted-thinking"))
    succeeded = [name for name in names if recordings[name]["response"]["status"] == 200]
    with_reasoning = [name for name in succeeded if recorded_reasoning(recordings[name])]
    assert with_reasoning
    for name in with_reasoning[:SAMPLE_SIZE]:
        if kind == "stream":
            with create_completion(replayed_client, f"{vendor}/{name}", stream=True) as chunks:
                deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
        else:
            deltas = [create_completion(replayed_client, f"{vendor}/{name}").choices[0].message]
        reasoning = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
        assert reasoning == recorded_reasoning(recordings[name]), name
        assert not any(getattr(delta, "reasoning", None) for delta in deltas)
