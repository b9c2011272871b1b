"""Recordings to ask for, and the long talks of test_silences.py: begun at once, they cost no time of their own."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.http_client import chat, stream
from tests.support.recordings import ODD, PROVIDERS, told
from tests.support.scripted_upstream import DONE, RESET, ROLE, STOP, USAGE, message, plain, streamed, text

LATE = 14.0
"""Seconds of silence, past the 10 that the gateway waits before it begins."""
TALKS = {
    "late": [streamed(LATE, ROLE, text("Hel"), text("lo"), STOP, DONE)],
    "late with usage": [streamed(ROLE, LATE, text("Hello"), STOP, USAGE, DONE)],
    "late headers": [[LATE, *streamed(ROLE, text("Hello"), STOP, DONE)]],
    "late failure": [[LATE, *plain({"error": {"message": "Late and wrong."}}, 400)]],
    "late fallback": [streamed(LATE, RESET), streamed(RESET), plain(message("Second."))],
    "break": [streamed(ROLE, text("Hel"), 25.0, text("lo"), STOP, DONE)],
    "break then failure": [streamed(ROLE, text("Hel"), LATE, RESET)],
}
PREFIXES = {"late fallback": "pair/"}
OPTIONS = {"late with usage": {"stream_options": {"include_usage": True}}}


@pytest.fixture(scope="session")
def all_talks(gateways, upstream):
    """What will have been heard in each talk: futures, by worker class and name."""
    with ThreadPoolExecutor(len(gateways) * len(TALKS)) as pool:

        def begun(gateway, name):
            model = PREFIXES.get(name, "openai/") + upstream.model(*TALKS[name])
            return pool.submit(stream, gateway, chat(model, **OPTIONS.get(name, {})))

        yield {kind: {name: begun(gateway, name) for name in TALKS} for kind, gateway in gateways.items()}


@pytest.fixture(scope="session", autouse=True)
def talks_begun(request):
    if any("all_talks" in item.fixturenames for item in request.session.items):
        request.getfixturevalue("all_talks")


@pytest.fixture(params=PROVIDERS)
def provider(request):
    return request.param


@pytest.fixture
def plain_text(provider, pick):
    return pick(provider, "nonstream", "finish:stop", but=ODD)[0]


@pytest.fixture
def streamed_text(provider, pick, recordings):
    """A recorded stream with a text of some length."""
    names = pick(provider, "stream", "finish:stop", but=(*ODD, "finish:tool"))
    return next(name for name in names if len(told(recordings[name])) > 100)
