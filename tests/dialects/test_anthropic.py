"""Anthropic's dialect: what Claude is told of an OpenAI request, and what of its answer the client sees."""

import base64
import json
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.catalog.vendors import VENDORS
from gateway.dialects.anthropic.adapter import ADAPTER
from gateway.dialects.anthropic.models import model_traits
from gateway.dialects.contract import TargetRequest
from gateway.errors import (
    InvalidRequest,
    Untranslatable,
    UpstreamCredentials,
    UpstreamFailed,
    UpstreamLimited,
    UpstreamRejected,
)
from gateway.stream_events import Event, Pause

USER = {"role": "user", "content": "Hello"}
PIXEL = base64.b64encode(b"\x89PNG pixel").decode()
PDF = base64.b64encode(b"%PDF-1.4 page").decode()
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
TIME = {"type": "function", "function": {"name": "time"}}
GREP = {"type": "custom", "custom": {"name": "grep", "description": "Find."}}

THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
HIDDEN = {"type": "redacted_thinking", "data": "ZGF0YQ=="}
POINT = {
    "type": "object",
    "properties": {"x": {"type": "integer", "minimum": 0, "description": "Right."}, "p": {"$ref": "#/$defs/P"}},
    "required": ["x"],
    "$defs": {"P": {"type": "object", "properties": {"y": {"type": ["string", "null"], "format": "date"}}}},
}


def ask(model="claude-sonnet-4-5", /, **chat):
    return TargetRequest(
        {"model": "any", "messages": [USER], **chat}, model, VENDORS["anthropic"], "chatcmpl-ours", 1700000000
    )


def request(model="claude-sonnet-4-5", /, **chat):
    return ADAPTER.vendor_request(ask(model, **chat))


def body(model="claude-sonnet-4-5", /, **chat):
    return request(model, **chat).body


def turns(*messages):
    return body(messages=list(messages))["messages"]


def content(*parts):
    """The blocks of one user message with these parts."""
    return turns({"role": "user", "content": list(parts)})[0]["content"]


def text(said):
    return {"type": "text", "text": said}


def call(ident, name="weather", arguments="{}"):
    return {"id": ident, "type": "function", "function": {"name": name, "arguments": arguments}}


def calling(*calls, **more):
    return {"role": "assistant", "content": None, "tool_calls": list(calls), **more}


def result(ident, said="sun"):
    return {"role": "tool", "tool_call_id": ident, "content": said}


class TestMessages:
    def test_system_and_developer_messages_from_anywhere_are_the_system_prompt_in_order(self):
        said = body(
            messages=[
                {"role": "system", "content": "one"},
                USER,
                {"role": "developer", "content": [text("two"), text("three")]},
                {"role": "assistant", "content": "Hi"},
                {"role": "system", "content": "four"},
                USER,
            ]
        )
        assert said["system"] == [text("one"), text("two"), text("three"), text("four")]
        assert [turn["role"] for turn in said["messages"]] == ["user", "assistant", "user"]

    def test_where_only_the_system_speaks_the_user_says_it(self):
        said = body(messages=[{"role": "system", "content": "Write a poem."}])
        assert said["messages"] == [{"role": "user", "content": [text("Write a poem.")]}]
        assert "system" not in said

    def test_neighbours_of_one_role_are_one_turn(self):
        said = turns(USER, USER, {"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}, USER)
        assert [(turn["role"], len(turn["content"])) for turn in said] == [("user", 2), ("assistant", 2), ("user", 1)]

    def test_blank_texts_are_left_out(self):
        said = turns(USER, {"role": "assistant", "content": ""}, {"role": "user", "content": [text(" \n"), text("x")]})
        assert said == [{"role": "user", "content": [text("Hello"), text("x")]}]

    def test_messages_that_say_nothing_are_refused(self):
        with pytest.raises(InvalidRequest) as refused:
            request(messages=[{"role": "user", "content": "  "}])
        assert refused.value.param == "messages"

    def test_white_space_at_the_end_of_an_answer_to_be_carried_on_is_left_out(self):
        said = turns(USER, {"role": "assistant", "content": "The answer is \n"})
        assert said[-1]["content"] == [text("The answer is")]

    def test_a_refusal_is_what_the_assistant_said(self):
        said = turns(
            USER,
            {"role": "assistant", "content": None, "refusal": "No."},
            USER,
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "Never."}]},
            USER,
        )
        assert said[1]["content"] == [text("No.")]
        assert said[3]["content"] == [text("Never.")]

    def test_names_and_sounds_of_messages_are_dropped_by_their_paths(self):
        messages = [{**USER, "name": "Ann"}, {"role": "assistant", "content": "x", "audio": {"id": "a"}}, USER]
        assert request(messages=messages).dropped == ("messages[0].name", "messages[1].audio")

    def test_an_answer_that_comes_back_whole_loses_nothing(self):
        answer = {
            "role": "assistant",
            "content": "Hi",
            "refusal": None,
            "annotations": [],
            "audio": None,
            "function_call": None,
            "tool_calls": None,
        }
        assert request(messages=[USER, answer, USER]).dropped == ()


