"""A model name in, its targets out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalog import substitutes
from gateway.catalog.registry import ModelRegistry, match_wildcard
from gateway.catalog.routing_policy import Policy
from gateway.catalog.targets import Provider, Target
from gateway.catalog.vendors import VENDORS
from gateway.errors import ModelNotFound


def providers(*names):
    return {name: Provider(VENDORS[name], VENDORS[name].base_url, "key") for name in names}


def registry(*names, models=None, aliases=None, order=None):
    return ModelRegistry(providers(*names), models or {}, aliases or {}, order or names)


def resolved(configured, model):
    return [(target.provider.name, target.model) for target in configured.resolve(model).targets]


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
def test_everything_after_the_first_slash_is_the_upstream_model_unchanged(model, provider, upstream):
    configured = registry("openai", "anthropic", "openrouter", "together", "github-models")
    assert resolved(configured, model) == [(provider, upstream)]


@given(st.text(min_size=1))
def test_any_text_may_be_an_upstream_model(upstream):
    assert resolved(registry("openai"), f"openai/{upstream}") == [("openai", upstream)]


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
def test_a_bare_name_belongs_to_its_vendor(model, provider):
    assert resolved(registry(*VENDORS), model) == [(provider, model)]


@pytest.mark.parametrize("model", ["llama-3", "gpt4", "openhermes", "o", "of-course", "gpt-oss-120b", "", "Claude-3"])
def test_a_bare_name_of_no_vendor_is_not_found(model):
    with pytest.raises(ModelNotFound) as raised:
        registry(*VENDORS).resolve(model)
    assert (raised.value.status, raised.value.code, raised.value.param) == (404, "model_not_found", "model")


@pytest.mark.parametrize(
    "provider, model, substitute",
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
def test_a_provider_substitutes_for_a_vendor_that_is_not_configured(provider, model, substitute):
    assert resolved(registry(provider), model) == [(provider, substitute)]


def test_the_first_provider_of_the_routing_order_with_a_substitute_serves_the_model():
    assert resolved(registry("vllm", "anthropic", "groq"), "gpt-4") == [("anthropic", "claude-sonnet-4-6")]
    configured = registry("vllm", "anthropic", "groq", order=("vllm", "groq", "anthropic"))
    assert resolved(configured, "gpt-4") == [("groq", "openai/gpt-oss-120b")]


def test_a_configured_vendor_serves_its_own_models_whatever_the_routing_order():
    assert resolved(registry("anthropic", "openai", order=("anthropic",)), "gpt-4") == [("openai", "gpt-4")]


@pytest.mark.parametrize(
    "provider", [name for name in VENDORS if name not in ("openai", "openrouter", "github-models", "echo")]
)
def test_an_embedding_model_has_no_substitute(provider):
    with pytest.raises(ModelNotFound):
        registry(provider).resolve("text-embedding-3-small")


@pytest.mark.parametrize("model", ["nobody", "nobody/x", "anthropic/claude-sonnet-4-5"])
def test_echo_substitutes_neither_for_unknown_names_nor_for_addresses(model):
    with pytest.raises(ModelNotFound):
        registry("echo").resolve(model)


@pytest.mark.parametrize(
    "model, hint",
    [
        ("anthropic/claude-x", "set ANTHROPIC_API_KEY"),
        ("claude-x", "set ANTHROPIC_API_KEY"),
        ("lmstudio/x", "set LMSTUDIO_BASE_URL"),
        ("echo", "set GATEWAY_ECHO=1"),
        ("vllm/", "Address a model of vllm as `vllm/"),
        ("nobody", "providers configured: vllm"),
    ],
)
def test_the_error_for_an_unknown_model_names_what_to_set(model, hint):
    with pytest.raises(ModelNotFound) as raised:
        registry("vllm").resolve(model)
    assert hint in raised.value.message


def test_a_name_of_a_megabyte_is_resolved_and_not_quoted_in_full():
    name = "x" * 1_000_000
    assert resolved(registry("openai"), f"openai/{name}") == [("openai", name)]
    with pytest.raises(ModelNotFound) as raised:
        registry("openai").resolve(name)
    assert len(raised.value.message) < 1000


OPENAI, GROQ = providers("openai", "groq").values()


def test_an_exact_name_precedes_an_alias_a_wildcard_and_an_address():
    configured = registry(
        "openai",
        models={"openai/a": (Target(GROQ, "exact"),), "openai/*": (Target(GROQ, "wild-*"),)},
        aliases={"openai/a": "openai/never", "openai/b": "groq-like", "groq-like": "never"},
    )
    assert resolved(configured, "openai/a") == [("groq", "exact")]
    assert resolved(configured, "openai/c") == [("groq", "wild-c")]
    with pytest.raises(ModelNotFound):
        configured.resolve("openai/b")
    assert resolved(registry("openai"), "openai/a") == [("openai", "a")]


def test_an_exact_name_does_not_get_the_policy_of_an_alias_that_matches_it():
    sticky = Policy(strategy="sticky")
    models = {"a": (Target(OPENAI, "a"),), "b": (Target(GROQ, "b"),)}
    configured = ModelRegistry({}, models, {"*": "b"}, (), policies={"b": sticky})
    assert configured.resolve("a").policy == Policy()
    assert configured.resolve("c").policy == sticky


def test_a_configured_name_may_have_a_slash_and_several_targets():
    targets = (Target(OPENAI, "a", timeout=1.0), Target(GROQ, "b", weight=2.0))
    assert registry(models={"team/fast": targets}).resolve("team/fast").targets == targets


def test_the_longest_wildcard_is_used_and_its_match_is_passed_on():
    models = {
        "*": (Target(GROQ, "any"),),
        "gpt-*": (Target(GROQ, "g"),),
        "gpt-4*-x": (Target(OPENAI, "four-*", rpm=5),),
    }
    configured = registry(models=models)
    assert configured.resolve("gpt-4o-mini-x").targets == (Target(OPENAI, "four-o-mini", rpm=5),)
    assert resolved(configured, "gpt-5") == [("groq", "g")]
    assert resolved(configured, "claude") == [("groq", "any")]


def test_an_alias_refers_to_any_model_but_not_to_another_alias():
    aliases = {"gpt-4": "anthropic/claude-x", "fast-*": "openai/*", "mine": "team", "a": "gpt-4"}
    configured = registry("anthropic", "openai", models={"team": (Target(GROQ, "t"),)}, aliases=aliases)
    assert resolved(configured, "gpt-4") == [("anthropic", "claude-x")]
    assert resolved(configured, "fast-one") == [("openai", "one")]
    assert resolved(configured, "mine") == [("groq", "t")]
    assert resolved(configured, "a") == [("openai", "gpt-4")]


@pytest.mark.parametrize(
    "pattern, name, match",
    [("a*", "abc", "bc"), ("*c", "abc", "ab"), ("a*c", "ac", ""), ("a*a", "a", None), ("a", "a", ""), ("a", "b", None)],
)
def test_a_wildcard_matches_one_part_of_a_name(pattern, name, match):
    assert match_wildcard(pattern, name) == match


def test_the_listed_models_are_configured_names_aliases_and_substitutes():
    configured = registry(
        "anthropic",
        "echo",
        models={"team/fast": (Target(OPENAI, "a"),), "wild/*": (Target(OPENAI, "*"),)},
        aliases={"gpt-4": "anthropic/claude-x", "any-*": "echo"},
    )
    assert configured.list_models() == [
        ("team/fast", "openai"),
        ("gpt-4", "anthropic"),
        ("anthropic/claude-haiku-4-5", "anthropic"),
        ("anthropic/claude-sonnet-4-6", "anthropic"),
        ("echo", "echo"),
    ]


def test_every_listed_model_can_be_requested():
    configured = registry(*VENDORS)
    assert all(configured.resolve(name).targets for name, _ in configured.list_models())


def test_the_tables_of_substitutes_name_vendors_that_exist():
    assert set(substitutes.SUBSTITUTES) <= set(VENDORS)
    assert {vendor for _, vendor in substitutes.BARE_NAMES if vendor} - set(VENDORS) <= {"gemini"}
