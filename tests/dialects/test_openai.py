"""OpenAI's dialect: what passes unharmed, and what each vendor's quirks come out as."""

import json

import pytest

from gateway.catalog.vendors import VENDORS
from gateway.dialects.contract import TargetRequest
from gateway.dialects.openai.adapter import ADAPTER
from gateway.errors import UpstreamCredentials, UpstreamFailed, UpstreamLimited, UpstreamRejected
from gateway.stream_events import PAUSE, Event, Pause

HELLO = {"messages": [{"role": "user", "content": "Hello"}], "model": "m"}


def ask(vendor="openai", model="gpt-x", **chat):
    return TargetRequest({**HELLO, **chat}, model, VENDORS[vendor], "chatcmpl-ours", 1700000000)


def request(*args, **chat):
    return ADAPTER.vendor_request(ask(*args, **chat))


def answer(choice=None, **members):
    message = {"role": "assistant", "content": "Hi"}
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 5,
        "model": "served",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", **(choice or {})}],
        **members,
    }


def completion(data, vendor="openai"):
    return ADAPTER.completion(ask(vendor), data)


def chunk(delta=None, finish=None, **members):
    choices = [{"index": 0, "delta": delta if delta is not None else {}, "finish_reason": finish}]
    return {
        "id": "x",
        "object": "chat.completion.chunk",
        "created": 5,
        "model": "served",
        "choices": choices,
        **members,
    }


def stream(*said, vendor="openai"):
    events = [one if isinstance(one, Pause | Event) else Event("", json.dumps(one).encode()) for one in said]
    return list(ADAPTER.chunks(ask(vendor), [*events, Event("", b"[DONE]")]))


def deltas(chunks):
    return [choice["delta"] for one in chunks for choice in one["choices"]]


class TestRequest:
    def test_unknown_fields_pass_at_every_depth(self):
        odd = {"role": "user", "content": [{"type": "text", "text": "x", "odd": {"n": [1]}}], "odd": 2}
        told = request(messages=[odd], odd={"a": None})
        assert told.body == {"messages": [odd], "model": "gpt-x", "odd": {"a": None}}
        assert told.dropped == ()

    def test_usage_of_a_stream_is_asked_for_whether_the_client_wants_it_or_not(self):
        assert request(stream=True).body["stream_options"] == {"include_usage": True}
        told = request(stream=True, stream_options={"include_obfuscation": False, "include_usage": False})
        assert told.body["stream_options"] == {"include_obfuscation": False, "include_usage": True}
        assert "stream_options" not in request().body

    def test_a_vendor_that_knows_no_stream_options_gets_none(self):
        told = request("mistral", stream=True, stream_options={"include_usage": True, "include_obfuscation": False})
        assert "stream_options" not in told.body
        assert told.dropped == ("stream_options.include_obfuscation",)

    def test_a_vendors_own_names_are_used(self):
        told = request("mistral", max_completion_tokens=5, seed=7)
        assert (told.body["max_tokens"], told.body["random_seed"]) == (5, 7)
        assert not {"max_completion_tokens", "seed"} & told.body.keys()

    def test_reasoning_models_of_openai_take_max_completion_tokens_alone(self):
        assert request(model="o3-mini", max_tokens=5).body["max_completion_tokens"] == 5
        assert request(model="gpt-4o", max_tokens=5).body["max_tokens"] == 5

    def test_of_two_names_for_one_thing_the_vendors_wins_and_the_other_is_reported(self):
        told = request("mistral", max_completion_tokens=5, max_tokens=6)
        assert told.body["max_tokens"] == 6
        assert told.dropped == ("max_completion_tokens",)

    def test_what_a_vendor_refuses_is_dropped_by_name(self):
        told = request("groq", logprobs=True, top_logprobs=None, messages=[{**HELLO["messages"][0], "name": "Ann"}])
        assert not {"logprobs", "top_logprobs"} & told.body.keys()
        assert "name" not in told.body["messages"][0]
        assert set(told.dropped) == {"logprobs", "messages[0].name"}

    def test_developer_is_system_where_that_role_is_unknown(self):
        messages = [{"role": "developer", "content": "Be brief."}]
        assert request("deepseek", messages=messages).body["messages"][0]["role"] == "system"
        assert request("openai", messages=messages).body["messages"] == messages

    def test_reasoning_goes_back_under_the_vendors_name_or_is_reported(self):
        said = [{"role": "assistant", "content": "Hi", "reasoning_content": "Hm", "thinking_blocks": [{}]}]
        assert request("deepseek", messages=said).body["messages"] == said
        groq = request("groq", messages=said)
        assert groq.body["messages"] == [{"role": "assistant", "content": "Hi", "reasoning": "Hm"}]
        assert set(request(messages=said).dropped) == {"messages[0].reasoning_content", "messages[0].thinking_blocks"}

    def test_the_clients_request_is_not_touched(self):
        asked = ask("mistral", stream=True, seed=1, messages=[{"role": "developer", "content": "x"}])
        before = json.dumps(asked.chat)
        ADAPTER.vendor_request(asked)
        assert json.dumps(asked.chat) == before

    def test_embeddings_pass_with_the_upstreams_model(self):
        asked = ask()._replace(chat={"model": "m", "input": "x", "odd": 1})
        told = ADAPTER.embeddings_request(asked)
        assert (told.path, told.body) == ("/embeddings", {"model": "gpt-x", "input": "x", "odd": 1})


