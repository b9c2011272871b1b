"""The official SDK in front of what providers really said."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import openai
import pytest
import requests
from openai import AsyncOpenAI
from pydantic import BaseModel, ConfigDict

from tests.integration.wire import chat, error, opened, post, stream
from tests.servers import eventually

PROVIDERS = ("openai", "anthropic")
SEVERAL = 4
MESSAGES = [{"role": "user", "content": "hello"}]
ODD = ("suspect-handmade", "no-request", "server-tools", "refusal", "error-in-stream", "n>1", "legacy-functions")
"""Tags of recordings that no plain test is about."""
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]


class Anything(BaseModel):
    model_config = ConfigDict(extra="allow")


def events(recording):
    """The data of a recorded stream."""
    lines = recording["response"]["body"].splitlines()
    data = [line.removeprefix("data:").strip() for line in lines if line.startswith("data:")]
    return [json.loads(one) for one in data if one != "[DONE]"]


def told(recording):
    """The text of a recorded answer."""
    openai_like, streamed = recording["provider"] != "anthropic", "stream" in recording["tags"]
    if streamed and openai_like:
        choices = [choice for event in events(recording) for choice in event.get("choices") or ()]
        return "".join(choice["delta"].get("content") or "" for choice in choices if choice["index"] == 0)
    if streamed:
        return "".join(event["delta"].get("text", "") for event in events(recording) if "delta" in event)
    body = json.loads(recording["response"]["body"])
    if openai_like:
        return body["choices"][0]["message"]["content"]
    return "".join(block["text"] for block in body["content"] if block["type"] == "text")


def thought(recording):
    """The reasoning of a recorded answer, as text."""
    streamed = "stream" in recording["tags"]
    if recording["provider"] == "anthropic":
        blocks = (
            [event.get("delta", {}) for event in events(recording)]
            if streamed
            else json.loads(recording["response"]["body"])["content"]
        )
        return "".join(block.get("thinking", "") for block in blocks)
    choices = (
        [choice for event in events(recording) for choice in event.get("choices") or ()]
        if streamed
        else json.loads(recording["response"]["body"])["choices"]
    )
    parts = [choice.get("delta") or choice.get("message") or {} for choice in choices]
    return "".join(part.get("reasoning_content") or part.get("reasoning") or "" for part in parts)


def called(recording):
    """The names of the tools that a recorded whole answer calls."""
    body = json.loads(recording["response"]["body"])
    if recording["provider"] == "anthropic":
        return [block["name"] for block in body["content"] if block["type"] == "tool_use"]
    return [call["function"]["name"] for call in body["choices"][0]["message"]["tool_calls"]]


def ask(client, model, **more):
    return client.chat.completions.create(model=model, messages=more.pop("messages", MESSAGES), **more)


@pytest.fixture(params=PROVIDERS)
def provider(request):
    return request.param


@pytest.fixture
def plain_text(provider, pick):
    return pick(provider, "nonstream", "finish:stop", but=ODD)[0]


@pytest.fixture
def streamed_text(provider, pick, recordings):
    """A recorded stream with a text of some length."""
    names = pick(provider, "stream", "finish:stop", but=(*ODD, "finish:tool"))
    return next(name for name in names if len(told(recordings[name])) > 100)


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


def test_an_error_within_a_stream_before_its_content_is_a_status(replayed, pick):
    name = pick("anthropic", "error-in-stream", but=("usage-in-stream",))[0]
    said = error(post(replayed, chat(f"anthropic/{name}", stream=True)), 503)
    assert said["code"] == "overloaded"
    assert "Overloaded" in said["message"]


MIRRORED = {"error-400": openai.BadRequestError, "error-404": openai.NotFoundError}


@pytest.fixture(scope="session")
def refusals(pick, recordings):
    return {
        (provider, tag): [(name, recordings[name]) for name in pick(provider, tag)[:SEVERAL]]
        for provider in PROVIDERS
        for tag in MIRRORED
    }


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("tag", MIRRORED)
def test_a_refusal_is_mirrored_with_the_words_of_the_vendor(to_replayed, refusals, provider, tag, streams):
    for name, recording in refusals[provider, tag]:
        recorded = json.loads(recording["response"]["body"])["error"]
        with pytest.raises(MIRRORED[tag]) as raised:
            ask(to_replayed, f"{provider}/{name}", stream=streams)
        assert recorded["message"] in raised.value.message
        assert all(
            getattr(raised.value, member) == recorded[member] for member in ("param", "code") if member in recorded
        )
        assert raised.value.request_id


@pytest.mark.parametrize("streams", [False, True])
def test_a_refusal_of_our_key_is_ours_to_mend(to_replayed, provider, pick, streams):
    for name in pick(provider, "error-401")[:SEVERAL]:
        with pytest.raises(openai.InternalServerError) as raised:
            ask(to_replayed, f"{provider}/{name}", stream=streams)
        assert (raised.value.status_code, raised.value.code) == (502, "upstream_credentials")


@pytest.mark.parametrize("streams", [False, True])
def test_a_limit_is_mirrored_with_the_time_to_wait(replayed, provider, pick, recordings, streams):
    waits = {
        name: (recordings[name]["response"]["headers"] or {}).get("retry-after") for name in pick(provider, "error-429")
    }
    name, wait = next((name, wait) for name, wait in waits.items() if wait and float(wait) > 5)
    answer = post(replayed, chat(f"{provider}/{name}", stream=streams))
    said = error(answer, 429)
    assert said["code"] == "rate_limit_exceeded"
    assert answer.headers["retry-after"] == str(wait)
    assert answer.headers["retry-after-ms"] == f"{wait}000"
    assert answer.headers["x-gateway-attempts"] == f"{provider}:429"


FAILURES = {
    "status=500": (502, "upstream_error"),
    "status=502": (502, "upstream_error"),
    "status=503": (503, "overloaded"),
    "status=529": (503, "overloaded"),
    "status=504": (504, "upstream_timeout"),
    "status=403": (502, "upstream_credentials"),
    "status=402": (502, "upstream_credentials"),
    "status=422": (422, None),
    "status=413": (413, None),
    "refuse": (502, "upstream_error"),
}
CURED = ("flaky=1:500", "flaky=1:503", "flaky=1:529")
"""Faults after which the second call is answered."""


@pytest.fixture(scope="module")
def failures(replayed, pick):
    """The answer to each fault, plain and streamed; asked for at once, since some are tried again after a second."""
    kinds = {False: "nonstream", True: "stream"}
    with ThreadPoolExecutor(16) as pool:
        answers = {
            (provider, fault, streams): pool.submit(
                post,
                replayed,
                chat(
                    f"{provider}/{pick(provider, kind, 'finish:stop', but=(*ODD, 'finish:tool'))[0]}+{fault}+run={replayed.port}",
                    stream=streams,
                ),
            )
            for provider in PROVIDERS
            for fault in (*FAILURES, *CURED)
            for streams, kind in kinds.items()
        }
        return {asked: answer.result() for asked, answer in answers.items()}


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("fault", FAILURES)
def test_each_failure_has_its_status(failures, provider, fault, streams):
    status, code = FAILURES[fault]
    answer = failures[provider, fault, streams]
    said = error(answer, status)
    assert said["code"] == code
    tried = 1 if status in (422, 413) or code == "upstream_credentials" else 2
    assert len(answer.headers["x-gateway-attempts"].split(",")) == tried
    assert ("retry-after" in answer.headers) == (status == 503)


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("fault", CURED)
def test_a_flaky_upstream_is_asked_again(failures, provider, fault, streams):
    answer = failures[provider, fault, streams]
    assert answer.status_code == 200
    assert answer.headers["x-gateway-attempts"] == f"{provider}:{fault[-3:]},{provider}:200"


@pytest.mark.parametrize("at", [0.0, 0.3, 0.6, 0.95])
def test_a_stream_that_is_cut_is_honest_about_it(replayed, provider, streamed_text, recordings, at):
    whole = told(recordings[streamed_text])
    heard = stream(replayed, chat(f"{provider}/{streamed_text}+cut={at}"))
    if heard.status == 200:
        assert heard.error["code"] == "upstream_error"
        assert whole.startswith(heard.text)
        assert not heard.done
        assert not heard.finishes or heard.text == whole
    else:
        assert heard.status == 502
        assert at < 0.5


def test_the_sdk_raises_on_a_cut_stream(to_replayed, provider, streamed_text):
    with (
        ask(to_replayed, f"{provider}/{streamed_text}+cut=0.6", stream=True) as chunks,
        pytest.raises(openai.APIError) as raised,
    ):
        list(chunks)
    assert raised.value.code == "upstream_error"


def test_a_plain_answer_that_is_cut_is_a_502(replayed, provider, plain_text):
    said = error(post(replayed, chat(f"{provider}/{plain_text}+cut=0.5")), 502)
    assert said["code"] == "upstream_error"


def test_a_stall_is_no_failure(replayed, provider, streamed_text, recordings):
    heard = stream(replayed, chat(f"{provider}/{streamed_text}+stall=0.5:1"))
    assert heard.text == told(recordings[streamed_text])
    assert heard.done


def test_fragments_make_no_difference(replayed, provider, streamed_text, plain_text):
    whole = stream(replayed, chat(f"{provider}/{streamed_text}"))
    fragments = stream(replayed, chat(f"{provider}/{streamed_text}+frag=3"))
    assert [choice for choice in fragments.choices if any(choice["delta"].values())] == [
        choice for choice in whole.choices if any(choice["delta"].values())
    ]
    told_whole, told_in_fragments = (
        post(replayed, chat(f"{provider}/{plain_text}{fault}")).json()["choices"] for fault in ("", "+frag=3")
    )
    assert told_whole == told_in_fragments


def test_the_next_target_answers_where_the_first_is_overloaded(replayed):
    answer = post(replayed, chat("fallback"))
    assert answer.status_code == 200
    assert answer.headers["x-gateway-attempts"] == "openai:529,openai:529,anthropic:200"
    assert answer.headers["x-gateway-provider"] == "anthropic"


@pytest.mark.parametrize("fault, streams", [("stall=0.5:60", True), ("wait=60", True), ("wait=60", False)])
def test_an_upstream_sees_the_client_leave(replayed, replay, streamed_text, fault, streams):
    provider = streamed_text.partition("-")[0]
    name = f"{streamed_text}+{fault}+run={replayed.port}-{streams}"
    ident = f"gone-{provider}-{fault}-{streams}".replace("=", "-").replace(":", "-")
    with closing(opened(replayed, chat(f"{provider}/{name}", stream=streams), **{"X-Request-Id": ident})) as client:
        if fault.startswith("stall"):
            assert client.recv(12) == b"HTTP/1.1 200"
        else:
            assert eventually(lambda: log_of(replay, name))
    (call,) = eventually(lambda: [call for call in log_of(replay, name) if call["end"]])
    assert call["end"] == "client-gone"
    assert call["seconds"] < 10
    line = replayed.log(ident)
    assert (line["status"], line["outcome"]) == (499, "abandoned")


def log_of(replay, model):
    """What the replay server was asked for a model."""
    calls = requests.get(f"{replay.url}/__log", timeout=10).json()
    return [call for call in calls if call["body"]["model"] == model]
