"""The application factory."""

import random
import re
import time
from collections.abc import Callable
from typing import Any

import structlog
from flask import Flask, Request, Response, g, request
from flask.sessions import NullSession, SessionInterface, SessionMixin
from limits import parse_many
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import MapAdapter

from gateway import metrics
from gateway.directory import Directory
from gateway.errors import traced
from gateway.keys import Keys
from gateway.limits import TargetLimits
from gateway.listings import Listings
from gateway.probes import Probes
from gateway.providers import ECHO
from gateway.router import Patience, Router, sleep
from gateway.settings import Settings, in_force
from gateway.slots import Slots
from gateway.standing import Standings
from gateway.transport import EchoAdapter, Pool, Transport, WatchingAdapter, tls_context
from gateway.web import chat, cors, docs, errors, health, log, models, ratelimit, route
from gateway.web.body import Deadlines, discard_body
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

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """No host tells URLs apart here: Flask would take the request's to pieces. It stands in redirects alone."""
        if request is None:
            return None
        environ = request.environ
        host, scheme, script = environ.get("HTTP_HOST", ""), environ["wsgi.url_scheme"], environ.get("SCRIPT_NAME")
        path, method = log.request_path(environ), environ["REQUEST_METHOD"]
        return MapAdapter(self.url_map, host, script or "/", "", scheme, path, method, environ.get("QUERY_STRING"))

    def log_exception(self, exc_info: Any) -> None:
        structlog.get_logger().error("fault", **traced(exc_info[1]))


def create_app(settings: Settings | None = None) -> Flask:
    """The gateway as a WSGI application. Raises ConfigurationError."""
    settings = settings or in_force()
    log.configure(settings)
    app = Gateway("gateway", static_folder=None)
    app.url_map.merge_slashes = False  # an unknown URL is a 404, not a redirect
    app.extensions[NAME] = furnished(settings)
    for module in (chat, route, models, health, docs):
        app.register_blueprint(module.blueprint)
    app.register_blueprint(docs.page)
    log.init_app(app)
    name_requests(app, settings)  # what it does after a request comes before the log's line, which may fail
    ratelimit.init_app(app, settings)
    errors.init_app(app)
    cors.init_app(app, settings)
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
        patience=Patience(settings.request_timeout, settings.first_content_timeout, settings.silence_timeout),
        standings=Standings(breakers=settings.breakers, told=metrics.tell),
        admit=targets.admit,
        spent=targets.spent,
    )
    directory = Directory(
        settings.providers,
        settings.models,
        settings.aliases,
        settings.routing_order,
        policies=settings.policies,
        policy=settings.policy,
    )
    listings = Listings(transport.session, settings.providers)
    asked = (*settings.providers.values(), *(one.provider for targets in settings.models.values() for one in targets))
    probed = [provider for provider in asked if provider.vendor is not ECHO]
    return Rooms(
        settings=settings,
        keys=Keys(settings.keys),
        directory=directory,
        listings=listings,
        router=router,
        limits=limits,
        deadlines=Deadlines(),
        calls=Slots(settings.calls),
        probes=Probes(settings.data, settings.health_check_interval, probed, router.standings, listings.well),
    )


def name_requests(app: Flask, settings: Settings) -> None:
    """Every request has an id, the client's own where it is well-formed, and every response says it."""

    @app.before_request
    def begin() -> None:
        given = request.environ.get("HTTP_X_REQUEST_ID")
        g.began = time.monotonic()
        if given is None or not WELL_FORMED.fullmatch(given):
            given = f"{random.getrandbits(128):032x}"
        g.request_id = given

    @app.after_request
    def end(response: Response) -> Response:
        response.headers.add("x-request-id", g.request_id)
        ratelimit.add_headers(response)
        call = g.get("call")
        if call is not None:
            response.call_on_close(call.close)
        if response.status_code >= 400:
            discard_body(request.environ, settings.max_body, rooms().deadlines, settings.body_timeout)
        return response