class TestCompletion:
    def test_what_needs_no_change_is_not_changed(self):
        data = answer(odd={"x": 1}, usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "odd": 1})
        data["choices"][0]["odd"] = 1
        data["choices"][0]["message"]["odd"] = [1]
        assert completion(data) == data

    def test_what_is_missing_is_filled_in(self):
        data = {"choices": [{"message": {"content": "Hi"}}]}
        assert completion(data) == {
            "id": "chatcmpl-ours",
            "object": "chat.completion",
            "created": 1700000000,
            "model": "gpt-x",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
        }

    @pytest.mark.parametrize(
        "word, reason",
        [
            ("eos", "stop"),
            ("model_length", "length"),
            ("tool_use", "tool_calls"),
            ("SAFETY", "content_filter"),
            ("odd", "stop"),
        ],
    )
    def test_finish_reasons_are_openais(self, word, reason):
        assert completion(answer({"finish_reason": word}))["choices"][0]["finish_reason"] == reason

    def test_reasoning_is_reasoning_content(self):
        told = completion(answer({"message": {"content": "Hi", "reasoning": "Hm"}}))["choices"][0]["message"]
        assert told == {"role": "assistant", "content": "Hi", "reasoning_content": "Hm"}

    def test_content_in_parts_is_text_and_reasoning(self):
        parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}, {"type": "text", "text": "Hi"}]
        told = completion(answer({"message": {"content": parts}}))["choices"][0]["message"]
        assert (told["content"], told["reasoning_content"]) == ("Hi", "Hm")

    def test_tool_calls_have_ids_and_text_for_arguments(self):
        calls = [
            {"function": {"name": "f", "arguments": {"a": 1}}},
            {"id": "", "function": {"name": "g", "arguments": None}},
        ]
        told = completion(answer({"message": {"tool_calls": calls}, "finish_reason": "tool_calls"}))
        first, second = told["choices"][0]["message"]["tool_calls"]
        assert (first["type"], json.loads(first["function"]["arguments"])) == ("function", {"a": 1})
        assert second["function"]["arguments"] == ""
        assert len({"", first["id"], second["id"]}) == 3

    def test_no_tool_calls_is_no_list_of_them(self):
        message = completion(answer({"message": {"content": "Hi", "tool_calls": None}}))["choices"][0]["message"]
        assert "tool_calls" not in message

    def test_groqs_usage_is_found(self):
        assert completion(answer(x_groq={"usage": {"prompt_tokens": 1}}))["usage"] == {"prompt_tokens": 1}

    @pytest.mark.parametrize(
        "error, kind, status",
        [
            ({"message": "slow down", "code": 429}, UpstreamLimited, 429),
            ({"message": "no", "code": "content_filter", "status": 400}, UpstreamRejected, 400),
            ({"message": "bad key", "code": 401}, UpstreamCredentials, 502),
            ("broken", UpstreamFailed, 502),
        ],
    )
    def test_an_error_under_a_200_is_an_error(self, error, kind, status):
        with pytest.raises(kind) as raised:
            completion({"error": error})
        assert raised.value.status == status

    def test_a_choice_that_ended_in_an_error_is_an_error(self):
        with pytest.raises(UpstreamFailed, match="lost"):
            completion(answer({"finish_reason": "error", "error": {"message": "lost", "code": 502}}))

    @pytest.mark.parametrize("data", [{}, {"choices": None}, {"choices": ["x"]}, {"choices": [{}]}])
    def test_nonsense_is_the_upstreams_fault(self, data):
        with pytest.raises(UpstreamFailed):
            completion(data)


