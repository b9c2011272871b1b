"""
The settings of gunicorn 27.0, from the same environment and file as the gateway's own.

It runs before gevent has patched the standard library: nothing here may import ssl or requests. SIGHUP runs it again: a
configuration that has become invalid is reported, and the one before it stays in force.
https://docs.gunicorn.org/en/stable/settings.html
"""

import atexit
import contextlib
import gc
import os
import resource
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from gunicorn.errors import HaltServer

from gateway.config.checks import exposed_listeners
from gateway.config.settings import CachedSettings, ConfigurationError, environment, read

# The variable that prometheus_client finds the folder of its multiprocess mode by.
METRICS, METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR", "pointsman-metrics-"
inherited = os.environ  # noqa: TID251 - to pass a folder on to the workers, not to read settings
# More than any worker needs: a stream has two sockets.
OPEN_FILES = 1 << 20

try:
    CachedSettings.settings = read(environment())
except ConfigurationError as error:
    sys.stderr.write("\n  ".join(["The configuration is wrong:", *error.errors]) + "\n")
    if CachedSettings.settings is None:
        sys.exit(1)
    sys.stderr.write("The configuration before it stays in force.\n")

settings = CachedSettings.settings

bind = f"[{settings.host}]:{settings.port}" if ":" in settings.host else f"{settings.host}:{settings.port}"
workers = settings.workers
worker_class = {
    "gevent": "gateway.server.gevent_worker.GatewayGeventWorker",
    "gthread": "gateway.server.gthread_worker.GatewayThreadWorker",
}[settings.worker_class]
threads = settings.threads
worker_connections = settings.connections
keepalive = settings.keepalive
graceful_timeout = settings.graceful_timeout
# Seconds without a heartbeat after which the master kills a worker. Workers of both classes send it while they stream.
timeout = 60
# gunicorn's maximum: the name of a model may be in the path.
limit_request_line = 8190
# No worker is replaced after a number of requests: while it waited for its long streams, it would accept no connection.
max_requests = 0
loglevel = settings.log_level
# The gateway logs a line per request itself.
accesslog = None
# TRUSTED_PROXIES says in the gateway which forwarded headers to trust; gunicorn passes all of them on and uses none.
forwarded_allow_ips = "*"
forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}
# The control socket has the same path for all instances of a user: the second instance would take it over.
control_socket_disable = True
shared_memory = "/dev/shm" if os.access("/dev/shm", os.W_OK | os.X_OK) else None  # noqa: S108
# The heartbeat is a file, which on a disk can block a worker:
# https://docs.gunicorn.org/en/stable/faq.html#how-do-i-avoid-gunicorn-excessively-blocking-in-os-fchmod
worker_tmp_dir = shared_memory

with contextlib.suppress(ValueError, OSError):
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft_limit = OPEN_FILES if hard_limit == resource.RLIM_INFINITY else min(hard_limit, OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft_limit, hard_limit))


def post_worker_init(worker: object) -> None:  # noqa: ARG001 - gunicorn's signature
    """Exempt the application's objects from garbage collection: they live as long as the worker; it saves a sixth per request."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def keyless_exposure(server: Any) -> str | None:
    """
    Why these listeners must not be served, if so: `--bind`, GUNICORN_CMD_ARGS and inherited sockets take precedence over HOST.

    With reuse_port the workers make the listeners, from the addresses.
    """
    if settings.auth or settings.open_access:
        return None
    listening = [listener.sock.getsockname() for listener in server.LISTENERS] or server.cfg.address
    if not (exposed := exposed_listeners(listening)):
        return None
    return (
        f"It would listen on {', '.join(exposed)} (--bind, GUNICORN_CMD_ARGS or an inherited socket), where without an API key "
        "anyone could use your providers' keys: set VALID_API_KEYS, or GATEWAY_AUTH=off if that is intended"
    )


def when_ready(server: Any) -> None:
    """
    Check the listeners, and make the folder in which the workers share their metrics, in memory if that is possible.

    Not in on_starting: after it gunicorn exits without on_exit if the port is taken.
    """
    if reason := keyless_exposure(server):
        sys.stderr.write(f"The configuration is wrong:\n  {reason}\n")
        sys.exit(1)
    if METRICS not in inherited:
        try:
            inherited[METRICS] = tempfile.mkdtemp(prefix=f"{METRICS_FOLDER}{os.getpid()}-", dir=shared_memory)
            # gunicorn also exits without on_exit where a reload changes the port to one that is taken.
            atexit.register(on_exit, server)
        except OSError as error:
            server.log.warning("There is no folder for metrics (%s): each worker reports its own.", error.strerror)


def on_reload(server: Any) -> None:
    """Stop, if the new configuration has no key any more for listeners that stay open."""
    if reason := keyless_exposure(server):
        raise HaltServer(reason)


def child_exit(server: object, worker: Any) -> None:  # noqa: ARG001
    """Remove the metrics of a worker that ended: they are about the state of its own targets."""
    for file in Path(inherited.get(METRICS, "/nowhere")).glob(f"*_{worker.pid}.db"):
        file.unlink(missing_ok=True)


def on_exit(server: Any) -> None:
    """Remove the folder, if this process made it and no new master has inherited it (SIGUSR2)."""
    folder = Path(inherited.get(METRICS, "/nowhere"))
    if folder.name.startswith(f"{METRICS_FOLDER}{os.getpid()}-") and not server.reexec_pid:
        shutil.rmtree(folder, ignore_errors=True)