class TestParts:
    def test_an_image_by_data_url_is_sent_inline(self):
        assert content({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}) == [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
        ]

    def test_an_image_by_link_is_sent_by_link(self):
        assert content({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}) == [
            {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
        ]

    def test_the_detail_of_an_image_is_dropped_where_it_is_a_wish(self):
        def dropped(detail):
            part = {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": detail}}
            return request(messages=[{"role": "user", "content": [part]}]).dropped

        assert dropped("high") == ("messages[0].content[0].image_url.detail",)
        assert dropped("auto") == ()

    @pytest.mark.parametrize("data", [f"data:application/pdf;base64,{PDF}", PDF])
    def test_a_pdf_is_a_document_with_its_name_as_title(self, data):
        assert content({"type": "file", "file": {"filename": "a.pdf", "file_data": data}}) == [
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
                "title": "a.pdf",
            }
        ]

    @pytest.mark.parametrize("header", ["data:text/csv;base64,", "data:text/plain;charset=utf-8;base64,", ""])
    def test_a_text_file_is_a_document_of_its_text(self, header):
        data = header + base64.b64encode("Grüße, 1".encode()).decode()
        assert content({"type": "file", "file": {"filename": "a.csv", "file_data": data}}) == [
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "Grüße, 1"},
                "title": "a.csv",
            }
        ]

    def test_a_file_by_id_asks_for_the_files_beta(self):
        wanted = request(messages=[{"role": "user", "content": [{"type": "file", "file": {"file_id": "file_1"}}]}])
        assert wanted.body["messages"][0]["content"] == [
            {"type": "document", "source": {"type": "file", "file_id": "file_1"}}
        ]
        assert wanted.headers["anthropic-beta"] == "files-api-2025-04-14"
        assert "anthropic-beta" not in request().headers

    @pytest.mark.parametrize(
        "part",
        [
            {"type": "input_audio", "input_audio": {"data": PIXEL, "format": "wav"}},
            {"type": "file", "file": {"file_data": f"data:audio/flac;base64,{PIXEL}"}},
            {"type": "file", "file": {"file_data": "data:text/plain;base64,/w=="}},
            {"type": "file", "file": {"filename": "x"}},
            {"type": "image_url", "image_url": {"url": "ftp://example.com/a.png"}},
            {"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AAAA"}},
            {"type": "video", "video": {}},
        ],
    )
    def test_what_claude_cannot_be_shown_is_refused_by_its_path(self, part):
        with pytest.raises(Untranslatable) as refused:
            content(text("Listen:"), part)
        assert refused.value.param == "messages[0].content[1]"

    def test_cache_control_stays_on_parts_messages_and_tools(self):
        for_an_hour = {"type": "ephemeral", "ttl": "1h"}
        said = body(
            messages=[
                {"role": "system", "content": [{**text("one"), "cache_control": {"type": "ephemeral"}}]},
                {"role": "user", "content": [text("a"), text("b")], "cache_control": for_an_hour},
                calling(call("c1")),
                {**result("c1"), "cache_control": for_an_hour},
                {"role": "user", "content": [{**text("c"), "prompt_cache_breakpoint": {"mode": "explicit"}}]},
            ],
            tools=[{**WEATHER, "cache_control": for_an_hour}],
        )
        assert said["system"][0]["cache_control"] == {"type": "ephemeral"}
        first, _, last = said["messages"]
        assert [block.get("cache_control") for block in first["content"]] == [None, for_an_hour]
        assert [block["cache_control"] for block in last["content"]] == [for_an_hour, {"type": "ephemeral"}]
        assert said["tools"][0]["cache_control"] == for_an_hour

    def test_a_message_with_two_breakpoints_at_one_place_keeps_the_parts(self):
        part = {**text("a"), "cache_control": {"type": "ephemeral", "ttl": "5m"}}
        wanted = request(messages=[{"role": "user", "content": [part], "cache_control": {"type": "ephemeral"}}])
        assert wanted.body["messages"][0]["content"] == [part]
        assert wanted.dropped == ("messages[0].cache_control",)


