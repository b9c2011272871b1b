"""The application: its background threads, and state that no other application shares."""

import base64
import hashlib
import re

import pytest

from app import create_app
from gateway.config.settings import read
from gateway.web.auth import MAX_FAILURES
from gateway.web.openai.docs import openapi_body
from gateway.web.services import EXTENSION
from tests.support.servers import wait_until
from tests.support.threads import StartedThreads, run_in_threads

CHAT = {"model": "echo", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
def started_threads():
    return StartedThreads()


@pytest.fixture
def build_app(started_threads):
    """Build an application from variables; its threads end after the test."""
    apps = []

    def build(**variables):
        apps.append(create_app(read(variables)))
        return apps[-1]

    yield build
    for app in apps:
        app.extensions[EXTENSION].probes.stop()
    assert wait_until(lambda: started_threads.names() == [])


def test_background_threads_start_once_however_often_they_are_started(build_app, started_threads, tmp_path):
    app = build_app(OPENAI_API_KEY="sk-o", GATEWAY_DATA=str(tmp_path), HEALTH_CHECK_INTERVAL="60")
    assert started_threads.names() == []
    run_in_threads(16, app.start_background)
    app.test_client().get("/health")
    assert started_threads.names() == ["health-probes"]


def test_the_first_request_starts_background_threads_that_no_worker_started(build_app, started_threads, tmp_path):
    app = build_app(OPENAI_API_KEY="sk-o", GATEWAY_DATA=str(tmp_path), HEALTH_CHECK_INTERVAL="60")
    app.test_client().get("/health")
    assert started_threads.names() == ["health-probes"]


def test_applications_do_not_share_the_counts_of_requests(build_app):
    first, second = (build_app(RATE_LIMIT="1/hour").test_client() for _ in range(2))
    assert [first.get("/v1/models").status_code for _ in range(2)] == [200, 429]
    assert second.get("/v1/models").status_code == 200


def test_applications_do_not_share_the_counts_of_wrong_keys(build_app):
    first, second = (build_app(VALID_API_KEYS="sk-right").test_client() for _ in range(2))
    wrong = {"Authorization": "Bearer sk-wrong"}
    statuses = [first.get("/v1/models", headers=wrong).status_code for _ in range(MAX_FAILURES.amount + 1)]
    assert statuses == [401] * MAX_FAILURES.amount + [429]
    assert second.get("/v1/models", headers=wrong).status_code == 401


def test_the_openapi_document_is_made_once(build_app):
    client = build_app().test_client()
    first, second = (client.get("/openapi.json") for _ in range(2))
    assert first.data == second.data
    hits = openapi_body.cache_info().hits
    build_app().test_client().get("/openapi.json")
    assert openapi_body.cache_info().hits == hits + 1


def test_readiness_names_providers_and_targets_only_to_a_client_with_a_key(build_app):
    client = build_app(VALID_API_KEYS="sk-right", OPENAI_API_KEY="sk-o", HEALTH_CHECK_INTERVAL="0").test_client()
    assert client.get("/health/ready").json == {"status": "ok"}
    assert client.get("/health/ready", headers={"Authorization": "Basic YTpi"}).json == {"status": "ok"}
    details = client.get("/health/ready", headers={"x-api-key": "sk-right"}).json
    assert details["providers"] == ["openai"]
    assert client.get("/health/ready", headers={"x-api-key": "sk-wrong"}).status_code == 401
    assert build_app().test_client().get("/health/ready").json["providers"] == ["echo"]


def test_readiness_counts_wrong_keys(build_app):
    client = build_app(VALID_API_KEYS="sk-right").test_client()
    wrong = {"Authorization": "Bearer sk-wrong"}
    statuses = [client.get("/health/ready", headers=wrong).status_code for _ in range(MAX_FAILURES.amount + 1)]
    assert statuses == [401] * MAX_FAILURES.amount + [429]
    assert client.get("/health/ready").json == {"status": "ok"}


def test_the_docs_page_runs_its_own_scripts_alone_and_may_not_be_framed(build_app):
    client = build_app().test_client()
    page = client.get("/docs/", headers={"Host": "localhost"})
    policy = page.headers["Content-Security-Policy"]
    scripts = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"script-src 'self' 'sha256-{digest}';" in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["X-Frame-Options"] == "DENY"
    assert client.get("/docs/", headers={"Host": "127.0.0.1:8000"}).text == page.text
    asset = client.get("/docs/swagger-ui.css")
    assert asset.status_code == 200
    assert "frame-ancestors 'none'" in asset.headers["Content-Security-Policy"]
    asset.close()


def test_an_unknown_fallback_model_is_reported_with_its_path(build_app):
    response = build_app().test_client().post("/v1/chat/completions", json={**CHAT, "models": ["echo", "nothing"]})
    assert response.status_code == 404
    error = response.json["error"]
    assert (error["code"], error["param"]) == ("model_not_found", "models[1]")
    assert "`nothing`" in error["message"]


@pytest.mark.parametrize("key", ["sk-right", "sk-wrong"])
@pytest.mark.parametrize(
    ("path", "json"),
    [
        ("/v1/chat/completions", CHAT),
        ("/v1/chat/completions", {}),
        ("/v1/route/explain", CHAT),
        ("/v1/models", None),
        ("/metrics", None),
        ("/health/ready", None),
    ],
)
def test_a_response_has_the_rate_limit_and_the_gateway_headers_that_are_described(build_app, path, json, key):
    client = build_app(VALID_API_KEYS="sk-right").test_client()
    method = "GET" if json is None else "POST"
    response = client.open(path, method=method, headers={"Authorization": f"Bearer {key}"}, json=json)
    operation = client.get("/openapi.json").json["paths"][path][method.lower()]
    described = operation["responses"][str(response.status_code)]["headers"]
    assert of_limits_and_calls(response.headers.keys()) == of_limits_and_calls(described)


def of_limits_and_calls(headers):
    """The names among these headers that are on every response of their kind."""
    return {name for name in map(str.lower, headers) if name.startswith(("x-ratelimit-", "x-gateway-"))} - {
        "x-gateway-dropped-params"
    }
