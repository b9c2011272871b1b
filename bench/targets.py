"""The targets: the gateway, its peers, nginx as the lower bound, and the upstream. Each has one worker process."""

import http.client
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from processes import (
    BENCH,
    BUILD,
    PEERS,
    ROOT,
    MissingTool,
    compiled,
    environment,
    free_port,
    pinned,
    running,
    tool,
    wait_until,
)
from workloads import WORKLOADS, chat

KEY = "sk-bench-0123456789abcdef0123456789abcdef"
UPSTREAM_TEXT = b"Hello! How can I help you today?"
JSON_HEADERS = {"Content-Type": "application/json", "User-Agent": "OpenAI/Python 3.54.0", "Accept": "application/json"}
AUTHORIZED_HEADERS = {**JSON_HEADERS, "Authorization": f"Bearer {KEY}"}


@dataclass(frozen=True)
class Launch:
    """How a target is started and called. `prefixes`: the start of a model name, by dialect."""

    command: list[str]
    env: dict[str, str] = field(default_factory=environment)
    headers: dict[str, str] = field(default_factory=lambda: AUTHORIZED_HEADERS)
    stream_path: str = "/v1/chat/completions"
    prefixes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Target:
    """A target that listens; `core`: the core that it runs on."""

    name: str
    port: int
    pid: int
    core: int
    launch: Launch

    def model(self, name: str, dialect: str = "openai") -> str:
        return self.launch.prefixes.get(dialect, "") + name


def ours(port: int, upstream: int, **variables: str) -> Launch:
    """The gateway as in production: with an API key, a rate limit, validation, and its log in a file."""
    base = f"http://127.0.0.1:{upstream}"
    env = {
        "PYTHONPATH": str(ROOT),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "VALID_API_KEYS": KEY,
        "RATE_LIMIT": "100000000 per minute",
        "OPENAI_API_KEY": "sk-upstream",
        "OPENAI_BASE_URL": f"{base}/v1",
        "ANTHROPIC_API_KEY": "sk-upstream",
        "ANTHROPIC_BASE_URL": base,
        "GATEWAY_DATA": str(BUILD / "data"),
        "GRACEFUL_TIMEOUT": "6",
        **variables,
    }
    command = [sys.executable, "-m", "gunicorn", "-c", str(ROOT / "gunicorn.conf.py"), "wsgi:app"]
    return Launch(command, environment(**env), prefixes={"openai": "openai/", "anthropic": "anthropic/"})


def litellm(port: int, upstream: int) -> Launch:
    """LiteLLM's proxy with a master key and no database; logging, telemetry and the download of its price list are off."""
    program = PEERS / "litellm" / "bin" / "litellm"
    if not program.exists():
        raise MissingTool("LiteLLM is not set up: make bench-peers")
    models = {workload.model for workload in WORKLOADS if workload.dialect == "openai"}
    upstream_url = f"http://127.0.0.1:{upstream}/v1"
    config = {
        "model_list": [
            {
                "model_name": model,
                "litellm_params": {"model": f"openai/{model}", "api_base": upstream_url, "api_key": "sk-upstream"},
            }
            for model in sorted(models)
        ],
        "litellm_settings": {"telemetry": False, "set_verbose": False},
        "general_settings": {"master_key": KEY},
    }
    path = BUILD / "litellm.yaml"
    path.write_text(json.dumps(config, indent=1))
    quiet_settings = {"LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    command = [str(program), "--config", str(path), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    return Launch([*command, "--telemetry", "False"], environment(**quiet_settings, NO_PROXY="127.0.0.1"))


def portkey(port: int, upstream: int) -> Launch:
    """Portkey's gateway. Headers select the upstream; it checks no API key."""
    program = PEERS / "portkey" / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    if not program.exists():
        raise MissingTool("Portkey's gateway is not set up: make bench-peers")
    routing_headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": f"http://127.0.0.1:{upstream}/v1"}
    command = [tool("node", "nodejs"), str(program), f"--port={port}", "--headless"]
    return Launch(command, environment(NODE_ENV="production"), {**AUTHORIZED_HEADERS, **routing_headers})


def nginx(port: int, upstream: int) -> Launch:
    """nginx as a reverse proxy with persistent upstream connections; streams use a location without buffering."""
    path = BUILD / "nginx.conf"
    text = Template((BENCH / "nginx.conf").read_text())
    path.write_text(text.substitute(port=port, upstream=upstream, folder=BUILD))
    return Launch(
        [tool("nginx", "nginx-light"), "-c", str(path), "-p", str(BUILD)], stream_path="/stream/v1/chat/completions"
    )


LAUNCHES: dict[str, Callable[[int, int], Launch]] = {
    "ours": ours,
    "nginx": nginx,
    "litellm": litellm,
    "portkey": portkey,
}


def upstream_launch(port: int) -> list[str]:
    return [compiled("upstream"), str(port)]


@contextmanager
def upstream(core: int) -> Iterator[Target]:
    """Run the fake upstream; as a target its name is direct."""
    port = free_port()
    with running([*pinned(core), *upstream_launch(port)], environment(), BUILD / "upstream.log") as process:
        yield when_ready(Target("direct", port, process.pid, core, Launch([])), process)


@contextmanager
def started(name: str, launch: Launch, port: int, core: int) -> Iterator[Target]:
    log = BUILD / f"{name}.log"
    with running([*pinned(core), *launch.command], launch.env, log) as process:
        yield when_ready(Target(name, port, process.pid, core, launch), process)


@contextmanager
def targets(names: tuple[str, ...], target_core: int, load_core: int) -> Iterator[list[Target]]:
    """Run the upstream and the targets in `names`; yield those targets, all listening."""
    with ExitStack() as stack:
        direct = stack.enter_context(upstream(load_core))
        running_targets = [direct] if "direct" in names else []
        for name in names:
            if name != "direct":
                port = free_port()
                launch = LAUNCHES[name](port, direct.port)
                running_targets.append(stack.enter_context(started(name, launch, port, target_core)))
        yield running_targets


def when_ready(target: Target, process: subprocess.Popen[bytes]) -> Target:
    """Return the target when it responds to a chat request. Raises SystemExit if it does not."""
    log = Path(BUILD / f"{'upstream' if target.name == 'direct' else target.name}.log")

    def responds() -> bool:
        if process.poll() is not None:
            raise SystemExit(f"{target.name} exited at once:\n{log.read_text()[-3000:]}")
        connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=10)
        try:
            body = chat(target.model("bench-plain"), 1, stream=False)
            connection.request("POST", "/v1/chat/completions", body, target.launch.headers)
            response = connection.getresponse()
            return response.status == 200 and UPSTREAM_TEXT in response.read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    if not wait_until(responds):
        raise SystemExit(f"{target.name} does not respond:\n{log.read_text()[-3000:]}")
    return target