class TestCalls:
    def test_results_of_parallel_calls_come_first_in_one_user_turn(self):
        said = turns(USER, calling(call("a"), call("b")), {"role": "user", "content": "And?"}, result("b"), result("a"))
        assert [block["id"] for block in said[1]["content"]] == ["a", "b"]
        assert [block["type"] for block in said[2]["content"]] == ["tool_result", "tool_result", "text"]
        assert [block["tool_use_id"] for block in said[2]["content"][:2]] == ["b", "a"]

    def test_ids_that_the_api_refuses_are_changed_alike_in_call_and_result(self):
        said = turns(USER, calling(call("functions.add:0")), result("functions.add:0"))
        assert said[1]["content"][0]["id"] == said[2]["content"][0]["tool_use_id"] == "functions_add_0"

    def test_calls_of_one_id_get_their_results_in_order(self):
        said = turns(USER, calling(call("a"), call("a")), result("a", "first"), result("a", "second"))
        ids = [block["id"] for block in said[1]["content"]]
        assert len(set(ids)) == 2
        assert [(one["tool_use_id"], one["content"]) for one in said[2]["content"]] == [
            (ids[0], [text("first")]),
            (ids[1], [text("second")]),
        ]

    def test_an_id_that_returns_in_a_later_turn_is_another_call(self):
        said = turns(USER, calling(call("a")), result("a"), calling(call("a")), result("a"))
        uses = [block["id"] for turn in said for block in turn["content"] if block["type"] == "tool_use"]
        results = [block["tool_use_id"] for turn in said for block in turn["content"] if block["type"] == "tool_result"]
        assert len(set(uses)) == 2
        assert results == uses

    def test_arguments_are_an_object_whatever_the_text_is(self):
        given = ['{"city": "Köln"}', "", "null", '{"city": "Kö', "[1]", '{"big": 123456789012345678901234567890}']
        calls = [call(f"c{n}", arguments=one) for n, one in enumerate(given)]
        said = turns(USER, calling(*calls), *(result(one["id"]) for one in calls))
        inputs = [block["input"] for block in said[1]["content"]]
        assert inputs[:5] == [{"city": "Köln"}, {}, {}, {"arguments": '{"city": "Kö'}, {"arguments": "[1]"}]
        assert list(inputs[5]) == ["big"]

    def test_arguments_deeper_than_json_can_hold_are_shown_as_text(self):
        deep = '{"a":' * 230 + "1" + "}" * 230
        said = turns(USER, calling(call("a", arguments=deep)), result("a"))
        assert said[1]["content"][0]["input"] == {"arguments": deep}

    def test_a_call_without_its_result_is_refused(self):
        for messages in ([USER, calling(call("a"))], [USER, calling(call("a"), call("b")), result("a"), USER]):
            with pytest.raises(InvalidRequest) as refused:
                request(messages=messages)
            assert refused.value.param.startswith("messages[1].tool_calls[")

    def test_a_result_without_its_call_is_refused(self):
        for messages in ([USER, result("a")], [USER, calling(call("a")), result("a"), result("a")]):
            with pytest.raises(InvalidRequest) as refused:
                request(messages=messages)
            assert refused.value.param == f"messages[{len(messages) - 1}].tool_call_id"

    def test_an_empty_result_says_that_the_call_is_done(self):
        assert turns(USER, calling(call("a")), result("a", ""))[2]["content"] == [
            {"type": "tool_result", "tool_use_id": "a"}
        ]

    def test_legacy_calls_and_results_find_each_other_by_name(self):
        called = {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": "{}"}}
        said = turns(
            USER,
            called,
            {"role": "function", "name": "weather", "content": "sun"},
            called,
            {"role": "function", "name": "weather", "content": "rain"},
        )
        uses = [block["id"] for turn in said for block in turn["content"] if block["type"] == "tool_use"]
        results = [block["tool_use_id"] for turn in said for block in turn["content"] if block["type"] == "tool_result"]
        assert uses == results
        assert len(set(uses)) == 2

    def test_a_custom_tools_call_is_a_call_with_one_input(self):
        called = {"id": "a", "type": "custom", "custom": {"name": "grep", "input": "needle"}}
        said = turns(USER, calling(called), result("a"))
        assert said[1]["content"] == [{"type": "tool_use", "id": "a", "name": "grep", "input": {"input": "needle"}}]


class TestTools:
    def test_a_function_is_a_tool_with_a_schema_of_an_object(self):
        bare = {"type": "function", "function": {"name": "now", "description": "The time."}}
        assert body(tools=[bare])["tools"] == [
            {"name": "now", "description": "The time.", "input_schema": {"type": "object", "properties": {}}}
        ]

    def test_legacy_functions_are_tools_and_call_one_at_a_time(self):
        said = body(
            functions=[{"name": "now", "parameters": {"type": "object", "properties": {}}}], function_call="auto"
        )
        assert [tool["name"] for tool in said["tools"]] == ["now"]
        assert said["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}

    @pytest.mark.parametrize(
        ("choice", "said"),
        [
            ("auto", {"type": "auto"}),
            ("none", {"type": "none"}),
            ("required", {"type": "any"}),
            ({"type": "function", "function": {"name": "weather"}}, {"type": "tool", "name": "weather"}),
            ({"type": "custom", "custom": {"name": "grep"}}, {"type": "tool", "name": "grep"}),
        ],
    )
    def test_the_choice_of_tools(self, choice, said):
        assert body(tools=[WEATHER, GREP], tool_choice=choice)["tool_choice"] == said

    def test_one_call_at_a_time(self):
        tools = [WEATHER]
        assert body(tools=tools, parallel_tool_calls=False)["tool_choice"] == {
            "type": "auto",
            "disable_parallel_tool_use": True,
        }
        assert body(tools=tools, parallel_tool_calls=False, tool_choice="none")["tool_choice"] == {"type": "none"}
        assert "tool_choice" not in body(tools=tools, parallel_tool_calls=True)

    def test_a_choice_without_tools_is_not_sent(self):
        assert request(tool_choice="auto").dropped == ()
        wanted = request(tool_choice="required")
        assert "tool_choice" not in wanted.body
        assert wanted.dropped == ("tool_choice",)

    def test_where_a_model_refuses_to_be_forced_the_choice_is_dropped(self):
        wanted = request("claude-opus-5-5", tools=[WEATHER], tool_choice="required")
        assert wanted.body["tool_choice"] == {"type": "auto"}
        assert wanted.dropped == ("tool_choice",)

    def test_of_allowed_tools_only_these_are_sent(self):
        allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "time"}}]}
        wanted = request(tools=[WEATHER, TIME], tool_choice={"type": "allowed_tools", "allowed_tools": allowed})
        assert [tool["name"] for tool in wanted.body["tools"]] == ["time"]
        assert wanted.body["tool_choice"] == {"type": "any"}
        assert wanted.dropped == ("tools[0]",)

    def test_an_allowed_tool_that_is_none_of_the_tools_is_reported(self):
        named = [{"type": "function", "function": {"name": name}} for name in ("time", "tide")]
        choice = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": named}}
        assert request(tools=[TIME], tool_choice=choice).dropped == ("tool_choice.allowed_tools.tools[1]",)

    def test_a_custom_tool_takes_one_text_and_its_grammar_is_told(self):
        grammar = {"type": "grammar", "grammar": {"syntax": "regex", "definition": "[a-z]+"}}
        wanted = request(tools=[{"type": "custom", "custom": {**GREP["custom"], "format": grammar}}])
        (tool,) = wanted.body["tools"]
        assert tool["input_schema"]["required"] == ["input"]
        assert "Find." in tool["description"]
        assert "[a-z]+" in tool["description"]
        assert wanted.dropped == ("tools[0].custom.format",)

    def test_a_strict_tool_is_strict_where_its_schema_can_be_enforced(self):
        schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}
        strict = {"type": "function", "function": {"name": "f", "parameters": schema, "strict": True}}
        (tool,) = body(tools=[strict])["tools"]
        assert tool["strict"] is True
        assert tool["input_schema"]["additionalProperties"] is False
        assert "minimum" in tool["input_schema"]["properties"]["n"]["description"]
        old = request("claude-3-haiku-20240307", tools=[strict])
        assert old.body["tools"][0]["input_schema"] == schema
        assert old.dropped == ("tools[0].function.strict",)

    def test_web_search_is_anthropics_own_tool(self):
        place = {"type": "approximate", "approximate": {"city": "Köln", "country": "DE"}}
        wanted = request(web_search_options={"user_location": place, "search_context_size": "high"})
        assert wanted.body["tools"] == [
            {
                "type": "web_search_20250305",
                "name": "web_search",
                "user_location": {"type": "approximate", "city": "Köln", "country": "DE"},
            }
        ]
        assert wanted.dropped == ("web_search_options.search_context_size",)

    def test_web_search_is_not_one_of_the_allowed_tools(self):
        choice = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}
        wanted = request(tools=[WEATHER], tool_choice=choice, web_search_options={})
        assert [tool["name"] for tool in wanted.body["tools"]] == ["web_search"]
        assert wanted.dropped == ("tools[0]",)

    def test_web_search_is_dropped_where_it_could_not_be_used(self):
        assert request(tools=[WEATHER], tool_choice="none", web_search_options={}).dropped == ("web_search_options",)
        own = {"type": "function", "function": {"name": "web_search"}}
        assert request(tools=[own], web_search_options={}).dropped == ("web_search_options",)

    def test_anthropics_own_tools_pass(self):
        own = {"type": "web_fetch_20250910", "name": "web_fetch", "max_uses": 3}
        assert body(tools=[own])["tools"] == [own]


