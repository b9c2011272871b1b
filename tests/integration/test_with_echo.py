"""The official OpenAI SDK with the built-in echo model, and the public pages of the gateway."""

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
WEATHER_TOOL = {
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
CLOCK_TOOL = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}


class Step(BaseModel):
    text: str
    number: int


class Recipe(BaseModel):
    name: str
    steps: list[Step]
    vegan: bool


def create_completion(client, **fields):
    return client.chat.completions.create(model="echo", messages=MESSAGES, **fields)


def test_a_plain_response_names_the_stand_in_and_repeats_the_message(echo_client):
    response = create_completion(echo_client)
    assert response.object == "chat.completion"
    assert response.model == "echo"
    (choice,) = response.choices
    assert (choice.index, choice.finish_reason, choice.message.role) == (0, "stop", "assistant")
    assert "stand-in" in choice.message.content
    assert choice.message.content.endswith("You said: one two three")
    assert 0 < response.usage.prompt_tokens < response.usage.total_tokens
    assert response.usage.prompt_tokens + response.usage.completion_tokens == response.usage.total_tokens


def test_the_response_is_the_same_every_time(echo_client):
    assert create_completion(echo_client).choices == create_completion(echo_client).choices


def test_a_stream_has_a_word_per_chunk_and_the_text_of_the_plain_response(echo_client):
    with create_completion(echo_client, stream=True) as chunks:
        received = list(chunks)
    words = [chunk.choices[0].delta.content for chunk in received if chunk.choices[0].delta.content]
    assert "".join(words) == create_completion(echo_client).choices[0].message.content
    assert all(len(word.split()) == 1 for word in words)
    assert received[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in received if chunk.choices[0].finish_reason] == ["stop"]
    assert all(chunk.usage is None for chunk in received)


def test_a_stream_ends_with_the_usage_if_the_client_requests_it(echo_client):
    with create_completion(echo_client, stream=True, stream_options={"include_usage": True}) as chunks:
        *others, last = chunks
    assert last.choices == []
    assert last.usage == create_completion(echo_client).usage
    assert all(chunk.usage is None for chunk in others)


def test_the_async_client_gets_the_same_response(echo_gateway, echo_client):
    async def call():
        async with AsyncOpenAI(base_url=f"{echo_gateway.url}/v1", api_key="unneeded", max_retries=0) as client:
            plain, chunks = await asyncio.gather(create_completion(client), create_completion(client, stream=True))
            return plain, [chunk async for chunk in chunks]

    plain, received = asyncio.run(call())
    expected = create_completion(echo_client).choices
    assert plain.choices == expected
    assert "".join(chunk.choices[0].delta.content or "" for chunk in received) == expected[0].message.content


def test_thirty_concurrent_async_calls_all_get_a_response(echo_gateway):
    async def call():
        async with AsyncOpenAI(base_url=f"{echo_gateway.url}/v1", api_key="unneeded", max_retries=0) as client:
            return await asyncio.gather(*(create_completion(client, user=str(number)) for number in range(30)))

    responses = asyncio.run(call())
    assert len({response.id for response in responses}) == 30


@pytest.mark.parametrize(
    "choice, name",
    [({"type": "function", "function": {"name": "weather"}}, "weather"), ("required", "clock")],
)
def test_a_tool_is_called_if_tool_choice_forces_it(echo_client, choice, name):
    response = create_completion(echo_client, tools=[CLOCK_TOOL, WEATHER_TOOL], tool_choice=choice).choices[0]
    assert response.finish_reason == "tool_calls"
    assert response.message.content is None
    (call,) = response.message.tool_calls
    assert call.id
    assert call.type == "function"
    assert call.function.name == name
    arguments = json.loads(call.function.arguments)
    assert set(arguments) == ({"city", "days"} if name == "weather" else set())


def test_no_tool_is_called_if_tool_choice_is_auto(echo_client):
    assert (
        create_completion(echo_client, tools=[WEATHER_TOOL], tool_choice="auto").choices[0].message.tool_calls is None
    )


def test_the_sdk_assembles_a_streamed_tool_call(echo_client):
    request = {"model": "echo", "messages": MESSAGES, "tools": [WEATHER_TOOL], "tool_choice": "required"}
    with echo_client.chat.completions.stream(**request) as events:
        final = events.get_final_completion()
    (call,) = final.choices[0].message.tool_calls
    assert call.function.name == "weather"
    assert json.loads(call.function.arguments)["days"] >= 3


