"""The application: its background threads, and state that no other application shares."""

import pytest

from app import create_app
from gateway.config.settings import read
from gateway.web.auth import MAX_FAILURES
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


def test_an_unknown_fallback_model_is_reported_with_its_path(build_app):
    response = build_app().test_client().post("/v1/chat/completions", json={**CHAT, "models": ["echo", "nothing"]})
    assert response.status_code == 404
    error = response.json["error"]
    assert (error["code"], error["param"]) == ("model_not_found", "models[1]")
    assert "`nothing`" in error["message"]
