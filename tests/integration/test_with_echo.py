"""The official SDK in front of the built-in model."""

import asyncio
import json
import re
from urllib.parse import urljoin

import pytest
from openai import AsyncOpenAI, NotFoundError
from openapi_spec_validator import validate
from pydantic import BaseModel

from tests.support.http_client import get

MESSAGES = [{"role": "user", "content": "one two three"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 3}},
            "required": ["city", "days"],
        },
    },
}
CLOCK = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}


class Step(BaseModel):
    text: str
    number: int


class Recipe(BaseModel):
    name: str
    steps: list[Step]
    vegan: bool


def ask(client, **more):
    return client.chat.completions.create(model="echo", messages=MESSAGES, **more)


def test_a_plain_answer_says_who_gives_it_and_what_was_said(to_echo):
    answer = ask(to_echo)
    assert answer.object == "chat.completion"
    assert answer.model == "echo"
    (choice,) = answer.choices
    assert (choice.index, choice.finish_reason, choice.message.role) == (0, "stop", "assistant")
    assert "stand-in" in choice.message.content
    assert choice.message.content.endswith("You said: one two three")
    assert 0 < answer.usage.prompt_tokens < answer.usage.total_tokens
    assert answer.usage.prompt_tokens + answer.usage.completion_tokens == answer.usage.total_tokens


def test_the_answer_is_the_same_every_time(to_echo):
    assert ask(to_echo).choices == ask(to_echo).choices


def test_a_stream_comes_word_by_word_and_says_the_same(to_echo):
    with ask(to_echo, stream=True) as chunks:
        heard = list(chunks)
    words = [chunk.choices[0].delta.content for chunk in heard if chunk.choices[0].delta.content]
    assert "".join(words) == ask(to_echo).choices[0].message.content
    assert all(len(word.split()) == 1 for word in words)
    assert heard[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in heard if chunk.choices[0].finish_reason] == ["stop"]
    assert all(chunk.usage is None for chunk in heard)


def test_a_stream_ends_with_the_usage_when_asked(to_echo):
    with ask(to_echo, stream=True, stream_options={"include_usage": True}) as chunks:
        heard = list(chunks)
    assert heard[-1].choices == []
    assert heard[-1].usage == ask(to_echo).usage
    assert all(chunk.usage is None for chunk in heard[:-1])


def test_the_async_client_gets_the_same(echo, to_echo):
    async def talk():
        async with AsyncOpenAI(base_url=f"{echo.url}/v1", api_key="unneeded", max_retries=0) as client:
            plain, chunks = await asyncio.gather(ask(client), ask(client, stream=True))
            return plain, [chunk async for chunk in chunks]

    plain, heard = asyncio.run(talk())
    expected = ask(to_echo).choices
    assert plain.choices == expected
    assert "".join(chunk.choices[0].delta.content or "" for chunk in heard) == expected[0].message.content


def test_thirty_async_calls_at_once_are_all_answered(echo):
    async def talk():
        async with AsyncOpenAI(base_url=f"{echo.url}/v1", api_key="unneeded", max_retries=0) as client:
            return await asyncio.gather(*(ask(client, user=str(n)) for n in range(30)))

    answers = asyncio.run(talk())
    assert len({answer.id for answer in answers}) == 30


@pytest.mark.parametrize(
    "choice, name",
    [({"type": "function", "function": {"name": "weather"}}, "weather"), ("required", "clock")],
)
def test_a_tool_is_called_where_the_choice_forces_one(to_echo, choice, name):
    answer = ask(to_echo, tools=[CLOCK, WEATHER], tool_choice=choice).choices[0]
    assert answer.finish_reason == "tool_calls"
    assert answer.message.content is None
    (call,) = answer.message.tool_calls
    assert call.id
    assert call.type == "function"
    assert call.function.name == name
    arguments = json.loads(call.function.arguments)
    assert set(arguments) == ({"city", "days"} if name == "weather" else set())


def test_no_tool_is_called_where_none_is_forced(to_echo):
    assert ask(to_echo, tools=[WEATHER], tool_choice="auto").choices[0].message.tool_calls is None


