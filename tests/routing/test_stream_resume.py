"""A stream that is carried on by another target reads as one."""

import pytest

from gateway.catalog.routing_policy import Policy
from gateway.errors import ClientDisconnected, UpstreamFailed
from gateway.routing.stream_resume import (
    INSTRUCTION,
    ResumeMethod,
    Transcript,
    may_repeat,
    repeated,
    resumable,
    resume_method,
    resume_request,
    splice,
)
from gateway.stream_events import PAUSE
from tests.support.fakes import RESET, USAGE, Room, call, chunk, sse, target

FAILED = UpstreamFailed("cut", upstream_status="truncated")
CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
LONG = "".join(f"This is sentence number {n} of a long answer. " for n in range(40)).strip()
SONNET = target("anthropic", "claude-sonnet-4-5")


def asked(*targets, **chat):
    made = call(*targets, stream=True, **chat)
    made.policy = Policy(continue_on_break=True)
    return made


def chunks(room, made):
    return [one for one in room.router.chunks(made) if one is not PAUSE]


def text(told):
    return "".join(choice["delta"].get("content") or "" for one in told for choice in one["choices"])


def broken_stream(*said):
    return sse(chunk("", role="assistant"), *map(chunk, said), RESET)


def whole_stream(*said):
    return sse(chunk("", role="assistant"), *map(chunk, said), chunk(finish="stop"), USAGE, "[DONE]")