class TestThinking:
    def test_an_effort_is_a_budget_below_max_tokens(self):
        said = body(reasoning_effort="high")
        assert said["thinking"] == {"type": "enabled", "budget_tokens": 16384}
        assert said["max_tokens"] == 64000
        assert body(reasoning_effort="high", max_tokens=3000)["thinking"]["budget_tokens"] == 1500
        assert body(reasoning_effort="low", max_completion_tokens=1025)["thinking"]["budget_tokens"] == 1024

    def test_a_max_tokens_too_small_for_any_budget_goes_before_the_effort(self):
        wanted = request(reasoning_effort="low", max_tokens=1024)
        assert "thinking" not in wanted.body
        assert wanted.dropped == ("reasoning_effort",)

    def test_a_forced_tool_goes_before_the_effort(self):
        wanted = request(reasoning_effort="low", tools=[WEATHER], tool_choice="required")
        assert "thinking" not in wanted.body
        assert wanted.dropped == ("reasoning_effort",)

    def test_the_effort_goes_before_temperature_and_top_p(self):
        wanted = request(reasoning_effort="low", temperature=0.2, top_p=0.5)
        assert wanted.body["thinking"]["type"] == "enabled"
        assert {"temperature", "top_p"}.isdisjoint(wanted.body)
        assert wanted.dropped == ("temperature", "top_p")

    def test_a_tool_turn_without_its_thoughts_can_not_think_on(self):
        history = [USER, calling(call("a")), result("a")]
        wanted = request(messages=history, reasoning_effort="low")
        assert "thinking" not in wanted.body
        assert wanted.dropped == ("reasoning_effort",)
        with_thoughts = [USER, calling(call("a"), thinking_blocks=[THOUGHT]), result("a")]
        assert "thinking" in body(messages=with_thoughts, reasoning_effort="low")
        assert "thinking" in body(
            messages=[*history, {"role": "assistant", "content": "x"}, USER], reasoning_effort="low"
        )

    def test_signed_thoughts_come_first_in_their_turn(self):
        answer = {
            "role": "assistant",
            "content": "Hi",
            "reasoning_content": "Hm.",
            "thinking_blocks": [THOUGHT, HIDDEN],
        }
        wanted = request(messages=[USER, answer, USER])
        assert wanted.body["messages"][1]["content"] == [THOUGHT, HIDDEN, text("Hi")]
        assert wanted.dropped == ()

    def test_unsigned_thoughts_are_dropped(self):
        first = {"role": "assistant", "content": "Hi", "reasoning_content": "Hm."}
        second = {"role": "assistant", "content": "Hi", "thinking_blocks": [{"type": "thinking", "thinking": "Hm."}]}
        wanted = request(messages=[USER, first, USER, second, USER])
        assert wanted.dropped == ("messages[1].reasoning_content", "messages[3].thinking_blocks[0]")

    def test_no_effort_is_no_thinking(self):
        assert "thinking" not in body(reasoning_effort="none")
        assert body("claude-sonnet-5", reasoning_effort="none")["thinking"] == {"type": "disabled"}
        assert body("claude-sonnet-5-5", reasoning_effort="none")["thinking"] == {"type": "between_tools"}
        always = request("claude-opus-5-5", reasoning_effort="none")
        assert always.body["output_config"] == {"effort": "low"}
        assert always.dropped == ("reasoning_effort",)

    def test_newer_models_think_adaptively(self):
        said = body("claude-opus-4-8", reasoning_effort="xhigh")
        assert said["thinking"] == {"type": "adaptive", "display": "summarized"}
        assert said["output_config"] == {"effort": "xhigh"}
        less = request("claude-opus-4-6", reasoning_effort="xhigh")
        assert less.body["output_config"] == {"effort": "high"}
        assert less.dropped == ("reasoning_effort",)

    def test_a_forced_tool_turns_off_what_thinks_by_itself(self):
        assert body("claude-sonnet-5", tools=[WEATHER], tool_choice="required")["thinking"] == {"type": "disabled"}

    def test_models_that_can_not_think_drop_the_effort(self):
        assert request("claude-3-5-haiku-latest", reasoning_effort="high").dropped == ("reasoning_effort",)

    def test_anthropics_own_word_goes_first(self):
        own = {"type": "enabled", "budget_tokens": 2000}
        wanted = request(thinking=own, reasoning_effort="high", top_k=4)
        assert wanted.body["thinking"] == own
        assert "top_k" not in wanted.body
        assert wanted.dropped == ("reasoning_effort", "top_k")


