"""A gateway without keys serves its own machine: no other Host, and no web page of another origin."""

import json
import signal
import socket
import subprocess
from contextlib import contextmanager

import pytest
import requests

from tests.support.environment import HOURLY_LIMIT, KEY
from tests.support.http_client import CHAT, chat_request, expect_error, get, post
from tests.support.servers import Server, free_port, run_gateway, start_gunicorn, terminating, wait_until_listening

PAGE, EVIL = "https://app.example.com", "https://evil.example"


@pytest.fixture(scope="module")
def named_gateway(worker_class, folder):
    """A gateway without keys, with a host name and the pages of a domain."""
    with run_gateway(
        folder / f"named-{worker_class}",
        GATEWAY_WORKER_CLASS=worker_class,
        ALLOWED_HOSTS="gateway.lan",
        CORS_ORIGINS="https://*.example.com",
        TRUSTED_PROXIES="1",
    ) as server:
        yield server


def preflight(server, origin):
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    return requests.options(server.url + CHAT, headers=headers, timeout=10)


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:9", "app.localhost", "127.0.0.1:8000", "127.9.9.9", "[::1]:8000"]
)
def test_a_loopback_host_is_served(echo_gateway, host):
    assert post(echo_gateway, chat_request(), Host=host).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "192.168.1.5:8000"])
@pytest.mark.parametrize("path", [CHAT, "/v1/models", "/health", "/metrics", "/openapi.json", "/docs/", "/nowhere"])
def test_any_other_host_is_a_421(echo_gateway, host, path):
    response = requests.post(echo_gateway.url + path, json={}, headers={"Host": host}, timeout=10)
    error = expect_error(response, 421)
    assert (error["type"], error["code"]) == ("invalid_request_error", "misdirected_request")


def test_a_request_without_a_host_is_served(echo_gateway):
    with socket.create_connection(("127.0.0.1", echo_gateway.port), timeout=10) as client:
        client.sendall(b"GET /v1/models HTTP/1.0\r\n\r\n")
        assert client.makefile("rb").readline().split()[1] == b"200"


def test_allowed_hosts_are_served_and_a_forwarded_host_is_not_considered(named_gateway):
    assert get(named_gateway, "/v1/models", Host="gateway.lan:8000").status_code == 200
    assert get(named_gateway, "/v1/models", **{"X-Forwarded-Host": "evil.example"}).status_code == 200
    forged = get(named_gateway, "/v1/models", Host="evil.example", **{"X-Forwarded-Host": "localhost"})
    assert expect_error(forged, 421)["code"] == "misdirected_request"


@pytest.mark.parametrize("headers", [
    {"Origin": EVIL},
    {"Origin": "null"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": EVIL, "Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "cross-site"},
])  # fmt: skip
@pytest.mark.parametrize("path", [CHAT, "/v1/models", "/health", "/nowhere"])
def test_a_page_of_another_origin_is_a_403_that_it_may_not_read(echo_gateway, headers, path):
    response = post(echo_gateway, chat_request(), path, **headers)
    error = expect_error(response, 403)
    assert (error["type"], error["code"]) == ("permission_error", "origin_not_allowed")
    assert "access-control-allow-origin" not in response.headers


def test_a_preflight_request_of_another_origin_is_a_403(echo_gateway):
    response = preflight(echo_gateway, EVIL)
    assert expect_error(response, 403)["code"] == "origin_not_allowed"
    assert "access-control-allow-origin" not in response.headers


def test_the_403_is_sent_before_the_body_is_read(echo_gateway):
    with socket.create_connection(("127.0.0.1", echo_gateway.port), timeout=10) as client:
        head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nOrigin: {EVIL}\r\nContent-Type: application/json\r\n"
        client.sendall(f"{head}Content-Length: 10\r\n\r\n".encode())  # and no body
        assert client.makefile("rb").readline().split()[1] == b"403"


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "none"}, {"Sec-Fetch-Site": "same-origin"}])
def test_what_the_user_typed_and_the_gateways_own_pages_are_served(echo_gateway, headers):
    assert get(echo_gateway, "/docs/", **headers).status_code == 200
    origin = {"Origin": echo_gateway.url, "Sec-Fetch-Site": "same-origin"}
    assert post(echo_gateway, chat_request(), **origin).status_code == 200


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1:5173", "https://app.localhost"])
def test_a_page_of_this_machine_may_call_and_read(echo_gateway, origin):
    assert preflight(echo_gateway, origin).headers["access-control-allow-origin"] == origin
    response = post(echo_gateway, chat_request(), Origin=origin)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == origin
    assert "Origin" in response.headers["vary"]