class TestRouter:
    def test_the_next_target_goes_on_where_the_first_stopped(self):
        room = Room(broken_stream("The quick ", "brown"), whole_stream(" fox", " jumps."))
        made = asked(target("groq"), target("openai"))
        told = chunks(room, made)
        assert text(told) == "The quick brown fox jumps."
        assert len({one["id"] for one in told}) == 1
        assert [one["choices"][0]["delta"].get("role") for one in told if one["choices"]].count("assistant") == 1
        assert made.trail()["attempts"] == "groq:200,groq:connection,openai:200"
        second = room.transport.asked[1]["body"]["messages"]
        assert second[1:] == [
            {"role": "assistant", "content": "The quick brown"},
            {"role": "user", "content": INSTRUCTION},
        ]

    def test_the_usage_is_that_of_both(self):
        room = Room(broken_stream("word " * 40), whole_stream("more"))
        last = chunks(room, asked(target("groq"), target("openai")))[-1]
        assert last["usage"]["completion_tokens"] == 2 + 50
        assert last["usage"]["prompt_tokens"] > 3
        assert last["usage"]["total_tokens"] == last["usage"]["prompt_tokens"] + last["usage"]["completion_tokens"]
        assert last["usage"]["estimated"] is True

    def test_it_may_break_again(self):
        room = Room(broken_stream("One, "), broken_stream("two, "), whole_stream("three."))
        made = asked(target("groq"), target("openai"), target("mistral"))
        assert text(chunks(room, made)) == "One, two, three."

    def test_without_being_asked_for_it_ends_with_an_error(self):
        room = Room(broken_stream("Hel"), whole_stream("lo"))
        with pytest.raises(UpstreamFailed):
            chunks(room, call(target("groq"), target("openai"), stream=True))

    @pytest.mark.parametrize(
        "more",
        [
            {"response_format": {"type": "json_object"}},
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
            {"n": 2},
            {"logprobs": True},
        ],
    )
    def test_what_is_no_plain_text_ends_with_an_error(self, more):
        room = Room(broken_stream("Hel"), whole_stream("lo"))
        with pytest.raises(UpstreamFailed):
            chunks(room, asked(target("groq"), target("openai"), **more))
        assert not resumable({**CHAT, **more})

    def test_within_a_tool_call_it_ends_with_an_error(self):
        called = [{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": "{"}}]
        room = Room(sse(chunk("Let me see.", role="assistant"), chunk(tool_calls=called), RESET), whole_stream("lo"))
        with pytest.raises(UpstreamFailed):
            chunks(room, asked(target("groq"), target("openai")))

    def test_when_nobody_is_left_it_ends_with_the_error(self):
        room = Room(broken_stream("Hel"), RESET)
        with pytest.raises(UpstreamFailed):
            chunks(room, asked(target("groq"), target("openai")))


@pytest.mark.parametrize(
    "one, by",
    [
        (SONNET, "prefill"),
        (target("anthropic", "claude-sonnet-4-6"), "instruction"),
        (target("mistral"), "prefix"),
        (target("deepseek"), "instruction"),
        (target("openai"), "instruction"),
    ],
)
def test_how_a_target_goes_on(one, by):
    assert resume_method(one) == by
    messages = resume_request(CHAT, "Hel", one)["messages"]
    assert messages[1]["content"] == "Hel"
    assert messages[1].get("prefix") is (True if by == "prefix" else None)
    assert len(messages) == (3 if by == "instruction" else 2)


@pytest.mark.parametrize(
    "before, begin, by, cut",
    [
        ("The quick brown", " fox", ResumeMethod.INSTRUCTION, 0),
        ("The quick brown", "The quick brown fox", ResumeMethod.INSTRUCTION, 15),
        ("The quick brown", "quick brown fox", ResumeMethod.INSTRUCTION, 11),
        ("ha", "ha ha", ResumeMethod.INSTRUCTION, 2),
        ("and so on, ha", "ha ha", ResumeMethod.INSTRUCTION, 0),
        ("Hello ", " world", ResumeMethod.INSTRUCTION, 1),
        ("The quick brown", "quick brown fox", ResumeMethod.PREFILL, 0),
        ("Hello \n", " \nworld", ResumeMethod.PREFILL, 2),
        ("Hello", " world", ResumeMethod.PREFILL, 0),
        ("Bonjour, je suis", "Bonjour, je suis un assistant.", ResumeMethod.PREFILL, 16),
        ("The", "Then", ResumeMethod.PREFILL, 0),
        (LONG, LONG + " the end.", ResumeMethod.INSTRUCTION, len(LONG)),
        (LONG, LONG + " the end.", ResumeMethod.PREFILL, len(LONG)),
        (LONG, LONG[-900:] + " the end.", ResumeMethod.INSTRUCTION, 900),
        ("The answ", "answer is 42.", ResumeMethod.INSTRUCTION, 4),
        ("It is a", "apple", ResumeMethod.INSTRUCTION, 0),
        ("The answer", "answer", ResumeMethod.INSTRUCTION, 0),
        ("The answ", " answer", ResumeMethod.INSTRUCTION, 0),
        ("Para one.\n", "\nPara two", ResumeMethod.PREFILL, 1),
        ("Para one.\n", "\nPara two", ResumeMethod.PREFIX, 0),
        ("Para one.\n", "\nPara two", ResumeMethod.INSTRUCTION, 0),
    ],
)
def test_what_is_said_again_is_cut(before, begin, by, cut):
    assert repeated(before, begin, by) == cut


def test_a_repetition_that_comes_in_pieces_is_waited_for():
    assert may_repeat("The quick brown", "quick", by=ResumeMethod.INSTRUCTION)
    assert not may_repeat("The quick brown", "quick brown", by=ResumeMethod.INSTRUCTION)
    assert not may_repeat("The quick brown", "fox", by=ResumeMethod.INSTRUCTION)
    heard = Transcript(CHAT)
    heard.add(chunk("The quick brown"))
    told = splice(map(chunk, ("quick", " bro", "wn", " fox")), heard, by=ResumeMethod.INSTRUCTION)
    assert text(told) == " fox"


@pytest.mark.parametrize("by", ResumeMethod)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_whole_answer_said_again_in_pieces_is_cut(by, size):
    heard = Transcript(CHAT)
    heard.add(chunk(LONG))
    again = LONG + " the end."
    pieces = [again[at : at + size] for at in range(0, len(again), size)]
    assert text(splice(map(chunk, pieces), heard, by=by)) == " the end."


def test_a_broken_word_said_again_in_pieces_is_cut():
    heard = Transcript(CHAT)
    heard.add(chunk("The answ"))
    assert text(splice(map(chunk, ("an", "sw", "er is", " 42.")), heard, by=ResumeMethod.INSTRUCTION)) == "er is 42."


def test_what_was_said_counts_against_the_tokens_that_the_answer_may_have():
    asked = resume_request({**CHAT, "max_tokens": 100, "max_completion_tokens": 3}, "word " * 16, target("openai"))
    assert (asked["max_tokens"], asked["max_completion_tokens"]) == (80, 1)


def test_usage_without_numbers_does_not_end_it():
    heard = Transcript(CHAT)
    heard.add(chunk("Hel"))
    assert heard.can_resume(FAILED)
    usage = {"prompt_tokens": None, "completion_tokens": 3, "total_tokens": "x"}
    (told,) = splice([{**USAGE, "usage": usage}], heard, by=ResumeMethod.INSTRUCTION)
    assert told["usage"]["completion_tokens"] == 3 + heard.failed_usage["completion_tokens"]
    assert told["usage"]["prompt_tokens"] == heard.failed_usage["prompt_tokens"]


def test_what_is_left_of_a_short_continuation_comes_with_its_end():
    heard = Transcript(CHAT)
    heard.add(chunk("to be or not to be"))
    told = list(splice([chunk("to"), chunk(finish="stop")], heard, by=ResumeMethod.INSTRUCTION))
    assert text(told) == "to"
    assert told[-1]["choices"][0]["finish_reason"] == "stop"


def test_a_client_that_left_is_no_break():
    heard = Transcript(CHAT)
    assert not heard.can_resume(FAILED)
    heard.add(chunk("Hel"))
    assert not heard.can_resume(ClientDisconnected("gone"))
    assert heard.can_resume(FAILED)
    assert heard.broken
