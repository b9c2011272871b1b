"""The application factory."""

import re
import secrets
import time
from collections.abc import Callable
from threading import Semaphore
from typing import Any

import structlog
from flask import Flask, Request, Response, g, request
from flask.sessions import NullSession, SessionInterface, SessionMixin
from flask_cors import CORS
from limits import parse_many
from werkzeug.middleware.proxy_fix import ProxyFix

from gateway.directory import Directory
from gateway.errors import traced
from gateway.keys import Keys
from gateway.limits import TargetLimits
from gateway.listings import Listings
from gateway.router import Router, sleep
from gateway.settings import Settings, in_force
from gateway.transport import EchoAdapter, Pool, Transport, WatchingAdapter, tls_context
from gateway.web import chat, docs, errors, health, log, models, ratelimit
from gateway.web.body import Deadlines, discard_body
from gateway.web.respond import EXPOSED
from gateway.web.rooms import NAME, Rooms, rooms

WELL_FORMED = re.compile(r"[A-Za-z0-9._:-]{1,128}")


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

    def log_exception(self, exc_info: Any) -> None:
        structlog.get_logger().error("fault", **traced(exc_info[1]))


def create_app(settings: Settings | None = None) -> Flask:
    """The gateway as a WSGI application. Raises ConfigurationError."""
    settings = settings or in_force()
    log.configure(settings)
    app = Gateway("gateway", static_folder=None)
    app.url_map.merge_slashes = False  # an unknown URL is a 404, not a redirect
    app.extensions[NAME] = furnished(settings)
    for module in (chat, models, health, docs):
        app.register_blueprint(module.blueprint)
    app.register_blueprint(docs.page)
    name_requests(app, settings)
    log.init_app(app)
    ratelimit.init_app(app, settings)
    errors.init_app(app)
    CORS(app, origins=list(settings.cors_origins), expose_headers=list(EXPOSED), always_send=False, max_age=86400)
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    for warning in settings.warnings:
        structlog.get_logger().warning("configuration", said=warning)
    return app


def furnished(settings: Settings) -> Rooms:
    """The rooms that these settings make."""
    pool = Pool(settings.connect_timeout, tls_context(settings.ca_bundle), settings.proxies, settings.no_proxy)
    http = WatchingAdapter(pool)
    targets = TargetLimits(settings.redis_url)
    limits = tuple(sorted(parse_many(settings.rate_limit))) if settings.rate_limit else ()
    transport = Transport({"http://": http, "https://": http, "echo://": EchoAdapter(settings.echo_pace, sleep)})
    router = Router(
        transport,
        attempts=settings.retry_max_attempts,
        timeout=settings.request_timeout,
        admit=targets.admit,
        spent=targets.spent,
    )
    directory = Directory(settings.providers, settings.models, settings.aliases, settings.routing_order)
    listings = Listings(transport.session, settings.providers)
    return Rooms(
        settings, Keys(settings.keys), directory, listings, router, limits, Deadlines(), Semaphore(settings.calls)
    )


def name_requests(app: Flask, settings: Settings) -> None:
    """Every request has an id, the client's own where it is well-formed, and every response says it."""

    @app.before_request
    def begin() -> None:
        given = request.headers.get("x-request-id", "")
        g.began = time.monotonic()
        g.request_id = given if WELL_FORMED.fullmatch(given) else secrets.token_hex(16)

    @app.after_request
    def end(response: Response) -> Response:
        response.headers.add("x-request-id", g.request_id)
        ratelimit.add_headers(response)
        if "call" in g:
            response.call_on_close(g.call.cleanup.close)
        if response.status_code >= 400:
            discard_body(request, settings.max_body, rooms().deadlines, settings.body_timeout)
        return response