def test_cors_origins_with_a_wildcard_may_call_and_read(named_gateway):
    assert preflight(named_gateway, PAGE).headers["access-control-allow-origin"] == PAGE
    assert post(named_gateway, chat_request(), Origin=PAGE).headers["access-control-allow-origin"] == PAGE
    for origin in ("https://xexample.com", "https://xexample.com.evil.net", "https://app.example.com.evil.net", "null"):
        assert expect_error(post(named_gateway, chat_request(), Origin=origin), 403)["code"] == "origin_not_allowed"


def test_with_keys_neither_host_nor_origin_is_checked(gateway):
    assert post(gateway, chat_request("echo"), Host="evil.example", Origin=EVIL).status_code == 200
    assert get(gateway, "/health", **{"Sec-Fetch-Site": "cross-site"}).status_code == 200


def test_with_keys_cors_origins_say_which_pages_may_read(tmp_path, worker_class):
    environ = {"VALID_API_KEYS": KEY, "CORS_ORIGINS": f"{PAGE},https://*.lan"}
    with run_gateway(tmp_path, GATEWAY_WORKER_CLASS=worker_class, **environ) as server:
        for origin, may_read in [
            (PAGE, True),
            ("https://a.lan", True),
            ("https://xlan", False),
            ("http://localhost", False),
        ]:
            response = post(server, chat_request(), Origin=origin)
            assert response.status_code == 200
            assert ("access-control-allow-origin" in response.headers) == may_read
            assert "Origin" in response.headers["vary"]


def test_open_access_beyond_loopback_checks_the_host_only_if_names_are_set(tmp_path, worker_class):
    environ = {"GATEWAY_WORKER_CLASS": worker_class, "HOST": "0.0.0.0", "GATEWAY_AUTH": "off"}
    with run_gateway(tmp_path / "any", **environ) as server:
        assert get(server, "/v1/models", Host="gateway.lan").status_code == 200
        assert get(server, "/v1/models", Host="gateway.lan", Origin="https://gateway.lan").status_code == 200
        assert expect_error(get(server, "/v1/models", Origin=EVIL), 403)
    with run_gateway(tmp_path / "named", ALLOWED_HOSTS="gateway.lan", **environ) as server:
        assert get(server, "/v1/models", Host="gateway.lan").status_code == 200
        assert expect_error(get(server, "/v1/models", Host="evil.example"), 421)


def test_refused_requests_count_against_no_rate_limit(proxied_gateway):
    address = {"X-Forwarded-For": "198.51.100.77"}
    for _ in range(HOURLY_LIMIT + 1):
        assert post(proxied_gateway, chat_request(), Origin=EVIL, **address).status_code == 403
    assert post(proxied_gateway, chat_request(), **address).status_code == 200


def test_the_refusal_is_in_the_log_without_the_host_and_the_origin(echo_gateway):
    request_id = post(echo_gateway, chat_request(), Origin=EVIL).headers["x-request-id"]
    line = echo_gateway.request_log(request_id)
    assert (line["status"], line["code"]) == (403, "origin_not_allowed")
    assert "evil" not in json.dumps(line)


@pytest.mark.parametrize("bind", ["0.0.0.0:{}", "[::]:{}"])
def test_the_bound_address_is_checked_and_not_the_host_setting_alone(tmp_path, worker_class, bind):
    arguments = {"GUNICORN_CMD_ARGS": f"--bind={bind.format(free_port())}", "GATEWAY_WORKER_CLASS": worker_class}
    process = start_gunicorn(tmp_path, arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        output, _ = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 1
    assert b"VALID_API_KEYS" in output
    assert b"Booting worker" not in output
    assert b"Traceback" not in output


@contextmanager
def gateway_bound_to_all_addresses(folder, **environ):
    port = free_port()
    process = start_gunicorn(
        folder, {**environ, "GUNICORN_CMD_ARGS": f"--bind=0.0.0.0:{port}"}, stderr=subprocess.DEVNULL
    )
    with terminating(process):
        server = Server(port, process, folder)
        wait_until_listening(server, "/health/live")
        yield server


@pytest.mark.parametrize("environ", [{"VALID_API_KEYS": KEY}, {"GATEWAY_AUTH": "off"}])
def test_another_bound_address_is_served_with_a_key_or_with_auth_off(tmp_path, worker_class, environ):
    with gateway_bound_to_all_addresses(tmp_path, GATEWAY_WORKER_CLASS=worker_class, **environ) as server:
        assert get(server, "/health").status_code == 200


def test_a_gateway_whose_key_is_removed_stops_where_others_could_reach_it(tmp_path, worker_class):
    file = tmp_path / "empty" / ".env"
    file.parent.mkdir()
    file.write_text(f"VALID_API_KEYS={KEY}\n")
    with gateway_bound_to_all_addresses(tmp_path, GATEWAY_WORKER_CLASS=worker_class) as server:
        file.write_text("")
        server.process.send_signal(signal.SIGHUP)
        assert server.process.wait(20) != 0
