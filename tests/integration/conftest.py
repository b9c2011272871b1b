"""Recordings to request, and the slow streams of test_idle_streams.py, which start first and run beside other tests."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.http_client import chat_request, post_stream
from tests.support.idle_streams import PREFIXES, REQUEST_FIELDS, SCRIPTS
from tests.support.recordings import PROVIDERS, SPECIAL_TAGS, recorded_text


@pytest.fixture(scope="session")
def all_idle_streams(gateways, scripted_upstream):
    """Futures of streamed responses, by worker class and script."""
    with ThreadPoolExecutor(len(gateways) * len(SCRIPTS)) as pool:

        def start(gateway, name):
            model = PREFIXES.get(name, "openai/") + scripted_upstream.add_model(*SCRIPTS[name])
            return pool.submit(post_stream, gateway, chat_request(model, **REQUEST_FIELDS.get(name, {})))

        yield {
            worker_class: {name: start(gateway, name) for name in SCRIPTS} for worker_class, gateway in gateways.items()
        }


@pytest.fixture(scope="session", autouse=True)
def start_idle_streams(request):
    if any("all_idle_streams" in item.fixturenames for item in request.session.items):
        request.getfixturevalue("all_idle_streams")


@pytest.fixture(params=PROVIDERS)
def provider(request):
    return request.param


@pytest.fixture
def plain_recording_id(provider, recording_ids):
    return recording_ids(provider, "nonstream", "finish:stop", excluding=SPECIAL_TAGS)[0]


@pytest.fixture
def streamed_recording_id(provider, recording_ids, recordings):
    """The id of a recorded stream with a text of over 100 characters."""
    ids = recording_ids(provider, "stream", "finish:stop", excluding=(*SPECIAL_TAGS, "finish:tool"))
    return next(recording_id for recording_id in ids if len(recorded_text(recordings[recording_id])) > 100)
