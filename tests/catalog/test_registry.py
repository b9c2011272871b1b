"""A model's name in, its targets out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalog import substitutes
from gateway.catalog.registry import ModelRegistry, match_wildcard
from gateway.catalog.targets import Provider, Target
from gateway.catalog.vendors import VENDORS
from gateway.errors import ModelNotFound


def on(*names):
    return {name: Provider(VENDORS[name], VENDORS[name].base_url, "key") for name in names}


def directory(*names, models=None, aliases=None, order=None):
    return ModelRegistry(on(*names), models or {}, aliases or {}, order or names)


def leads(found, model):
    return [(target.provider.name, target.model) for target in found.resolve(model).targets]


@pytest.mark.parametrize(
    "model, provider, upstream",
    [
        ("anthropic/claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5"),
        ("openrouter/openai/gpt-4o:free", "openrouter", "openai/gpt-4o:free"),
        ("openai/gpt-5+flaky=2:503/\u00fc *?[x]", "openai", "gpt-5+flaky=2:503/\u00fc *?[x]"),
        ("openai/ spaced ", "openai", " spaced "),
        ("openai//x", "openai", "/x"),
        ("together_ai/openai/gpt-oss-20b", "together", "openai/gpt-oss-20b"),
        ("github/openai/gpt-4.1", "github-models", "openai/gpt-4.1"),
    ],
)
def test_all_after_the_first_slash_goes_upstream_to_the_letter(model, provider, upstream):
    found = directory("openai", "anthropic", "openrouter", "together", "github-models")
    assert leads(found, model) == [(provider, upstream)]


@given(st.text(min_size=1))
def test_any_text_is_an_upstream_model(upstream):
    assert leads(directory("openai"), f"openai/{upstream}") == [("openai", upstream)]


@pytest.mark.parametrize(
    "model, provider",
    [
        ("claude-3-5-haiku-latest", "anthropic"),
        ("gpt-4", "openai"),
        ("gpt-5.6-sol", "openai"),
        ("chatgpt-4o-latest", "openai"),
        ("o3-mini", "openai"),
        ("o1", "openai"),
        ("text-embedding-3-small", "openai"),
        ("mistral-large-latest", "mistral"),
        ("codestral-2508", "mistral"),
        ("ministral-3b-latest", "mistral"),
        ("magistral-medium-latest", "mistral"),
        ("devstral-2512", "mistral"),
        ("pixtral-12b", "mistral"),
        ("open-mistral-nemo", "mistral"),
        ("deepseek-chat", "deepseek"),
        ("grok-4.3", "xai"),
        ("sonar", "perplexity"),
        ("sonar-reasoning-pro", "perplexity"),
        ("kimi-k2.6", "moonshot"),
        ("moonshot-v1-auto", "moonshot"),
        ("qwen3.8-max", "dashscope"),
        ("mercury-2", "inception"),
        ("echo", "echo"),
    ],
)
def test_a_bare_name_goes_to_its_vendor(model, provider):
    assert leads(directory(*VENDORS), model) == [(provider, model)]


@pytest.mark.parametrize("model", ["llama-3", "gpt4", "openhermes", "o", "of-course", "gpt-oss-120b", "", "Claude-3"])
def test_a_bare_name_that_is_nobodys_is_not_found(model):
    with pytest.raises(ModelNotFound) as raised:
        directory(*VENDORS).resolve(model)
    assert (raised.value.status, raised.value.code, raised.value.param) == (404, "model_not_found", "model")


@pytest.mark.parametrize(
    "provider, asked, answers",
    [
        ("anthropic", "gpt-4", "claude-sonnet-4-6"),
        ("anthropic", "gpt-4o-mini", "claude-haiku-4-5"),
        ("anthropic", "gpt-3.5-turbo", "claude-haiku-4-5"),
        ("anthropic", "gemini-2.5-pro", "claude-sonnet-4-6"),
        ("anthropic", "gemini-3.5-flash", "claude-haiku-4-5"),
        ("openai", "claude-opus-4-5", "gpt-5.4"),
        ("openai", "claude-haiku-4-5", "gpt-5.4-mini"),
        ("openrouter", "gpt-4o", "openai/gpt-4o"),
        ("openrouter", "text-embedding-3-small", "openai/text-embedding-3-small"),
        ("openrouter", "claude-opus-4-5", "anthropic/claude-sonnet-4.6"),
        ("github-models", "gpt-4o", "openai/gpt-4o"),
        ("echo", "gpt-4", "echo"),
        ("echo", "text-embedding-3-small", "echo"),
        ("echo", "claude-sonnet-4-5", "echo"),
    ],
)
def test_a_provider_stands_in_for_a_vendor_that_is_not_configured(provider, asked, answers):
    assert leads(directory(provider), asked) == [(provider, answers)]


def test_the_first_in_the_routing_order_that_has_a_stand_in_answers():
    assert leads(directory("vllm", "anthropic", "groq"), "gpt-4") == [("anthropic", "claude-sonnet-4-6")]
    found = directory("vllm", "anthropic", "groq", order=("vllm", "groq", "anthropic"))
    assert leads(found, "gpt-4") == [("groq", "openai/gpt-oss-120b")]


def test_a_configured_vendor_answers_its_own_names_wherever_it_stands_in_the_order():
    assert leads(directory("anthropic", "openai", order=("anthropic",)), "gpt-4") == [("openai", "gpt-4")]


@pytest.mark.parametrize(
    "provider", [name for name in VENDORS if name not in ("openai", "openrouter", "github-models", "echo")]
)
def test_nothing_stands_in_for_an_embedding_model(provider):
    with pytest.raises(ModelNotFound):
        directory(provider).resolve("text-embedding-3-small")


@pytest.mark.parametrize("model", ["nobody", "nobody/x", "anthropic/claude-sonnet-4-5"])
def test_echo_does_not_answer_for_who_it_does_not_know_nor_for_an_address(model):
    with pytest.raises(ModelNotFound):
        directory("echo").resolve(model)


@pytest.mark.parametrize(
    "model, advice",
    [
        ("anthropic/claude-x", "set ANTHROPIC_API_KEY"),
        ("claude-x", "set ANTHROPIC_API_KEY"),
        ("lmstudio/x", "set LMSTUDIO_BASE_URL"),
        ("echo", "set GATEWAY_ECHO=1"),
        ("vllm/", "addressed as `vllm/"),
        ("nobody", "providers configured: vllm"),
    ],
)
def test_a_model_that_is_not_found_says_what_to_set(model, advice):
    with pytest.raises(ModelNotFound) as raised:
        directory("vllm").resolve(model)
    assert advice in raised.value.message


def test_a_name_of_a_megabyte_is_served_and_not_quoted_in_full():
    name = "x" * 1_000_000
    assert leads(directory("openai"), f"openai/{name}") == [("openai", name)]
    with pytest.raises(ModelNotFound) as raised:
        directory("openai").resolve(name)
    assert len(raised.value.message) < 1000


OPENAI, GROQ = on("openai")["openai"], on("groq")["groq"]


def test_precedence_is_exact_then_alias_then_wildcard_then_address():
    found = directory(
        "openai",
        models={"openai/a": (Target(GROQ, "exact"),), "openai/*": (Target(GROQ, "wild-*"),)},
        aliases={"openai/a": "openai/never", "openai/b": "groq-like", "groq-like": "never"},
    )
    assert leads(found, "openai/a") == [("groq", "exact")]
    assert leads(found, "openai/c") == [("groq", "wild-c")]
    with pytest.raises(ModelNotFound):
        found.resolve("openai/b")
    assert leads(directory("openai"), "openai/a") == [("openai", "a")]


def test_configured_names_may_have_a_slash_and_several_targets():
    targets = (Target(OPENAI, "a", timeout=1.0), Target(GROQ, "b", weight=2.0))
    assert directory(models={"team/fast": targets}).resolve("team/fast").targets == targets


def test_the_longest_wildcard_wins_and_its_star_is_passed_on():
    models = {
        "*": (Target(GROQ, "any"),),
        "gpt-*": (Target(GROQ, "g"),),
        "gpt-4*-x": (Target(OPENAI, "four-*", rpm=5),),
    }
    found = directory(models=models)
    assert found.resolve("gpt-4o-mini-x").targets == (Target(OPENAI, "four-o-mini", rpm=5),)
    assert leads(found, "gpt-5") == [("groq", "g")]
    assert leads(found, "claude") == [("groq", "any")]


def test_an_alias_leads_to_any_model_but_not_to_another_alias():
    aliases = {"gpt-4": "anthropic/claude-x", "fast-*": "openai/*", "mine": "team", "a": "gpt-4"}
    found = directory("anthropic", "openai", models={"team": (Target(GROQ, "t"),)}, aliases=aliases)
    assert leads(found, "gpt-4") == [("anthropic", "claude-x")]
    assert leads(found, "fast-one") == [("openai", "one")]
    assert leads(found, "mine") == [("groq", "t")]
    assert leads(found, "a") == [("openai", "gpt-4")]


@pytest.mark.parametrize(
    "pattern, name, star",
    [("a*", "abc", "bc"), ("*c", "abc", "ab"), ("a*c", "ac", ""), ("a*a", "a", None), ("a", "a", ""), ("a", "b", None)],
)
def test_a_star_captures_what_it_stands_for(pattern, name, star):
    assert match_wildcard(pattern, name) == star


def test_entries_are_configured_names_aliases_and_the_models_of_the_table():
    found = directory(
        "anthropic",
        "echo",
        models={"team/fast": (Target(OPENAI, "a"),), "wild/*": (Target(OPENAI, "*"),)},
        aliases={"gpt-4": "anthropic/claude-x", "any-*": "echo"},
    )
    assert found.list_models() == [
        ("team/fast", "openai"),
        ("gpt-4", "anthropic"),
        ("anthropic/claude-haiku-4-5", "anthropic"),
        ("anthropic/claude-sonnet-4-6", "anthropic"),
        ("echo", "echo"),
    ]


def test_every_entry_can_be_asked_for():
    found = directory(*VENDORS)
    assert all(found.resolve(name).targets for name, _ in found.list_models())


def test_every_table_is_of_vendors_that_exist():
    assert set(substitutes.SUBSTITUTES) <= set(VENDORS)
    assert {vendor for _, vendor in substitutes.BARE_NAMES if vendor} - set(VENDORS) <= {"gemini"}