class TestSettings:
    def test_max_tokens_is_the_clients_or_else_the_models(self):
        assert body(max_tokens=5)["max_tokens"] == 5
        assert body(max_completion_tokens=6)["max_tokens"] == 6
        assert body("claude-3-haiku-20240307")["max_tokens"] == 4096
        assert body("claude-opus-4-20250514")["max_tokens"] == 32000
        assert body("claude-opus-5-5")["max_tokens"] == 128000
        both = request(max_tokens=5, max_completion_tokens=6)
        assert both.body["max_tokens"] == 6
        assert both.dropped == ("max_tokens",)

    def test_no_token_at_all_is_refused(self):
        with pytest.raises(InvalidRequest) as refused:
            request(max_tokens=0)
        assert refused.value.param == "max_tokens"

    def test_a_temperature_over_one_is_one_and_reported(self):
        wanted = request(temperature=1.4)
        assert wanted.body["temperature"] == 1
        assert wanted.dropped == ("temperature",)
        assert request(temperature=0).body["temperature"] == 0

    def test_models_that_take_one_of_temperature_and_top_p_get_the_one_that_says_something(self):
        first = request(temperature=0.5, top_p=0.9)
        assert (first.body["temperature"], first.dropped) == (0.5, ("top_p",))
        second = request(temperature=1, top_p=0.9)
        assert (second.body["top_p"], second.dropped) == (0.9, ("temperature",))
        old = request("claude-3-7-sonnet-latest", temperature=0.5, top_p=0.9)
        assert (old.body["temperature"], old.body["top_p"], old.dropped) == (0.5, 0.9, ())

    def test_models_without_temperature_are_not_told_one(self):
        wanted = request("claude-opus-4-8", temperature=0.5, top_p=1)
        assert "temperature" not in wanted.body
        assert wanted.body["top_p"] == 1
        assert wanted.dropped == ("temperature",)

    def test_stop_is_a_list_without_blank_ones(self):
        assert body(stop="END")["stop_sequences"] == ["END"]
        assert body(stop=["\nObservation:"])["stop_sequences"] == ["\nObservation:"]
        assert "stop_sequences" not in body(stop=[])
        wanted = request(stop=["\n\n", "END"])
        assert wanted.body["stop_sequences"] == ["END"]
        assert wanted.dropped == ("stop",)

    def test_the_user_is_metadatas_user_id(self):
        assert body(user="u-1")["metadata"] == {"user_id": "u-1"}
        assert body(safety_identifier="s-1")["metadata"] == {"user_id": "s-1"}
        assert request(user="u-1", safety_identifier="s-1").dropped == ("safety_identifier",)
        assert request(metadata={"user_id": "u-1", "run": "7"}).dropped == ("metadata.run",)
        assert request(metadata={"run": "7"}).dropped == ("metadata",)

    @pytest.mark.parametrize("user", ["ann@example.com", "+49 221 1234567", "u" * 300])
    def test_a_personal_datum_is_not_sent_as_user(self, user):
        wanted = request(user=user)
        assert "metadata" not in wanted.body
        assert wanted.dropped == ("user",)

    def test_service_tiers(self):
        assert body(service_tier="default")["service_tier"] == "standard_only"
        assert body(service_tier="priority")["service_tier"] == "auto"
        assert request(service_tier="flex").dropped == ("service_tier",)

    def test_what_has_no_place_is_dropped_by_name_but_for_defaults(self):
        wanted = request(
            seed=1,
            n=2,
            logprobs=True,
            logit_bias={"1": 2},
            store=True,
            verbosity="low",
            unknown={"a": 1},
            presence_penalty=0.5,
        )
        assert set(wanted.dropped) == {
            "seed",
            "n",
            "logprobs",
            "logit_bias",
            "store",
            "verbosity",
            "unknown",
            "presence_penalty",
        }
        assert request(n=1, logprobs=False, store=False, modalities=["text"], metadata={}, seed=None).dropped == ()

    def test_anthropics_own_fields_pass(self):
        servers = [{"type": "url", "url": "https://example.com/mcp", "name": "x"}]
        wanted = request(top_k=5, mcp_servers=servers, betas=["mcp-client-2025-11-20", "x-1"])
        assert wanted.body["top_k"] == 5
        assert wanted.body["mcp_servers"] == servers
        assert wanted.headers["anthropic-beta"] == "mcp-client-2025-11-20,x-1"
        assert "betas" not in wanted.body
        assert request(mcp_servers=servers).headers["anthropic-beta"].startswith("mcp-client-")

    def test_a_beta_that_is_no_header_is_refused(self):
        with pytest.raises(InvalidRequest):
            request(betas=["x\r\ny: z"])

    def test_version_and_stream(self):
        wanted = request(stream=True, stream_options={"include_usage": True})
        assert wanted.path == "/v1/messages"
        assert wanted.headers == {"anthropic-version": "2023-06-01"}
        assert wanted.body["stream"] is True
        assert wanted.dropped == ()


def schema_of(schema, model="claude-sonnet-4-5", **more):
    form = {"type": "json_schema", "json_schema": {"name": "thing", "schema": schema, **more}}
    return request(model, response_format=form)