def test_the_sdk_parses_a_response_into_a_pydantic_model(echo_client):
    response = echo_client.chat.completions.parse(model="echo", messages=MESSAGES, response_format=Recipe)
    recipe = response.choices[0].message.parsed
    assert isinstance(recipe, Recipe)
    assert recipe.steps


def test_the_sdk_parses_a_streamed_response(echo_client):
    with echo_client.chat.completions.stream(model="echo", messages=MESSAGES, response_format=Recipe) as events:
        assert isinstance(events.get_final_completion().choices[0].message.parsed, Recipe)


def test_a_response_in_json_object_format_is_json(echo_client):
    assert json.loads(
        create_completion(echo_client, response_format={"type": "json_object"}).choices[0].message.content
    )


def test_a_request_for_two_choices_gets_two_plain_and_streamed(echo_client):
    assert [choice.index for choice in create_completion(echo_client, n=2).choices] == [0, 1]
    with create_completion(echo_client, n=2, stream=True) as chunks:
        choices = [choice for chunk in chunks for choice in chunk.choices]
    for index in (0, 1):
        deltas = [choice for choice in choices if choice.index == index]
        assert deltas[0].delta.role == "assistant"
        assert [choice.finish_reason for choice in deltas if choice.finish_reason] == ["stop"]


def test_a_stop_sequence_ends_the_response(echo_client):
    response = create_completion(echo_client, stop=["You said"]).choices[0]
    assert response.finish_reason == "stop"
    assert response.message.content
    assert "You said" not in response.message.content


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_token_limit_ends_the_response(echo_client, name):
    response = create_completion(echo_client, **{name: 3})
    assert response.choices[0].finish_reason == "length"
    assert response.usage.completion_tokens <= 3


def test_embeddings_are_the_same_as_floats_and_as_base64(echo_client):
    floats = echo_client.embeddings.create(model="echo", input=["a", "b"], encoding_format="float").data
    decoded = echo_client.embeddings.create(model="echo", input=["a", "b"]).data  # the SDK requests base64 by default
    assert [item.index for item in floats] == [0, 1]
    assert floats[0].embedding != floats[1].embedding
    assert [item.embedding for item in floats] == [list(item.embedding) for item in decoded]
    assert sum(value * value for value in floats[0].embedding) == pytest.approx(1, rel=1e-4)


def test_embeddings_have_the_requested_dimensions(echo_client):
    response = echo_client.embeddings.create(model="echo", input="a", dimensions=7)
    assert len(response.data[0].embedding) == 7
    assert response.usage.total_tokens > 0


def test_models_can_be_listed_and_retrieved(echo_client):
    (model,) = echo_client.models.list()
    assert model.id == "echo"
    assert model.owned_by == "echo"
    assert echo_client.models.retrieve("echo") == model


def test_a_model_with_slashes_in_its_name_can_be_retrieved(gateway_client):
    model = next(model for model in gateway_client.models.list() if model.id.startswith("anthropic/"))
    assert gateway_client.models.retrieve(model.id) == model


def test_an_unknown_model_is_a_404(echo_client):
    with pytest.raises(NotFoundError) as raised:
        echo_client.models.retrieve("no/such/model")
    assert raised.value.code == "model_not_found"
    with pytest.raises(NotFoundError) as raised:
        echo_client.chat.completions.create(model="no-such-model", messages=MESSAGES)
    assert (raised.value.code, raised.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
def test_health_needs_no_key(gateway, path):
    response = get(gateway, path, Authorization="")
    assert response.status_code == 200
    assert response.json()["status"] == "ok"
    assert response.headers["x-request-id"]


def test_the_openapi_document_is_served_and_valid(echo_gateway):
    response = get(echo_gateway, "/openapi.json")
    assert response.headers["content-type"] == "application/json"
    validate(response.json())


def test_the_gateway_serves_the_docs_page_and_all_its_assets(gateway):
    page = get(gateway, "/docs/", Authorization="")
    assert page.status_code == 200
    links = re.findall(r"""(?:src|href)=["']([^"'#]+)["']""", page.text)
    assert len(links) > 3
    assert not [link for link in links if "://" in link or link.startswith("//")]
    for link in links:
        asset = get(gateway, urljoin("/docs/", link), Authorization="")
        assert asset.status_code == 200, link
    assert get(gateway, "/docs", Authorization="").status_code == 200
