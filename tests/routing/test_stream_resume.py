"""A stream that another target resumes reads as one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalog.routing_policy import Policy
from gateway.errors import ClientDisconnected, UpstreamFailed
from gateway.routing.stream_resume import (
    INSTRUCTION,
    Beginning,
    ResumeMethod,
    Transcript,
    repeated,
    resumable,
    resume_method,
    resume_request,
    splice,
)
from gateway.stream_events import PAUSE
from tests.support.fakes import RESET, USAGE, FakeUpstreams, call, chunk, sse, target
from tests.support.operations import grows_linearly

FAILED = UpstreamFailed("cut", upstream_status="truncated")
CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
LONG = "".join(f"This is sentence number {n} of a long answer. " for n in range(40)).strip()
SONNET = target("anthropic", "claude-sonnet-4-5")


def resumable_call(*targets, **chat):
    client_call = call(*targets, stream=True, **chat)
    client_call.policy = Policy(continue_on_break=True)
    return client_call


def chunks(upstreams, client_call):
    return [item for item in upstreams.router.chunks(client_call) if item is not PAUSE]


def text(received):
    return "".join(choice["delta"].get("content") or "" for item in received for choice in item["choices"])


def broken_stream(*texts):
    return sse(chunk("", role="assistant"), *map(chunk, texts), RESET)


def whole_stream(*texts):
    return sse(chunk("", role="assistant"), *map(chunk, texts), chunk(finish="stop"), USAGE, "[DONE]")


class TestRouter:
    def test_the_next_target_continues_where_the_first_stopped(self):
        upstreams = FakeUpstreams(broken_stream("The quick ", "brown"), whole_stream(" fox", " jumps."))
        client_call = resumable_call(target("groq"), target("openai"))
        received = chunks(upstreams, client_call)
        assert text(received) == "The quick brown fox jumps."
        assert len({item["id"] for item in received}) == 1
        assert [item["choices"][0]["delta"].get("role") for item in received if item["choices"]].count("assistant") == 1
        assert client_call.trail()["attempts"] == "groq:200,groq:connection,openai:200"
        second = upstreams.transport.requests[1]["body"]["messages"]
        assert second[1:] == [
            {"role": "assistant", "content": "The quick brown"},
            {"role": "user", "content": INSTRUCTION},
        ]

    def test_the_usage_is_that_of_both_attempts(self):
        upstreams = FakeUpstreams(broken_stream("word " * 40), whole_stream("more"))
        last = chunks(upstreams, resumable_call(target("groq"), target("openai")))[-1]
        assert last["usage"]["completion_tokens"] == 2 + 50
        assert last["usage"]["prompt_tokens"] > 3
        assert last["usage"]["total_tokens"] == last["usage"]["prompt_tokens"] + last["usage"]["completion_tokens"]
        assert last["usage"]["estimated"] is True

    def test_a_resumed_stream_may_break_and_be_resumed_again(self):
        upstreams = FakeUpstreams(broken_stream("One, "), broken_stream("two, "), whole_stream("three."))
        client_call = resumable_call(target("groq"), target("openai"), target("mistral"))
        assert text(chunks(upstreams, client_call)) == "One, two, three."

    def test_without_continue_on_break_a_broken_stream_fails(self):
        upstreams = FakeUpstreams(broken_stream("Hel"), whole_stream("lo"))
        with pytest.raises(UpstreamFailed):
            chunks(upstreams, call(target("groq"), target("openai"), stream=True))

    @pytest.mark.parametrize(
        "more",
        [
            {"response_format": {"type": "json_object"}},
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
            {"n": 2},
            {"logprobs": True},
        ],
    )
    def test_an_answer_that_is_not_plain_text_is_not_resumed(self, more):
        upstreams = FakeUpstreams(broken_stream("Hel"), whole_stream("lo"))
        with pytest.raises(UpstreamFailed):
            chunks(upstreams, resumable_call(target("groq"), target("openai"), **more))
        assert not resumable({**CHAT, **more})

    def test_a_tool_call_is_not_resumed(self):
        called = [{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": "{"}}]
        upstreams = FakeUpstreams(
            sse(chunk("Let me see.", role="assistant"), chunk(tool_calls=called), RESET), whole_stream("lo")
        )
        with pytest.raises(UpstreamFailed):
            chunks(upstreams, resumable_call(target("groq"), target("openai")))

    def test_when_no_target_is_left_the_broken_stream_fails(self):
        upstreams = FakeUpstreams(broken_stream("Hel"), RESET)
        with pytest.raises(UpstreamFailed):
            chunks(upstreams, resumable_call(target("groq"), target("openai")))


@pytest.mark.parametrize(
    "upstream, method",
    [
        (SONNET, "prefill"),
        (target("anthropic", "claude-sonnet-4-6"), "instruction"),
        (target("mistral"), "prefix"),
        (target("deepseek"), "instruction"),
        (target("openai"), "instruction"),
    ],
)
def test_the_resume_method_depends_on_vendor_and_model(upstream, method):
    assert resume_method(upstream) == method
    messages = resume_request(CHAT, "Hel", upstream)["messages"]
    assert messages[1]["content"] == "Hel"
    assert messages[1].get("prefix") is (True if method == "prefix" else None)
    assert len(messages) == (3 if method == "instruction" else 2)


@pytest.mark.parametrize(
    "received, beginning, method, length",
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
def test_a_repetition_is_trimmed(received, beginning, method, length):
    assert repeated(received, beginning, method) == length


def test_a_repetition_in_pieces_is_held_until_it_is_decided():
    beginning = Beginning("The quick brown", ResumeMethod.INSTRUCTION)
    assert beginning.may_repeat("quick")
    assert not beginning.may_repeat(" brown")
    assert beginning.without_repetition() == ""
    assert not Beginning("The quick brown", ResumeMethod.INSTRUCTION).may_repeat("fox")
    transcript = Transcript(CHAT)
    transcript.add(chunk("The quick brown"))
    received = splice(map(chunk, ("quick", " bro", "wn", " fox")), transcript, method=ResumeMethod.INSTRUCTION)
    assert text(received) == " fox"


@pytest.mark.parametrize("method", ResumeMethod)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_whole_answer_repeated_in_pieces_is_trimmed(method, size):
    transcript = Transcript(CHAT)
    transcript.add(chunk(LONG))
    again = LONG + " the end."
    pieces = [again[at : at + size] for at in range(0, len(again), size)]
    assert text(splice(map(chunk, pieces), transcript, method=method)) == " the end."


def first_repetition(received, beginning, method):
    """`Beginning.may_repeat` by its definition, for all pieces together."""
    can_echo = method is ResumeMethod.INSTRUCTION or len(received) >= 4
    if can_echo and received.startswith(beginning) and len(beginning) < len(received):
        return True
    if method is ResumeMethod.INSTRUCTION:
        return beginning in received[:-1] or (len(beginning) < 8 and received.endswith(beginning))
    withheld = received[len(received.rstrip()) :] if method is ResumeMethod.PREFILL else ""
    return beginning in withheld[:-1]


@given(
    st.text("ab ", min_size=1, max_size=12),
    st.lists(st.text("ab ", max_size=3), min_size=1),
    st.sampled_from(ResumeMethod),
)
def test_a_beginning_is_held_as_long_as_all_of_it_was_received(received, pieces, method):
    beginning = Beginning(received, method)
    for n, piece in enumerate(pieces, 1):
        held = beginning.may_repeat(piece)
        assert held == first_repetition(received, "".join(pieces[:n]), method)
        if not held:
            break


@given(st.text("ab", max_size=12), st.text("ab", max_size=12))
def test_the_longest_overlap_is_found(received, beginning):
    lengths = [n for n in range(min(len(received), len(beginning)) + 1) if received.endswith(beginning[:n])]
    longest = repeated(f"{received}", f"{beginning}", ResumeMethod.INSTRUCTION)
    assert longest in {max(lengths), 0} or beginning.startswith(received)


def continuation(received):
    """A stream whose beginning repeats `received` character by character, until it differs, and the rest in one chunk."""
    transcript = Transcript(CHAT)
    transcript.add(chunk(received))
    half = len(received) // 2
    pieces = [*received[:half], "z" + received[half:] * 2]
    return lambda: list(splice(map(chunk, pieces), transcript, method=ResumeMethod.INSTRUCTION))


@pytest.mark.parametrize("pattern", ["a", "ab", "a" * 50 + "b", "word "])
def test_a_continuation_of_twice_the_length_takes_at_most_twice_the_work(pattern):
    assert grows_linearly(lambda run: run(), lambda n: continuation((pattern * n)[:n]), 2000)


def test_a_broken_word_repeated_in_pieces_is_trimmed():
    transcript = Transcript(CHAT)
    transcript.add(chunk("The answ"))
    assert (
        text(splice(map(chunk, ("an", "sw", "er is", " 42.")), transcript, method=ResumeMethod.INSTRUCTION))
        == "er is 42."
    )


def test_received_text_counts_against_the_requested_token_limits():
    request = resume_request({**CHAT, "max_tokens": 100, "max_completion_tokens": 3}, "word " * 16, target("openai"))
    assert (request["max_tokens"], request["max_completion_tokens"]) == (80, 1)


def test_usage_without_numbers_does_not_fail_the_stream():
    transcript = Transcript(CHAT)
    transcript.add(chunk("Hel"))
    assert transcript.can_resume(FAILED)
    usage = {"prompt_tokens": None, "completion_tokens": 3, "total_tokens": "x"}
    (received,) = splice([{**USAGE, "usage": usage}], transcript, method=ResumeMethod.INSTRUCTION)
    assert received["usage"]["completion_tokens"] == 3 + transcript.failed_usage["completion_tokens"]
    assert received["usage"]["prompt_tokens"] == transcript.failed_usage["prompt_tokens"]


def test_a_held_beginning_is_sent_with_the_end_of_a_short_continuation():
    transcript = Transcript(CHAT)
    transcript.add(chunk("to be or not to be"))
    received = list(splice([chunk("to"), chunk(finish="stop")], transcript, method=ResumeMethod.INSTRUCTION))
    assert text(received) == "to"
    assert received[-1]["choices"][0]["finish_reason"] == "stop"


def test_only_an_upstreams_failure_after_text_can_be_resumed():
    transcript = Transcript(CHAT)
    assert not transcript.can_resume(FAILED)
    transcript.add(chunk("Hel"))
    assert not transcript.can_resume(ClientDisconnected("gone"))
    assert transcript.can_resume(FAILED)
    assert transcript.resumed