class TestFormats:
    def test_a_schema_is_enforced_with_every_object_closed(self):
        said = schema_of(POINT, strict=True, description="A point.").body["output_config"]["format"]
        assert said["type"] == "json_schema"
        assert said["schema"]["title"] == "thing"
        assert said["schema"]["description"] == "A point."
        assert said["schema"]["additionalProperties"] is False
        assert said["schema"]["$defs"]["P"]["additionalProperties"] is False
        assert said["schema"]["properties"]["x"] == {"type": "integer", "description": 'Right.\n\n{"minimum":0}'}
        assert said["schema"]["$defs"]["P"]["properties"]["y"] == {"type": ["string", "null"], "format": "date"}

    def test_a_reference_keeps_what_is_said_beside_it(self):
        schema = {**POINT, "properties": {"p": {"$ref": "#/$defs/P", "description": "Where it is."}}}
        said = schema_of(schema).body["output_config"]["format"]["schema"]["properties"]["p"]
        assert said == {"description": "Where it is.", "anyOf": [{"$ref": "#/$defs/P"}]}

    @pytest.mark.parametrize(
        "schema",
        [
            {"type": "object"},
            {"type": "object", "properties": {"a": {"type": "object", "additionalProperties": {"type": "string"}}}},
            {"type": "object", "properties": {"a": {"$ref": "#"}}},
            {"type": "object", "properties": {"a": {}}},
            {"type": "object", "properties": {"a": {"$ref": "https://example.com/schema"}}},
            {"type": "array", "items": {"type": "string"}},
        ],
    )
    def test_a_schema_that_can_not_be_enforced_is_told(self, schema):
        wanted = schema_of(schema, strict=True)
        assert "output_config" not in wanted.body
        told = wanted.body["system"][-1]["text"]
        assert json.loads(told.partition("\n")[2]) == {"title": "thing", **schema}
        assert wanted.dropped == ("response_format.json_schema.strict",)

    def test_models_without_structured_outputs_are_told(self):
        assert "JSON schema" in schema_of(POINT, model="claude-3-haiku-20240307").body["system"][-1]["text"]

    def test_a_json_object_is_asked_for_in_words(self):
        said = body(response_format={"type": "json_object"}, messages=[{"role": "system", "content": "Be kind."}, USER])
        assert len(said["system"]) == 2
        assert "JSON object" in said["system"][-1]["text"]

    def test_the_effort_and_the_schema_share_their_place(self):
        form = {"type": "json_schema", "json_schema": {"name": "p", "schema": POINT}}
        said = body("claude-opus-4-8", response_format=form, reasoning_effort="low")
        assert set(said["output_config"]) == {"effort", "format"}


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "properties", "items", "anyOf", "oneOf", "allOf", "$ref", "$defs", "enum", "required"]
            ),
            inner | st.sampled_from(["object", "string", "#", "#/$defs/a", "array"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)
OWN = ["thinking", "output_config", "betas", "container", "mcp_servers", "top_k", "cache_control", "fallbacks"]


@given(
    schema=st.dictionaries(st.sampled_from(["type", "properties", "anyOf", "$ref", "items"]), ANY_JSON),
    strict=st.booleans(),
)
@settings(deadline=None, suppress_health_check=list(HealthCheck))
def test_no_schema_is_a_fault_of_ours(schema, strict):
    tool = {"type": "function", "function": {"name": "f", "parameters": schema, "strict": strict}}
    form = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object", **schema}}}
    assert request(tools=[tool], response_format=form).body


@given(own=st.dictionaries(st.sampled_from(OWN), ANY_JSON), effort=st.sampled_from([None, "none", "low", "odd"]))
@settings(deadline=None, suppress_health_check=list(HealthCheck))
def test_no_field_of_anthropics_own_is_a_fault_of_ours(own, effort):
    with suppress(InvalidRequest):
        assert request(**own, reasoning_effort=effort).body


@pytest.mark.parametrize(
    ("name", "like"),
    [
        ("claude-sonnet-4-5-20250929", "claude-haiku-4.5"),
        ("claude-opus-4-20250514", "claude-opus-4-0"),
        ("claude-3-7-sonnet@20250219", "claude-3-7-sonnet-latest"),
        ("claude-3-opus-20240229", "claude-3-haiku-20240307"),
        ("anthropic/claude-opus-4.8", "claude-opus-4-7"),
        ("claude-opus-9", "claude-opus-5-5"),
        ("claude-mythos-preview", "claude-fable-5"),
        ("my-alias", "claude-next"),
    ],
)
def test_models_are_known_by_family_and_version(name, like):
    assert model_traits(name) == model_traits(like)


def message(*blocks, stop="end_turn", **more):
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-served",
        "content": list(blocks),
        "stop_reason": stop,
        "usage": {"input_tokens": 3, "output_tokens": 5},
        **more,
    }


def completion(*blocks, stop="end_turn", chat=None, **more):
    return ADAPTER.completion(ask(**(chat or {})), message(*blocks, stop=stop, **more))


def choice(*blocks, **more):
    return completion(*blocks, **more)["choices"][0]


def use(ident="toolu_1", name="weather", **given):
    return {"type": "tool_use", "id": ident, "name": name, "input": given}


