"""The official SDK in front of what providers really said."""

import asyncio
import json

import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel, ConfigDict

from tests.support.recordings import MESSAGES, ODD, SEVERAL, ask, called, log_of, thought, told

TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]


class Anything(BaseModel):
    model_config = ConfigDict(extra="allow")


def test_plain_answers_say_what_was_recorded(to_replayed, provider, pick, recordings):
    names = pick(provider, "nonstream", "finish:stop", but=ODD)
    for name in names[:SEVERAL]:
        answer = ask(to_replayed, f"{provider}/{name}")
        assert answer.choices[0].message.content == told(recordings[name])
        assert answer.choices[0].finish_reason == "stop"
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


def test_streams_say_what_was_recorded(to_replayed, provider, streamed_text, recordings):
    with ask(to_replayed, f"{provider}/{streamed_text}", stream=True) as chunks:
        heard = list(chunks)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in heard) == told(recordings[streamed_text])
    assert [chunk.choices[0].finish_reason for chunk in heard if chunk.choices[0].finish_reason] == ["stop"]
    assert all(chunk.usage is None for chunk in heard)
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in heard}) == 1


def test_the_async_client_hears_the_same(replayed, provider, streamed_text, plain_text, recordings):
    async def talk():
        async with AsyncOpenAI(base_url=f"{replayed.url}/v1", api_key="unneeded", max_retries=0) as client:
            plain, chunks = await asyncio.gather(
                ask(client, f"{provider}/{plain_text}"), ask(client, f"{provider}/{streamed_text}", stream=True)
            )
            return plain, [chunk async for chunk in chunks]

    plain, heard = asyncio.run(talk())
    assert plain.choices[0].message.content == told(recordings[plain_text])
    assert "".join(chunk.choices[0].delta.content or "" for chunk in heard) == told(recordings[streamed_text])


def test_a_stream_has_its_usage_in_the_last_chunk_when_asked(to_replayed, provider, pick):
    for name in pick(provider, "stream", "usage-in-stream", "finish:stop")[:SEVERAL]:
        with ask(to_replayed, f"{provider}/{name}", stream=True, stream_options={"include_usage": True}) as chunks:
            *others, last = chunks
        assert last.choices == []
        assert last.usage.total_tokens == last.usage.prompt_tokens + last.usage.completion_tokens > 0
        assert all(chunk.usage is None and chunk.choices for chunk in others), name


def test_anthropic_prompt_tokens_include_those_that_were_cached(to_replayed, pick, recordings):
    name = pick("anthropic", "nonstream", "cache-hit", "finish:stop")[0]
    recorded = json.loads(recordings[name]["response"]["body"])["usage"]
    used = ask(to_replayed, f"anthropic/{name}").usage
    names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    assert used.prompt_tokens == sum(recorded.get(name) or 0 for name in names)
    assert used.prompt_tokens_details.cached_tokens == recorded["cache_read_input_tokens"] > 0


def test_tools_are_called_as_recorded(to_replayed, provider, pick, recordings):
    for name in pick(provider, "nonstream", "tool-call", "finish:tool", but=ODD)[:SEVERAL]:
        choice = ask(to_replayed, f"{provider}/{name}", tools=TOOLS).choices[0]
        assert choice.finish_reason == "tool_calls"
        assert [call.function.name for call in choice.message.tool_calls] == called(recordings[name])
        assert all(isinstance(json.loads(call.function.arguments), dict) for call in choice.message.tool_calls)


@pytest.mark.parametrize("kind", ["stream", "nonstream"])
def test_parallel_tools_are_told_apart(to_replayed, provider, pick, recordings, kind):
    names = pick(provider, kind, "parallel-tools", "tool-call")
    if kind == "nonstream":
        names = [name for name in names if len(called(recordings[name])) > 1]
    asked = {"model": f"{provider}/{names[0]}", "messages": MESSAGES, "tools": TOOLS}
    if kind == "stream":
        with to_replayed.chat.completions.stream(**asked) as heard:
            answer = heard.get_final_completion()
    else:
        answer = to_replayed.chat.completions.create(**asked)
    calls = answer.choices[0].message.tool_calls
    assert len(calls) > 1
    assert len({call.id for call in calls}) == len(calls)
    assert all(isinstance(json.loads(call.function.arguments), dict) for call in calls)


@pytest.mark.parametrize("kind", ["stream", "nonstream"])
def test_parse_reads_a_recorded_json_schema(to_replayed, provider, pick, recordings, kind):
    names = pick(provider, kind, "json-schema", "finish:stop", but=ODD)
    name = next(name for name in names if (told(recordings[name]) or "").startswith("{"))
    asked = {"model": f"{provider}/{name}", "messages": MESSAGES, "response_format": Anything}
    if kind == "stream":
        with to_replayed.chat.completions.stream(**asked) as heard:
            answer = heard.get_final_completion()
    else:
        answer = to_replayed.chat.completions.parse(**asked)
    assert answer.choices[0].message.parsed.model_dump() == json.loads(told(recordings[name]))


def test_images_reach_the_vendor_in_its_own_words(to_replayed, replay, provider, pick, recordings):
    name = pick(provider, "vision", "nonstream", "finish:stop")[0]
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{pixel}"}}
    model = f"{name}+for={id(image)}"
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, image]}]
    answer = ask(to_replayed, f"{provider}/{model}", messages=messages)
    assert answer.choices[0].message.content == told(recordings[name])
    (arrived,) = log_of(replay, model)
    part = arrived["body"]["messages"][0]["content"][1]
    source = {"type": "base64", "media_type": "image/png", "data": pixel}
    assert part == (image if provider == "openai" else {"type": "image", "source": source})


@pytest.mark.parametrize("kind", ["stream", "nonstream"])
@pytest.mark.parametrize("vendor", ["anthropic", "deepseek", "openrouter", "groq"])
def test_reasoning_comes_as_reasoning_content(to_replayed, pick, recordings, vendor, kind):
    names = pick(vendor, "thinking/reasoning", kind, but=(*ODD, "redacted-thinking"))
    answered = [name for name in names if recordings[name]["response"]["status"] == 200]
    thoughtful = [name for name in answered if thought(recordings[name])]
    assert thoughtful
    for name in thoughtful[:SEVERAL]:
        if kind == "stream":
            with ask(to_replayed, f"{vendor}/{name}", stream=True) as chunks:
                deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
        else:
            deltas = [ask(to_replayed, f"{vendor}/{name}").choices[0].message]
        said = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
        assert said == thought(recordings[name]), name
        assert not any(getattr(delta, "reasoning", None) for delta in deltas)
