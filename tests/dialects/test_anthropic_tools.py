"""OpenAI's tools, functions and web search as Anthropic's tools, and the choice among them."""

import pytest

from tests.support.anthropic_dialect import GREP, WEATHER, vendor_body, vendor_request

TIME = {"type": "function", "function": {"name": "time"}}


def test_a_function_without_parameters_gets_an_object_schema():
    function = {"type": "function", "function": {"name": "now", "description": "The time."}}
    assert vendor_body(tools=[function])["tools"] == [
        {"name": "now", "description": "The time.", "input_schema": {"type": "object", "properties": {}}}
    ]


def test_legacy_functions_are_sent_as_tools_without_parallel_calls():
    sent = vendor_body(
        functions=[{"name": "now", "parameters": {"type": "object", "properties": {}}}], function_call="auto"
    )
    assert [tool["name"] for tool in sent["tools"]] == ["now"]
    assert sent["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ({"type": "function", "function": {"name": "weather"}}, {"type": "tool", "name": "weather"}),
        ({"type": "custom", "custom": {"name": "grep"}}, {"type": "tool", "name": "grep"}),
    ],
)
def test_tool_choice_is_translated_to_anthropics_types(choice, sent):
    assert vendor_body(tools=[WEATHER, GREP], tool_choice=choice)["tool_choice"] == sent


def test_parallel_tool_calls_false_disables_parallel_tool_use():
    tools = [WEATHER]
    assert vendor_body(tools=tools, parallel_tool_calls=False)["tool_choice"] == {
        "type": "auto",
        "disable_parallel_tool_use": True,
    }
    assert vendor_body(tools=tools, parallel_tool_calls=False, tool_choice="none")["tool_choice"] == {"type": "none"}
    assert "tool_choice" not in vendor_body(tools=tools, parallel_tool_calls=True)


def test_tool_choice_without_tools_is_not_sent():
    assert vendor_request(tool_choice="auto").dropped == ()
    sent = vendor_request(tool_choice="required")
    assert "tool_choice" not in sent.body
    assert sent.dropped == ("tool_choice",)


def test_a_forcing_choice_becomes_auto_for_a_model_without_tool_forcing():
    sent = vendor_request("claude-opus-5-5", tools=[WEATHER], tool_choice="required")
    assert sent.body["tool_choice"] == {"type": "auto"}
    assert sent.dropped == ("tool_choice",)


def test_only_the_allowed_tools_are_sent():
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "time"}}]}
    sent = vendor_request(tools=[WEATHER, TIME], tool_choice={"type": "allowed_tools", "allowed_tools": allowed})
    assert [tool["name"] for tool in sent.body["tools"]] == ["time"]
    assert sent.body["tool_choice"] == {"type": "any"}
    assert sent.dropped == ("tools[0]",)


def test_an_allowed_tool_that_is_not_in_tools_is_reported():
    allowed = [{"type": "function", "function": {"name": name}} for name in ("time", "tide")]
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": allowed}}
    assert vendor_request(tools=[TIME], tool_choice=choice).dropped == ("tool_choice.allowed_tools.tools[1]",)


def test_a_custom_tool_takes_text_and_its_grammar_is_in_the_description():
    grammar = {"type": "grammar", "grammar": {"syntax": "regex", "definition": "[a-z]+"}}
    sent = vendor_request(tools=[{"type": "custom", "custom": {**GREP["custom"], "format": grammar}}])
    (tool,) = sent.body["tools"]
    assert tool["input_schema"]["required"] == ["input"]
    assert "Find." in tool["description"]
    assert "[a-z]+" in tool["description"]
    assert sent.dropped == ("tools[0].custom.format",)


def test_a_strict_tool_is_strict_where_its_schema_can_be_enforced():
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}
    strict = {"type": "function", "function": {"name": "f", "parameters": schema, "strict": True}}
    (tool,) = vendor_body(tools=[strict])["tools"]
    assert tool["strict"] is True
    assert tool["input_schema"]["additionalProperties"] is False
    assert "minimum" in tool["input_schema"]["properties"]["n"]["description"]
    older = vendor_request("claude-3-haiku-20240307", tools=[strict])
    assert older.body["tools"][0]["input_schema"] == schema
    assert older.dropped == ("tools[0].function.strict",)


def test_web_search_options_become_anthropics_web_search_tool():
    location = {"type": "approximate", "approximate": {"city": "Köln", "country": "DE"}}
    sent = vendor_request(web_search_options={"user_location": location, "search_context_size": "high"})
    assert sent.body["tools"] == [
        {
            "type": "web_search_20250305",
            "name": "web_search",
            "user_location": {"type": "approximate", "city": "Köln", "country": "DE"},
        }
    ]
    assert sent.dropped == ("web_search_options.search_context_size",)


def test_web_search_is_sent_beside_an_empty_list_of_allowed_tools():
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}
    sent = vendor_request(tools=[WEATHER], tool_choice=choice, web_search_options={})
    assert [tool["name"] for tool in sent.body["tools"]] == ["web_search"]
    assert sent.dropped == ("tools[0]",)


def test_web_search_is_dropped_where_the_choice_or_the_name_rules_it_out():
    assert vendor_request(tools=[WEATHER], tool_choice="none", web_search_options={}).dropped == ("web_search_options",)
    function = {"type": "function", "function": {"name": "web_search"}}
    assert vendor_request(tools=[function], web_search_options={}).dropped == ("web_search_options",)


def test_native_tools_are_passed_on():
    native = {"type": "web_fetch_20250910", "name": "web_fetch", "max_uses": 3}
    assert vendor_body(tools=[native])["tools"] == [native]