class TestAnswer:
    def test_an_answer_says_who_answered(self):
        answer = completion(text("Hi"))
        assert (answer["id"], answer["model"], answer["created"]) == ("msg_1", "claude-served", 1700000000)

    def test_texts_are_one_and_calls_are_calls(self):
        said = choice(text("a"), text("b"), use(city="Köln"), stop="tool_use")
        assert said["message"]["content"] == "ab"
        assert said["message"]["tool_calls"] == [
            {"id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Köln"}'}}
        ]
        assert said["finish_reason"] == "tool_calls"

    def test_content_is_null_beside_calls_and_empty_without_anything(self):
        assert choice(use(), stop="tool_use")["message"]["content"] is None
        assert choice()["message"]["content"] == ""

    def test_thoughts_are_reasoning_and_keep_their_signatures(self):
        signed = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
        hidden = {"type": "redacted_thinking", "data": "ZGF0YQ=="}
        said = choice(signed, hidden, text("Hi"))["message"]
        assert said["reasoning_content"] == "Hm."
        assert said["thinking_blocks"] == [signed, hidden]

    def test_an_answers_thoughts_go_back_as_they_came(self):
        signed = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
        said = choice(signed, use(), stop="tool_use")["message"]
        wanted = request(messages=[USER, said, result("toolu_1")], reasoning_effort="low")
        assert wanted.body["messages"][1]["content"] == [signed, use()]
        assert "thinking" in wanted.body
        assert wanted.dropped == ()

    @pytest.mark.parametrize(
        ("stop", "finish"),
        [
            ("end_turn", "stop"),
            ("stop_sequence", "stop"),
            ("pause_turn", "stop"),
            ("compaction", "stop"),
            ("max_tokens", "length"),
            ("model_context_window_exceeded", "length"),
            ("tool_use", "tool_calls"),
            ("refusal", "content_filter"),
            ("something_new", "stop"),
            (None, "stop"),
        ],
    )
    def test_why_it_stopped(self, stop, finish):
        assert choice(text("Hi"), stop=stop)["finish_reason"] == finish

    def test_called_tools_are_the_finish_reason_whatever_the_stop_reason(self):
        assert choice(use(), stop="end_turn")["finish_reason"] == "tool_calls"
        assert choice(use(), stop="max_tokens")["finish_reason"] == "length"

    def test_what_anthropics_own_tools_did_is_not_shown(self):
        said = choice(
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
            {"type": "mcp_tool_use", "id": "m", "name": "x", "server_name": "y", "input": {}},
            {"type": "something_new"},
            text("Done"),
        )
        assert said["message"] == {"role": "assistant", "content": "Done", "refusal": None}
        assert said["finish_reason"] == "stop"

    def test_cached_tokens_are_prompt_tokens(self):
        used = {
            "input_tokens": 3,
            "cache_read_input_tokens": 20,
            "cache_creation_input_tokens": 100,
            "output_tokens": 5,
            "output_tokens_details": {"thinking_tokens": 2},
        }
        assert completion(text("Hi"), usage=used)["usage"] == {
            "prompt_tokens": 123,
            "completion_tokens": 5,
            "total_tokens": 128,
            "prompt_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 100},
            "completion_tokens_details": {"reasoning_tokens": 2},
        }

    def test_tokens_of_compaction_count(self):
        rounds = [
            {"type": "compaction", "input_tokens": 1000, "output_tokens": 50, "cache_read_input_tokens": 7},
            {"type": "message", "input_tokens": 3, "output_tokens": 5},
        ]
        used = completion(usage={"input_tokens": 3, "output_tokens": 5, "iterations": rounds})["usage"]
        assert (used["prompt_tokens"], used["completion_tokens"]) == (1010, 55)

    def test_pages_of_the_web_are_annotations_of_the_text_that_cites_them(self):
        page = {"type": "web_search_result_location", "url": "https://example.com", "title": None}
        place = {"type": "char_location", "document_index": 0}
        said = choice(text("Look: "), {**text("rain"), "citations": [page, place]})["message"]
        assert said["annotations"] == [
            {
                "type": "url_citation",
                "url_citation": {"start_index": 6, "end_index": 10, "url": "https://example.com", "title": ""},
            }
        ]

    def test_who_asked_with_functions_is_answered_with_a_function_call(self):
        said = choice(use(city="Rom"), stop="tool_use", chat={"functions": [{"name": "weather"}]})
        assert said["message"]["function_call"] == {"name": "weather", "arguments": '{"city":"Rom"}'}
        assert "tool_calls" not in said["message"]
        assert said["finish_reason"] == "function_call"

    def test_a_custom_tools_call_has_its_text(self):
        said = choice(use(name="grep", input="needle"), stop="tool_use", chat={"tools": [GREP]})
        assert said["message"]["tool_calls"] == [
            {"id": "toolu_1", "type": "custom", "custom": {"name": "grep", "input": "needle"}}
        ]

    def test_the_service_tier_in_openais_word(self):
        assert completion(usage={"output_tokens": 1, "service_tier": "standard"})["service_tier"] == "default"
        assert "service_tier" not in completion(usage={"output_tokens": 1, "service_tier": "batch"})

    def test_an_error_under_a_200_is_an_error(self):
        with pytest.raises(UpstreamFailed) as failed:
            ADAPTER.completion(ask(), {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
        assert (failed.value.upstream_status, failed.value.message) == (529, "Overloaded")

    @pytest.mark.parametrize("data", [{}, {"content": "text"}, [], None, "text"])
    def test_what_is_no_message_is_the_upstreams_fault(self, data):
        with pytest.raises(UpstreamFailed):
            ADAPTER.completion(ask(), data)


def stream(*said, **chat):
    events = [one if isinstance(one, Pause | Event) else Event("", json.dumps(one).encode()) for one in said]
    return list(ADAPTER.chunks(ask(stream=True, **chat), events))


def deltas(chunks):
    return [choice["delta"] for chunk in chunks for choice in chunk["choices"]]


START = {"type": "message_start", "message": {**message(stop=None), "usage": {"input_tokens": 3, "output_tokens": 1}}}
END = [
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
    {"type": "message_stop"},
]


def begun(index, block):
    return {"type": "content_block_start", "index": index, "content_block": block}


def grown(index, kind, **delta):
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **delta}}


def ended(index):
    return {"type": "content_block_stop", "index": index}


