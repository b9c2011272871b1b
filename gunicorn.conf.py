"""
gunicorn's settings, from the same environment and file as the gateway's own.

It runs before gevent has patched the standard library: nothing here may import ssl or requests. SIGHUP runs it again:
a configuration that has become wrong is reported, and the one before it stays in force.
"""

import contextlib
import gc
import os
import resource
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from gateway.config.settings import CachedSettings, ConfigurationError, environment, read

METRICS, METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR", "pointsman-metrics-"
inherited = os.environ  # noqa: TID251 - to hand a folder on to the workers, not to be configured by
OPEN_FILES = 1 << 20
"""More than any worker needs: a stream has two sockets."""

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
timeout = 60  # silence of a worker, not of a stream: workers of both classes report while they stream
limit_request_line = 8190  # the most that it knows: a model's name may be in it
max_requests = 0  # a worker that waits for its long streams before it retires accepts nobody meanwhile
loglevel = settings.log_level
accesslog = None  # the gateway logs a line a request itself
forwarded_allow_ips = "*"  # whom to believe is TRUSTED_PROXIES' business, in the gateway; here nothing is believed:
forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}
control_socket_disable = True  # it is one for all instances of a user, and the second steals it
if Path("/dev/shm").is_dir():  # noqa: S108 - the heartbeat's file: on a disk it can block a worker
    worker_tmp_dir = "/dev/shm"  # noqa: S108

with contextlib.suppress(ValueError, OSError):
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    reach = OPEN_FILES if most == resource.RLIM_INFINITY else min(most, OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (reach, most))


def post_worker_init(worker: object) -> None:  # noqa: ARG001 - gunicorn's own signature
    """What the application is made of stays: not looked through again and again for what is garbage, a request costs a sixth less."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def on_starting(server: object) -> None:  # noqa: ARG001
    """The workers share a folder for what they tell Prometheus, if there is room for one; prometheus_client looks for its name."""
    if METRICS not in inherited:
        with contextlib.suppress(OSError):
            shared = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
            inherited[METRICS] = tempfile.mkdtemp(prefix=f"{METRICS_FOLDER}{os.getpid()}-", dir=shared)


def child_exit(server: object, worker: Any) -> None:  # noqa: ARG001
    """What a worker that ended said of its targets is over."""
    for said in Path(inherited.get(METRICS, "/nowhere")).glob(f"*_{worker.pid}.db"):
        said.unlink(missing_ok=True)


def on_exit(server: Any) -> None:
    """Leave no folder behind that this process made, unless another server has inherited it."""
    folder = Path(inherited.get(METRICS, "/nowhere"))
    if folder.name.startswith(f"{METRICS_FOLDER}{os.getpid()}-") and not server.reexec_pid:
        shutil.rmtree(folder, ignore_errors=True)
