"""Fields that the Messages API has no field for are reported by their paths."""

from tests.support.anthropic_dialect import USER, vendor_request


def test_untranslatable_fields_are_reported_unless_they_have_their_default():
    sent = vendor_request(
        seed=1,
        n=2,
        logprobs=True,
        logit_bias={"1": 2},
        store=True,
        verbosity="low",
        unknown={"a": 1},
        presence_penalty=0.5,
    )
    assert set(sent.dropped) == {
        "seed",
        "n",
        "logprobs",
        "logit_bias",
        "store",
        "verbosity",
        "unknown",
        "presence_penalty",
    }
    assert vendor_request(n=1, logprobs=False, store=False, modalities=["text"], metadata={}, seed=None).dropped == ()


def test_the_name_and_the_audio_of_a_message_are_reported():
    messages = [{**USER, "name": "Ann"}, {"role": "assistant", "content": "x", "audio": {"id": "a"}}, USER]
    assert vendor_request(messages=messages).dropped == ("messages[0].name", "messages[1].audio")


def test_a_response_message_in_the_history_drops_nothing():
    response = {
        "role": "assistant",
        "content": "Hi",
        "refusal": None,
        "annotations": [],
        "audio": None,
        "function_call": None,
        "tool_calls": None,
    }
    assert vendor_request(messages=[USER, response, USER]).dropped == ()
