"""The application factory."""

import threading
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import structlog
from flask import Flask, Request, Response
from flask.sessions import NullSession, SessionInterface, SessionMixin
from limits import parse_many
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter, RateLimiter
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import MapAdapter

from gateway.accounts.client_keys import ClientKeys
from gateway.accounts.rate_limits import TargetLimits, storage_uri
from gateway.catalog.registry import ModelRegistry
from gateway.catalog.vendors import ECHO
from gateway.completions.concurrency_limit import ConcurrencyLimit
from gateway.config.settings import Settings, active_settings, metrics_folder
from gateway.echo.transport import EchoAdapter
from gateway.errors import error_location
from gateway.health.probes import Probes
from gateway.health.target_health import HealthRegistry
from gateway.observability import request_log
from gateway.observability.metrics import Metrics
from gateway.routing.attempt import StreamLimits, Timeouts
from gateway.routing.provider_models import ProviderModels
from gateway.routing.router import Router, sleep
from gateway.transport.http_transport import Transport, WatchingAdapter
from gateway.transport.pool import Pool, tls_context
from gateway.web import cors, errors, health, rate_limit, route_explain
from gateway.web.openai import chat, docs, embeddings, models
from gateway.web.request_hooks import identify_requests, log_requests, request_path
from gateway.web.services import EXTENSION, Services


class NoSession(SessionInterface):
    """No view has a session: no cookie is read or written."""

    def open_session(self, app: Flask, request: Request) -> SessionMixin:  # noqa: ARG002
        return NullSession()

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        pass


class Gateway(Flask):
    """
    Flask with background threads, and without what it does for each request that the gateway has no use for.

    gunicorn's workers call `start_background` once they have loaded the application; elsewhere the first request does.
    """

    session_interface = NoSession()

    def __init__(self) -> None:
        super().__init__("gateway", static_folder=None)
        # werkzeug redirects `//v1/models` to `/v1/models` otherwise: an unknown URL is a 404.
        self.url_map.merge_slashes = False
        self._background_started, self._starting = False, threading.Lock()

    def start_background(self) -> None:
        """Start the background threads, once. It is called in the process that serves, since a fork copies no threads."""
        with self._starting:
            if not self._background_started:
                services: Services = self.extensions[EXTENSION]
                services.probes.start()
                self._background_started = True

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not self._background_started:
            self.start_background()
        return self.wsgi_app(environ, start_response)

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        # Flask checks each view and hook for `async def`, at each request.
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        # Flask parses and encodes the Host header for host and subdomain matching, which no route uses. The host is
        # needed in redirects alone.
        if request is None:
            return None
        environ = request.environ
        host, scheme, script = environ.get("HTTP_HOST", ""), environ["wsgi.url_scheme"], environ.get("SCRIPT_NAME")
        path, method = request_path(environ), environ["REQUEST_METHOD"]
        return MapAdapter(self.url_map, host, script or "/", "", scheme, path, method, environ.get("QUERY_STRING"))

    def log_exception(self, exc_info: Any) -> None:
        # Flask logs the traceback with the exception's message, which may quote a request.
        structlog.get_logger().error("internal_error", **error_location(exc_info[1]))


def create_app(settings: Settings | None = None) -> Gateway:
    """The gateway as a WSGI application. Raises ConfigurationError."""
    settings = settings or active_settings()
    request_log.configure(settings.log_level, settings.log_format)
    app = Gateway()
    app.extensions[EXTENSION] = build_services(settings, rate_limit.build_rate_limiter(app, settings))
    for module in (chat, embeddings, route_explain, models, health, docs):
        app.register_blueprint(module.blueprint)
    app.register_blueprint(docs.swagger_ui)
    # Flask calls after_request functions in the reverse order: the request's end comes before its line in the log.
    log_requests(app)
    identify_requests(app)
    errors.init_app(app)
    cors.init_app(app, settings)
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    for warning in settings.warnings:
        structlog.get_logger().warning("configuration", message=warning)
    return app


def build_services(settings: Settings, rate_limiter: RateLimiter) -> Services:
    """The services that these settings describe."""
    pool = Pool(settings.connect_timeout, tls_context(settings.ca_bundle), settings.proxies, settings.no_proxy)
    http = WatchingAdapter(pool, settings.max_response)
    transport = Transport({"http://": http, "https://": http, "echo://": EchoAdapter(settings.echo_pace, sleep)})
    target_limits, metrics = TargetLimits(settings.redis_url), Metrics(metrics_folder())
    router = Router(
        transport,
        attempts=settings.retry_max_attempts,
        timeouts=Timeouts(settings.request_timeout, settings.first_content_timeout, settings.idle_timeout),
        limits=StreamLimits(settings.max_event, settings.max_before_content),
        health_registry=HealthRegistry(breakers=settings.breakers, on_state_change=metrics.record_state_change),
        admit=target_limits.admit,
        record_tokens=target_limits.record_tokens,
    )
    registry = ModelRegistry(
        settings.providers,
        settings.models,
        settings.aliases,
        settings.routing_order,
        policies=settings.policies,
        policy=settings.policy,
    )
    provider_models = ProviderModels(transport.session, settings.providers, settings.max_listed_models)
    of_targets = (target.provider for targets in settings.models.values() for target in targets)
    probed = [provider for provider in (*settings.providers.values(), *of_targets) if provider.vendor is not ECHO]
    return Services(
        settings=settings,
        client_keys=ClientKeys(settings.client_keys),
        auth_failures=FixedWindowRateLimiter(storage_from_string(storage_uri(settings.redis_url))),
        rate_limits=tuple(sorted(parse_many(settings.rate_limit))) if settings.rate_limit else (),
        rate_limiter=rate_limiter,
        concurrency_limit=ConcurrencyLimit(settings.max_calls_in_flight),
        registry=registry,
        provider_models=provider_models,
        router=router,
        probes=Probes(
            settings.data_dir,
            settings.health_check_interval,
            probed,
            router.health_registry,
            provider_models.is_reachable,
        ),
        metrics=metrics,
    )
