"""Upstreams over TLS, with a certificate that the gateway was told to trust."""

import ssl

import pytest
import trustme

from tests.support import servers
from tests.support.environment import provider_urls
from tests.support.http_client import chat, opened, post, stream
from tests.support.scripted_upstream import DONE, ROLE, STOP, completion, plain, streamed, text, upstream
from tests.support.servers import eventually

FOREVER = 30.0


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def secured(authority):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with upstream(context) as server:
        yield server


@pytest.fixture
def trusting(tmp_path, worker_class, secured, authority):
    """A gateway in front of it."""
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    told = {"GATEWAY_WORKER_CLASS": worker_class, "REQUESTS_CA_BUNDLE": str(bundle)}
    with servers.gateway(tmp_path / "gateway", **provider_urls(secured.url), **told) as server:
        yield server


def test_plain_and_streamed_answers_one_after_another(trusting, secured):
    whole = secured.model(plain(completion("Hello")))
    said = secured.model(streamed(ROLE, text("Hel"), 0.1, text("lo"), STOP, DONE))
    for _ in range(2):
        answer = post(trusting, chat("openai/" + whole))
        assert answer.json()["choices"][0]["message"]["content"] == "Hello"
        heard = stream(trusting, chat("openai/" + said))
        assert (heard.text, heard.finishes, heard.done) == ("Hello", ["stop"], True)


def test_a_large_answer(trusting, secured):
    large = "word " * 200_000
    model = secured.model(plain(completion(large)))
    assert post(trusting, chat("openai/" + model)).json()["choices"][0]["message"]["content"] == large


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("begun", [False, True], ids=["before the headers", "between events"])
def test_a_client_that_leaves_ends_the_call(trusting, secured, streams, begun):
    opening = streamed(ROLE, text("Hel"))[:-1] if streams else [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"]
    model = secured.model([*(opening if begun else []), FOREVER])
    with opened(trusting, chat("openai/" + model, stream=streams), **{"X-Request-Id": f"leaver-{model}"}) as client:
        (call,) = eventually(lambda: secured.calls[model], 10)
        if streams and begun:
            assert client.recv(100).startswith(b"HTTP/1.1 200")
    assert eventually(lambda: call.end) == "client-gone"
    assert trusting.log(f"leaver-{model}")["outcome"] == "client_disconnected"