class TestStream:
    def test_the_role_comes_first_and_pings_say_nothing(self):
        chunks = stream(
            {"type": "ping"}, START, {"type": "ping"}, begun(0, text("")), grown(0, "text_delta", text="Hi")
        )
        assert deltas(chunks) == [{"role": "assistant", "content": ""}, {"content": "Hi"}]

    def test_the_messages_end_is_the_streams_whatever_follows(self):
        def events():
            for one in (START, begun(0, text("")), grown(0, "text_delta", text="Hi"), ended(0), *END):
                yield Event("", json.dumps(one).encode())
            raise AssertionError("nobody should wait for more")

        last = list(ADAPTER.chunks(ask(stream=True), events()))[-1]
        assert last["usage"]["completion_tokens"] == 5

    def test_tool_indexes_start_at_zero_after_text_and_anthropics_own_tools(self):
        chunks = stream(
            START,
            begun(0, text("")),
            ended(0),
            begun(1, {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}),
            grown(1, "input_json_delta", partial_json='{"query":"x"}'),
            ended(1),
            begun(2, use("a")),
            grown(2, "input_json_delta", partial_json=""),
            grown(2, "input_json_delta", partial_json='{"city":'),
            grown(2, "input_json_delta", partial_json='"Rom"}'),
            ended(2),
            begun(3, use("b")),
            ended(3),
            *END,
        )
        calls = [call for delta in deltas(chunks) for call in delta.get("tool_calls", ())]
        assert [(one["index"], one.get("id"), one["function"]["arguments"]) for one in calls] == [
            (0, "a", ""),
            (0, None, '{"city":'),
            (0, None, '"Rom"}'),
            (1, "b", ""),
            (1, None, "{}"),
        ]
        assert chunks[-2]["choices"][0]["finish_reason"] == "tool_calls"

    def test_arguments_that_come_whole_at_the_beginning_are_said(self):
        chunks = stream(START, begun(0, use("a", city="Rom")), ended(0), *END)
        assert deltas(chunks)[2]["tool_calls"][0]["function"]["arguments"] == '{"city":"Rom"}'

    def test_usage_is_the_last_word_on_each_count(self):
        last = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
        counts = {
            "input_tokens": 4,
            "cache_read_input_tokens": 6,
            "cache_creation_input_tokens": None,
            "output_tokens": 5,
        }
        chunks = stream(START, {**last, "usage": counts}, END[1])
        assert chunks[-1]["choices"] == []
        assert chunks[-1]["usage"]["prompt_tokens"] == 10
        assert chunks[-1]["usage"]["completion_tokens"] == 5
        assert chunks[-1]["usage"]["prompt_tokens_details"] == {"cached_tokens": 6, "cache_write_tokens": 0}

    def test_a_thought_streams_and_comes_whole_with_its_signature(self):
        chunks = stream(
            START,
            begun(0, {"type": "thinking", "thinking": "", "signature": ""}),
            grown(0, "thinking_delta", thinking="Hm"),
            grown(0, "thinking_delta", thinking="."),
            grown(0, "signature_delta", signature="c2ln"),
            ended(0),
            begun(1, {"type": "redacted_thinking", "data": "ZGF0YQ=="}),
            ended(1),
        )
        assert deltas(chunks)[1:] == [
            {"reasoning_content": "Hm"},
            {"reasoning_content": "."},
            {"thinking_blocks": [{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}]},
            {"thinking_blocks": [{"type": "redacted_thinking", "data": "ZGF0YQ=="}]},
        ]

    def test_citations_follow_their_text(self):
        page = {"type": "web_search_result_location", "url": "https://example.com", "title": "Page"}
        chunks = stream(
            START,
            begun(0, text("")),
            grown(0, "text_delta", text="It rains."),
            grown(0, "citations_delta", citation=page),
            ended(0),
        )
        (note,) = deltas(chunks)[-1]["annotations"]
        assert (note["url_citation"]["start_index"], note["url_citation"]["end_index"]) == (0, 9)

    def test_a_custom_tools_text_comes_when_it_is_whole(self):
        pieces = ['{"inp', 'ut": "nee', 'dle"}']
        chunks = stream(
            START,
            begun(0, use("a", name="grep")),
            *(grown(0, "input_json_delta", partial_json=piece) for piece in pieces),
            ended(0),
            *END,
            tools=[GREP],
        )
        assert deltas(chunks)[1] == {
            "tool_calls": [{"index": 0, "id": "a", "type": "custom", "custom": {"name": "grep", "input": "needle"}}]
        }

    def test_who_asked_with_functions_hears_of_one_function_call(self):
        chunks = stream(
            START,
            begun(0, use("a")),
            grown(0, "input_json_delta", partial_json='{"city":"Rom"}'),
            ended(0),
            *END,
            functions=[{"name": "weather"}],
        )
        assert deltas(chunks)[1:3] == [
            {"function_call": {"name": "weather", "arguments": ""}},
            {"function_call": {"arguments": '{"city":"Rom"}'}},
        ]
        assert chunks[-2]["choices"][0]["finish_reason"] == "function_call"

    def test_the_end_of_openais_streams_is_no_event(self):
        chunks = stream(START, *END, Event("data", b"[DONE]"))
        assert chunks[-1]["usage"]["completion_tokens"] == 5

    def test_a_stream_that_forgets_its_last_event_did_end(self):
        chunks = stream(START, END[0])
        assert [one["finish_reason"] for chunk in chunks for one in chunk["choices"]][-1] == "stop"
        assert chunks[-1]["usage"]["completion_tokens"] == 5

    def test_events_and_blocks_that_are_not_known_pass_by(self):
        chunks = stream(
            START,
            {"type": "something_new"},
            {"no": "type"},
            begun(0, {"type": "fallback", "from": {}, "to": {}}),
            grown(0, "something_new", text="x"),
            ended(0),
            ended(7),
        )
        assert deltas(chunks) == [{"role": "assistant", "content": ""}]

    @pytest.mark.parametrize(
        ("kind", "fault", "status"),
        [
            ("overloaded_error", UpstreamFailed, 529),
            ("api_error", UpstreamFailed, 500),
            ("rate_limit_error", UpstreamLimited, 429),
            ("authentication_error", UpstreamCredentials, 401),
            ("invalid_request_error", UpstreamRejected, 400),
            ("something_new", UpstreamFailed, 502),
        ],
    )
    def test_an_error_event_is_the_error_that_its_type_says(self, kind, fault, status):
        told = {"type": "error", "error": {"type": kind, "message": "Its own words"}}
        with pytest.raises(fault) as raised:
            stream(START, Event("error", json.dumps(told).encode()))
        assert raised.value.upstream_status == status
        assert raised.value.message == "Its own words"

    @pytest.mark.parametrize("data", [b"{", b"[]", b"\xff", b"null"])
    def test_nonsense_is_the_upstreams_fault(self, data):
        with pytest.raises(UpstreamFailed):
            stream(START, Event("", data))


class TestErrors:
    def test_its_own_words_and_openais_field(self):
        told = {"type": "error", "error": {"type": "invalid_request_error", "message": "max_tokens: 9 > 8"}}
        assert ADAPTER.error(400, told) == {"message": "max_tokens: 9 > 8", "param": "max_tokens"}

    @pytest.mark.parametrize(
        "words",
        [
            "prompt is too long: 210000 tokens > 200000 maximum",
            "input length and `max_tokens` exceed context limit: 199000 + 8192 > 200000",
        ],
    )
    def test_a_prompt_that_is_too_long_has_openais_code(self, words):
        told = ADAPTER.error(400, {"error": {"message": words}})
        assert (told["code"], told["param"]) == ("context_length_exceeded", "messages")

    def test_an_unknown_model_has_openais_code(self):
        told = ADAPTER.error(404, {"error": {"type": "not_found_error", "message": "model: claude-x"}})
        assert told == {"message": "model: claude-x", "code": "model_not_found", "param": "model"}

    def test_a_limit_of_tokens_is_one_of_tokens(self):
        assert ADAPTER.error(429, {"error": {"message": "limit of 50,000 input tokens per minute"}})["type"] == "tokens"

    @pytest.mark.parametrize(
        "body", ["It broke", {"error": "It broke"}, {"message": "It broke"}, {"detail": "It broke"}]
    )
    def test_words_are_found_in_any_shape(self, body):
        assert ADAPTER.error(500, body)["message"] == "It broke"

    def test_a_page_of_html_is_no_message(self):
        assert "<" not in ADAPTER.error(502, "<html><body>Bad gateway</body></html>")["message"]