def test_a_streamed_tool_call_is_put_together_by_the_sdk(to_echo):
    asked = {"model": "echo", "messages": MESSAGES, "tools": [WEATHER], "tool_choice": "required"}
    with to_echo.chat.completions.stream(**asked) as events:
        final = events.get_final_completion()
    (call,) = final.choices[0].message.tool_calls
    assert call.function.name == "weather"
    assert json.loads(call.function.arguments)["days"] >= 3


def test_parse_fills_a_pydantic_model(to_echo):
    answer = to_echo.chat.completions.parse(model="echo", messages=MESSAGES, response_format=Recipe)
    recipe = answer.choices[0].message.parsed
    assert isinstance(recipe, Recipe)
    assert recipe.steps


def test_a_streamed_answer_is_parsed_too(to_echo):
    with to_echo.chat.completions.stream(model="echo", messages=MESSAGES, response_format=Recipe) as events:
        assert isinstance(events.get_final_completion().choices[0].message.parsed, Recipe)


def test_json_object_is_json(to_echo):
    assert json.loads(ask(to_echo, response_format={"type": "json_object"}).choices[0].message.content)


def test_two_choices_are_two_plain_and_streamed(to_echo):
    assert [choice.index for choice in ask(to_echo, n=2).choices] == [0, 1]
    with ask(to_echo, n=2, stream=True) as chunks:
        choices = [choice for chunk in chunks for choice in chunk.choices]
    for index in (0, 1):
        mine = [choice for choice in choices if choice.index == index]
        assert mine[0].delta.role == "assistant"
        assert [choice.finish_reason for choice in mine if choice.finish_reason] == ["stop"]


def test_stop_ends_the_answer(to_echo):
    answer = ask(to_echo, stop=["You said"]).choices[0]
    assert answer.finish_reason == "stop"
    assert answer.message.content
    assert "You said" not in answer.message.content


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_token_limit_ends_the_answer(to_echo, name):
    answer = ask(to_echo, **{name: 3})
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens <= 3


def test_embeddings_are_the_same_as_floats_and_in_base64(to_echo):
    floats = to_echo.embeddings.create(model="echo", input=["a", "b"], encoding_format="float").data
    coded = to_echo.embeddings.create(model="echo", input=["a", "b"]).data  # the SDK asks for base64 by itself
    assert [one.index for one in floats] == [0, 1]
    assert floats[0].embedding != floats[1].embedding
    assert [one.embedding for one in floats] == [list(one.embedding) for one in coded]
    assert sum(value * value for value in floats[0].embedding) == pytest.approx(1, rel=1e-4)


def test_embeddings_have_the_dimensions_that_were_asked_for(to_echo):
    answer = to_echo.embeddings.create(model="echo", input="a", dimensions=7)
    assert len(answer.data[0].embedding) == 7
    assert answer.usage.total_tokens > 0


def test_models_are_listed_and_found(to_echo):
    (listed,) = to_echo.models.list()
    assert listed.id == "echo"
    assert listed.owned_by == "echo"
    assert to_echo.models.retrieve("echo") == listed


def test_a_model_with_slashes_is_found(to_gateway):
    listed = next(model for model in to_gateway.models.list() if model.id.startswith("anthropic/"))
    assert to_gateway.models.retrieve(listed.id) == listed


def test_an_unknown_model_is_not_found(to_echo):
    with pytest.raises(NotFoundError) as raised:
        to_echo.models.retrieve("no/such/model")
    assert raised.value.code == "model_not_found"
    with pytest.raises(NotFoundError) as raised:
        to_echo.chat.completions.create(model="no-such-model", messages=MESSAGES)
    assert (raised.value.code, raised.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
def test_health_is_public(gateway, path):
    answer = get(gateway, path, Authorization="")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"
    assert answer.headers["x-request-id"]


def test_the_openapi_document_is_served_and_valid(echo):
    answer = get(echo, "/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    validate(answer.json())


def test_the_docs_page_and_all_that_it_needs_come_from_here(gateway):
    page = get(gateway, "/docs/", Authorization="")
    assert page.status_code == 200
    links = re.findall(r"""(?:src|href)=["']([^"'#]+)["']""", page.text)
    assert len(links) > 3
    assert not [link for link in links if "://" in link or link.startswith("//")]
    for link in links:
        asset = get(gateway, urljoin("/docs/", link), Authorization="")
        assert asset.status_code == 200, link
    assert get(gateway, "/docs", Authorization="").status_code == 200