class TestStream:
    def test_the_first_delta_has_the_role_and_the_others_do_not(self):
        told = stream(chunk({"content": "a"}), chunk({"role": "assistant", "content": "b"}), chunk({}, "stop"))
        assert deltas(told) == [{"content": "a", "role": "assistant"}, {"content": "b"}, {}]

    def test_a_pause_is_passed_on(self):
        told = list(ADAPTER.chunks(ask(), [PAUSE, Event("", json.dumps(chunk({"content": "a"})).encode()), PAUSE]))
        assert [isinstance(one, Pause) for one in told] == [True, False, True]

    def test_identity_is_the_same_in_every_chunk(self):
        told = stream(chunk({"content": "a"}), {**chunk({}, "stop"), "id": "other", "model": "m2", "created": 6.5})
        assert {(one["id"], one["model"], one["created"]) for one in told} == {("x", "served", 5)}

    def test_a_first_chunk_without_an_id_takes_the_next_ones(self):
        early = {"id": "", "model": "", "object": "", "choices": [], "prompt_filter_results": [1]}
        told = stream(early, chunk({"content": "a"}), chunk({}, "stop"))
        assert told[0]["prompt_filter_results"] == [1]
        assert {one["id"] for one in told} == {"x"}

    @pytest.mark.parametrize(
        "said",
        [
            [chunk({}, "stop", usage={"prompt_tokens": 1})],
            [chunk({}, "stop"), {**chunk(), "choices": [], "usage": {"prompt_tokens": 1}}],
            [chunk({}, "stop"), chunk({}, usage={"prompt_tokens": 1})],
            [chunk({}, "stop", x_groq={"usage": {"prompt_tokens": 1}})],
            [chunk({"content": "a"}, usage={"prompt_tokens": 9}), chunk({}, "stop", usage={"prompt_tokens": 1})],
        ],
    )
    def test_usage_comes_once_and_last_wherever_it_stood(self, said):
        told = stream(chunk({"content": "a"}), *said)
        assert [one["usage"] for one in told if one.get("usage")] == [{"prompt_tokens": 1}]
        assert told[-1]["choices"] == []
        assert [c["finish_reason"] for one in told for c in one["choices"] if c["finish_reason"]] == ["stop"]

    def test_a_finish_reason_comes_once(self):
        told = stream(chunk({"content": "a"}, "stop"), chunk({"content": ""}, "stop"))
        assert [c["finish_reason"] for one in told for c in one["choices"]] == ["stop"]

    def test_content_after_a_finish_reason_is_not_lost(self):
        told = stream(chunk({"content": "a"}, "stop"), chunk({"content": "b"}, "stop"))
        assert "".join(delta["content"] for delta in deltas(told)) == "ab"

    def test_calls_are_counted_from_zero_whatever_the_vendor_says(self):
        calls = [
            {"id": "a", "index": 1, "function": {"name": "f", "arguments": ""}},
            {"id": "", "index": 1, "function": {"name": "", "arguments": "{}"}},
            {"id": "b", "index": 1, "function": {"name": "g", "arguments": "{}"}},
            {"id": "c", "function": {"name": "h", "arguments": {"x": 1}}},
        ]
        told = [delta["tool_calls"][0] for delta in deltas(stream(*(chunk({"tool_calls": [call]}) for call in calls)))]
        assert [call["index"] for call in told] == [0, 0, 1, 2]
        assert [call.get("id") for call in told] == ["a", None, "b", "c"]
        assert "name" not in told[1]["function"]
        assert json.loads(told[3]["function"]["arguments"]) == {"x": 1}

    def test_reasoning_is_reasoning_content(self):
        told = stream(chunk({"reasoning": "Hm"}), chunk({"content": "Hi", "reasoning": None}), chunk({}, "stop"))
        assert deltas(told)[0] == {"reasoning_content": "Hm", "role": "assistant"}
        assert deltas(told)[1] == {"content": "Hi"}

    def test_the_cumulative_message_of_a_chunk_is_left_out(self):
        one = chunk({"content": "a"})
        one["choices"][0]["message"] = {"content": "a"}
        assert "message" not in stream(one)[0]["choices"][0]

    @pytest.mark.parametrize(
        "event", [Event("error", b'{"error": {"message": "over"}}'), Event("", b'{"error": "over"}')]
    )
    def test_an_error_event_is_an_error(self, event):
        with pytest.raises(UpstreamFailed, match="over"):
            stream(chunk({"content": "a"}), event)

    @pytest.mark.parametrize("data", [b"nonsense", b"[]", b'"x"'])
    def test_an_event_that_is_no_chunk_is_the_upstreams_fault(self, data):
        with pytest.raises(UpstreamFailed):
            stream(Event("", data))

    def test_unknown_fields_pass(self):
        one = chunk({"content": "a", "odd": 1}, odd=2, obfuscation="xx")
        assert stream(one)[0] == {
            **one,
            "choices": [{**one["choices"][0], "delta": {"content": "a", "odd": 1, "role": "assistant"}}],
        }


@pytest.mark.parametrize(
    "body, message",
    [
        ({"error": {"message": "no", "type": "t", "code": "c", "param": "p"}}, "no"),
        ({"error": "no"}, "no"),
        ({"message": "no"}, "no"),
        ({"detail": [{"msg": "no", "loc": ["x"]}]}, "no"),
        ({"code": "Client specified an invalid argument", "error": "no"}, "no"),
        ([{"error": {"message": "no"}}], "no"),
        ("no", "no"),
        ({"error": {"message": "no", "metadata": {"raw": "because"}}}, "no (because)"),
        ("<html>no</html>", "The upstream answered with status 400 and gave no reason."),
        ({}, "The upstream answered with status 400 and gave no reason."),
    ],
)
def test_an_error_body_of_any_shape_has_words(body, message):
    assert ADAPTER.error(400, body)["message"] == message
