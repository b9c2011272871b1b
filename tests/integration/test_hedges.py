"""A name with `hedge_after` is watched over as any other: clients that leave, pings, silences, streams carried on."""

import json
import socket

import pytest

from tests.support import servers
from tests.support.environment import KEY, provider_urls
from tests.support.http_client import chat, get, opened, stream
from tests.support.scripted_upstream import DONE, RESET, ROLE, STOP, plain, streamed, text
from tests.support.servers import eventually

BEAT = b": beat\n\n"
SOON = 2.0
"""Seconds; a talk lasts many times as long."""


def going_on(step, *before):
    """A stream with a step every 20 ms, for long."""
    return streamed(*before, *(one for _ in range(600) for one in (step, 0.02)))


@pytest.fixture(scope="module")
def hedging(worker_class, folder, upstream):
    models = [
        {"model_name": name, "litellm_params": {"model": f"{vendor}/*"}}
        for name in ("late/*", "early/*")
        for vendor in ("openai", "groq")
    ]
    each = {"late/*": {"hedge_after": 20}, "early/*": {"hedge_after": 0.3, "continue_on_break": True}}
    with servers.configured(
        folder / f"hedging-{worker_class}",
        json.dumps({"model_list": models, "router_settings": {"models": each}}),
        **provider_urls(upstream.url),
        GATEWAY_WORKER_CLASS=worker_class,
        VALID_API_KEYS=KEY,
        FIRST_CONTENT_TIMEOUT="14",
        SILENCE_TIMEOUT="1",
    ) as server:
        yield server


@pytest.mark.parametrize("leave", ["close", "half-close"])
@pytest.mark.parametrize(
    "script",
    [going_on(BEAT), going_on(BEAT, ROLE, text("Hel")), going_on(text("word "), ROLE)],
    ids=["heartbeats", "heartbeats after content", "words"],
)
def test_a_client_that_leaves_a_chatty_upstream_ends_the_call(hedging, upstream, script, leave):
    model = upstream.model(script)
    ident = f"leaver-{model}"
    with opened(hedging, chat(f"late/{model}", stream=True), **{"X-Request-Id": ident}) as client:
        (call,) = eventually(lambda: upstream.calls[model], 10)
        if leave == "half-close":
            client.shutdown(socket.SHUT_WR)
            assert eventually(lambda: call.end, SOON) == "client-gone"
    assert eventually(lambda: call.end, SOON) == "client-gone"
    assert hedging.log(ident)["outcome"] == "client_disconnected"


def test_a_client_hears_of_a_late_answer_while_the_upstream_says_nothing_of_use(hedging, upstream):
    heard = stream(
        hedging, chat("late/" + upstream.model([*going_on(BEAT, ROLE)[:1100], *streamed(text("!"), STOP, DONE)[1:]]))
    )
    assert heard.heard[0][0] < 18, "before the answer, which takes 22 s"
    assert heard.lines[0].startswith(b":")
    assert (heard.text, heard.done) == ("!", True)


def test_a_silence_after_the_first_content_ends_it(hedging, upstream):
    heard = stream(hedging, chat("late/" + upstream.model(streamed(ROLE, text("Hel"), 6.0, text("lo"), STOP, DONE))))
    assert (heard.text, heard.done) == ("Hel", False)
    assert "nothing more came" in heard.error["message"]
    assert heard.heard[-1][0] < 5.5, "before the upstream goes on"


def test_who_lost_a_race_may_carry_on_what_the_winner_breaks_off(hedging, upstream):
    model = upstream.model(
        [5.0, *plain({})],
        streamed(ROLE, text("The quick "), RESET),
        streamed(ROLE, text("brown fox"), STOP, DONE),
    )
    heard = stream(hedging, chat(f"early/{model}"))
    assert (heard.text, heard.done) == ("The quick brown fox", True)
    assert heard.chunks[-1]["gateway"]["attempts"] == "openai:cancelled,groq:200,groq:connection,openai:200"


def test_nothing_is_left_of_it(hedging):
    assert eventually(lambda: get(hedging, "/health/ready").json()["calls"] == {"held": 0, "in_flight": 0}, 5)
