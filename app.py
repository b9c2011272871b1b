"""The application factory."""

from collections.abc import Callable
from typing import Any

import structlog
from flask import Flask, Request, Response
from flask.sessions import NullSession, SessionInterface, SessionMixin
from limits import parse_many
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import MapAdapter

from gateway.accounts.client_keys import ClientKeys
from gateway.accounts.rate_limits import TargetLimits
from gateway.catalog.registry import ModelRegistry
from gateway.catalog.vendors import ECHO
from gateway.completions.concurrency_limit import ConcurrencyLimit
from gateway.config.settings import Settings, active_settings
from gateway.echo.transport import EchoAdapter
from gateway.errors import error_location
from gateway.health.probes import Probes
from gateway.health.target_health import HealthRegistry
from gateway.observability import metrics, request_log
from gateway.routing.attempt import Timeouts
from gateway.routing.provider_models import ProviderModels
from gateway.routing.router import Router, sleep
from gateway.transport.http_transport import Transport, WatchingAdapter
from gateway.transport.pool import Pool, tls_context
from gateway.web import cors, errors, health, rate_limit, route_explain
from gateway.web.body import BodyDeadlines
from gateway.web.openai import chat, docs, embeddings, models
from gateway.web.request_hooks import identify_requests, log_requests, request_path
from gateway.web.services import NAME, Services


class NoSession(SessionInterface):
    """Nobody logs in here: no cookie is read or written."""

    def open_session(self, app: Flask, request: Request) -> SessionMixin:  # noqa: ARG002
        return NullSession()

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        pass


class Gateway(Flask):
    """Flask, whose last resort logs where a fault was, not what it said: that may quote a request."""

    session_interface = NoSession()

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Every view is synchronous: Flask would look into each function at each request."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """No host tells URLs apart here: Flask would take the request's to pieces. It stands in redirects alone."""
        if request is None:
            return None
        environ = request.environ
        host, scheme, script = environ.get("HTTP_HOST", ""), environ["wsgi.url_scheme"], environ.get("SCRIPT_NAME")
        path, method = request_path(environ), environ["REQUEST_METHOD"]
        return MapAdapter(self.url_map, host, script or "/", "", scheme, path, method, environ.get("QUERY_STRING"))

    def log_exception(self, exc_info: Any) -> None:
        structlog.get_logger().error("internal_error", **error_location(exc_info[1]))


def create_app(settings: Settings | None = None) -> Flask:
    """The gateway as a WSGI application. Raises ConfigurationError."""
    settings = settings or active_settings()
    request_log.configure(settings.log_level, settings.log_format)
    app = Gateway("gateway", static_folder=None)
    app.url_map.merge_slashes = False  # an unknown URL is a 404, not a redirect
    app.extensions[NAME] = build_services(settings)
    for module in (chat, embeddings, route_explain, models, health, docs):
        app.register_blueprint(module.blueprint)
    app.register_blueprint(docs.page)
    log_requests(app)
    identify_requests(
        app, settings
    )  # Flask runs what was registered last first: this comes before the log's line, which may fail
    rate_limit.init_app(app, settings)
    errors.init_app(app)
    cors.init_app(app, settings)
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    for warning in settings.warnings:
        structlog.get_logger().warning("configuration", message=warning)
    return app


def build_services(settings: Settings) -> Services:
    """The rooms that these settings make."""
    pool = Pool(settings.connect_timeout, tls_context(settings.ca_bundle), settings.proxies, settings.no_proxy)
    http = WatchingAdapter(pool)
    targets = TargetLimits(settings.redis_url)
    limits = tuple(sorted(parse_many(settings.rate_limit))) if settings.rate_limit else ()
    transport = Transport({"http://": http, "https://": http, "echo://": EchoAdapter(settings.echo_pace, sleep)})
    router = Router(
        transport,
        attempts=settings.retry_max_attempts,
        timeouts=Timeouts(settings.request_timeout, settings.first_content_timeout, settings.idle_timeout),
        health_registry=HealthRegistry(breakers=settings.breakers, on_state_change=metrics.record_state_change),
        admit=targets.admit,
        record_tokens=targets.record_tokens,
    )
    registry = ModelRegistry(
        settings.providers,
        settings.models,
        settings.aliases,
        settings.routing_order,
        policies=settings.policies,
        policy=settings.policy,
    )
    provider_models = ProviderModels(transport.session, settings.providers)
    asked = (*settings.providers.values(), *(one.provider for targets in settings.models.values() for one in targets))
    probed = [provider for provider in asked if provider.vendor is not ECHO]
    return Services(
        settings=settings,
        keys=ClientKeys(settings.client_keys),
        registry=registry,
        provider_models=provider_models,
        router=router,
        limits=limits,
        deadlines=BodyDeadlines(),
        calls=ConcurrencyLimit(settings.max_calls_in_flight),
        probes=Probes(
            settings.data_dir,
            settings.health_check_interval,
            probed,
            router.health_registry,
            provider_models.is_reachable,
        ),
    )
