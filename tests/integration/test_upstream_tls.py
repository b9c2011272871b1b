"""Upstreams over TLS, with a certificate authority that the gateway is configured to trust."""

import ssl

import pytest
import trustme

from tests.support import servers
from tests.support.environment import provider_urls
from tests.support.http_client import chat_request, post, post_stream, send_request
from tests.support.scripted_upstream import (
    DONE,
    ROLE,
    STOP,
    completion,
    json_response,
    run_scripted_upstream,
    sse_response,
    text_chunk,
)
from tests.support.servers import wait_until

LONG_SILENCE = 30.0


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def tls_upstream(authority):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with run_scripted_upstream(context) as server:
        yield server


@pytest.fixture
def tls_gateway(tmp_path, worker_class, tls_upstream, authority):
    """A gateway in front of the upstream with TLS."""
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    environ = {"GATEWAY_WORKER_CLASS": worker_class, "REQUESTS_CA_BUNDLE": str(bundle)}
    with servers.run_gateway(tmp_path / "gateway", **provider_urls(tls_upstream.url), **environ) as server:
        yield server


def test_plain_and_streamed_responses_arrive_in_turn(tls_gateway, tls_upstream):
    plain_model = tls_upstream.add_model(json_response(completion("Hello")))
    stream_model = tls_upstream.add_model(sse_response(ROLE, text_chunk("Hel"), 0.1, text_chunk("lo"), STOP, DONE))
    for _ in range(2):
        response = post(tls_gateway, chat_request("openai/" + plain_model))
        assert response.json()["choices"][0]["message"]["content"] == "Hello"
        streamed = post_stream(tls_gateway, chat_request("openai/" + stream_model))
        assert (streamed.text, streamed.finish_reasons, streamed.done) == ("Hello", ["stop"], True)


def test_a_large_response_arrives_completely(tls_gateway, tls_upstream):
    large = "word " * 200_000
    model = tls_upstream.add_model(json_response(completion(large)))
    assert post(tls_gateway, chat_request("openai/" + model)).json()["choices"][0]["message"]["content"] == large


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("started", [False, True], ids=["before the headers", "between events"])
def test_a_client_disconnect_aborts_the_call(tls_gateway, tls_upstream, stream, started):
    first_steps = (
        sse_response(ROLE, text_chunk("Hel"))[:-1] if stream else [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"]
    )
    model = tls_upstream.add_model([*(first_steps if started else []), LONG_SILENCE])
    with send_request(
        tls_gateway, chat_request("openai/" + model, stream=stream), **{"X-Request-Id": f"disconnect-{model}"}
    ) as client:
        (call,) = wait_until(lambda: tls_upstream.calls[model], 10)
        if stream and started:
            assert client.recv(100).startswith(b"HTTP/1.1 200")
    assert wait_until(lambda: call.outcome) == "aborted"
    assert tls_gateway.request_log(f"disconnect-{model}")["outcome"] == "client_disconnected"
