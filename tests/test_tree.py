"""Rules for the folders of gateway/ that no linter checks, checked on the modules' syntax trees."""

import ast
import dataclasses
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.catalog.vendors import VENDORS_BY_NAME
from gateway.routing.call import Call

ROOT = Path(__file__).parents[1]
PURE = ("dialects/", "openai_types.py", "stream_events.py", "json_codec.py", "errors.py")
IMPURE_MODULES = (
    *("flask", "requests", "urllib3", "http", "socket", "ssl", "select", "os", "sys", "subprocess", "threading"),
    *("time", "datetime", "uuid", "random", "secrets", "logging", "structlog"),
)
WEB_PACKAGES = ("flask", "flask_cors", "flask_limiter", "flask_swagger_ui", "werkzeug", "marshmallow", "apispec")
SLEEPS = ("time.sleep", "gevent.sleep")
ENVIRONMENT = ("os.environ", "os.environb", "os.getenv", "os.getenvb", "os.putenv", "dotenv.")
# What opens a socket. The constants of `socket` open none: server/ and web/ shut down sockets that gunicorn accepted.
SOCKETS = (
    *(
        f"socket.{name}"
        for name in ("socket", "SocketType", "create_connection", "create_server", "fromfd", "socketpair")
    ),
    *("ssl.", "select.", "http.client.", "http.server.", "urllib.request.", "urllib3."),
    *(
        f"requests.{name}"
        for name in ("Session", "session", "request", "get", "post", "put", "patch", "delete", "head")
    ),
)

Rule = Callable[[ast.Module], Iterator[str]]


def aliases(tree: ast.Module) -> dict[str, str]:
    """The full name of each imported name: `{"nap": "time.sleep"}`."""
    names = {}
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                modules = [(a.asname, a.name) if a.asname else (a.name.partition(".")[0],) * 2 for a in node.names]
                names |= dict(modules)
            case ast.ImportFrom(module=str(module)):
                names |= {a.asname or a.name: f"{module}.{a.name}" for a in node.names}
    return names


def imported_names(tree: ast.Module) -> Iterator[str]:
    """Every imported module, and every name imported from one, with its module before it."""
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from (a.name for a in node.names)
            case ast.ImportFrom(module=str(module)):
                yield from (f"{module}.{a.name}" for a in node.names)


def used_names(tree: ast.Module) -> Iterator[str]:
    """
    Every name that leads into an imported module, in full: `time.sleep`, however it was imported.

    Annotations are no uses: a function that is handed a session may say so.
    """
    full_names, annotations = aliases(tree), {part for node in ast.walk(tree) for part in annotation_of(node)}
    for node in ast.walk(tree):
        path = dotted_name(node) if node not in annotations else ""
        first, dot, rest = path.partition(".")
        if first in full_names:
            yield full_names[first] + dot + rest


def annotation_of(node: ast.AST) -> Iterator[ast.AST]:
    """Every node of a node's own annotation."""
    match node:
        case (
            ast.arg(annotation=ast.AST() as annotation)
            | ast.AnnAssign(annotation=annotation)
            | ast.FunctionDef(returns=ast.AST() as annotation)
        ):
            yield from ast.walk(annotation)


def dotted_name(node: ast.AST) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attribute) if dotted_name(value):
            return f"{dotted_name(value)}.{attribute}"
    return ""


def uses(*names: str) -> Rule:
    """The names of the list that a module uses; one with a dot at its end stands for all of that module."""

    def violations(tree: ast.Module) -> Iterator[str]:
        for name in {*used_names(tree), *imported_names(tree)}:
            if any(name == banned or name.startswith(banned.rstrip(".") + ".") for banned in names):
                yield name

    return violations


def imports(*modules: str) -> Rule:
    def violations(tree: ast.Module) -> Iterator[str]:
        for name in imported_names(tree):
            if any(f"{name}.".startswith(f"{module}.") for module in modules):
                yield name

    return violations


def calls(*names: str) -> Rule:
    def violations(tree: ast.Module) -> Iterator[str]:
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Name(id=name)) if name in names:
                    yield name

    return violations


def sleeps(tree: ast.Module) -> Iterator[str]:
    """Calls of sleep but for sleep(0), and waits for an event that nobody can set, since only its `wait` is used."""
    yield from uses(*SLEEPS)(without_yields(tree))
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        nodes = list(ast.walk(function))
        events = {
            node.targets[0].id
            for node in nodes
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and is_new_event(node.value)
        }
        waits = [node.value for node in nodes if isinstance(node, ast.Attribute) and node.attr == "wait"]
        yield from ("Event().wait" for value in waits if is_new_event(value))
        for event in events:
            loads = [node for node in nodes if isinstance(node, ast.Name) and node.id == event]
            if all(node in waits for node in loads if isinstance(node.ctx, ast.Load)):
                yield f"{event}.wait"


class WithoutYields(ast.NodeTransformer):
    """Drops time.sleep(0), by which a thread or greenlet only lets others have their turn."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if dotted_name(node.func) == "time.sleep" and ast.unparse(node) == "time.sleep(0)":
            return ast.copy_location(ast.Constant(None), node)
        return self.generic_visit(node)


def without_yields(tree: ast.Module) -> ast.Module:
    return WithoutYields().visit(ast.parse(ast.unparse(tree)))


def is_new_event(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and dotted_name(node.func).rpartition(".")[2] == "Event"


def compares_vendors(tree: ast.Module) -> Iterator[str]:
    """The vendors that something is compared with: by ==, `in`, a `case`, or a string's beginning or end."""
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=left, comparators=others):
                yield from (name for side in (left, *others) for name in vendor_names(side))
            case ast.MatchValue(value=value):
                yield from vendor_names(value)
            case ast.Call(func=ast.Attribute(attr="startswith" | "endswith"), args=args):
                yield from (name for arg in args for name in vendor_names(arg))


def vendor_names(node: ast.expr) -> Iterator[str]:
    """The vendors' names among the constants of a comparison's side."""
    match node:
        case ast.Constant(value=str(text)) if text.strip("/_-").lower() in VENDORS_BY_NAME:
            yield text
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
            yield from (name for part in parts for name in vendor_names(part))


WAITS = "only routing/router makes a request wait, and background threads wait on an event that ends them"
READS_ENVIRONMENT = "only config/settings reads the environment"
OPENS_SOCKETS = "only transport/ opens sockets"
KNOWS_VENDORS = "only adapters and tables know a vendor by its name"
KNOWS_FLASK = "flask and marshmallow stay in web/"
IMPORTS_WEB = "nothing but the factory imports web/"
# Each rule, and the folders and modules that it does not apply to, by how their paths begin.
RULES: dict[str, tuple[Rule, tuple[str, ...]]] = {
    WAITS: (sleeps, ("routing/router.py",)),
    READS_ENVIRONMENT: (uses(*ENVIRONMENT), ("config/settings.py",)),
    OPENS_SOCKETS: (uses(*SOCKETS), ("transport/",)),
    KNOWS_VENDORS: (compares_vendors, ("dialects/", "catalog/", "config/settings.py")),
    KNOWS_FLASK: (imports(*WEB_PACKAGES), ("web/",)),
    IMPORTS_WEB: (imports("gateway.web"), ("web/",)),
}

MODULES = {path.relative_to(ROOT / "gateway").as_posix(): path for path in sorted((ROOT / "gateway").rglob("*.py"))}


def violations(rule: Rule, names: list[str]) -> dict[str, list[str]]:
    by_module = {name: sorted(rule(ast.parse(MODULES[name].read_text(encoding="utf-8")))) for name in names}
    return {name: found for name, found in by_module.items() if found}


@pytest.mark.parametrize("name", RULES)
def test_every_module_follows_the_rule_that(name):
    rule, exempt = RULES[name]
    assert violations(rule, [module for module in MODULES if not module.startswith(exempt)]) == {}


def test_dialects_and_the_modules_at_the_top_are_pure():
    pure = [module for module in MODULES if module.startswith(PURE)]
    assert violations(imports(*IMPURE_MODULES), pure) == {}
    assert violations(calls("open", "print", "input", "exec", "eval"), pure) == {}


def test_every_path_in_the_rules_exists():
    paths = {path for _, exempt in RULES.values() for path in exempt} | set(PURE)
    assert [path for path in paths if not any(module.startswith(path) for module in MODULES)] == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        (WAITS, "import time\ntime.sleep(1)"),
        (WAITS, "import time as clock\nnap = clock.sleep"),
        (WAITS, "from time import sleep as nap"),
        (WAITS, "import threading\ndef nap():\n    threading.Event().wait(1)"),
        (WAITS, "import threading\ndef nap():\n    tick = threading.Event()\n    while not tick.wait(1): pass"),
        (READS_ENVIRONMENT, "import os\nos.environ['HOME']"),
        (READS_ENVIRONMENT, "from os import getenv"),
        (READS_ENVIRONMENT, "import os\nos.environ.get('HOME')"),
        (READS_ENVIRONMENT, "from dotenv import load_dotenv"),
        (OPENS_SOCKETS, "import socket\nsocket.create_connection(('a', 1))"),
        (OPENS_SOCKETS, "import socket\nsocket.socket()"),
        (OPENS_SOCKETS, "from socket import socket"),
        (OPENS_SOCKETS, "from http.client import HTTPConnection"),
        (OPENS_SOCKETS, "import http.client\nhttp.client.HTTPConnection('a')"),
        (OPENS_SOCKETS, "import requests\nrequests.post('http://a')"),
        (OPENS_SOCKETS, "from requests import Session"),
        (KNOWS_VENDORS, "provider == 'anthropic'"),
        (KNOWS_VENDORS, "'groq' != provider"),
        (KNOWS_VENDORS, "provider in ('openai', 'xai')"),
        (KNOWS_VENDORS, "match provider:\n    case 'mistral': pass"),
        (KNOWS_VENDORS, "model.startswith('anthropic/')"),
        (KNOWS_FLASK, "from flask import g"),
        (KNOWS_FLASK, "import marshmallow.fields as f"),
        (IMPORTS_WEB, "from gateway.web import chat"),
        (IMPORTS_WEB, "from gateway.web.chat import blueprint"),
        (IMPORTS_WEB, "from gateway import web"),
    ],
)
def test_a_rule_notices_a_violation(name, source):
    assert list(RULES[name][0](ast.parse(source)))


@pytest.mark.parametrize(
    ("name", "source"),
    [
        (WAITS, "import time\ntime.sleep(0)"),
        (WAITS, "import time\ntime.monotonic()\ndef wait(sleep): sleep(1)"),
        (WAITS, "class Thread:\n    def run(self):\n        while not self.ended.wait(1): pass"),
        (WAITS, "import threading\ndef run():\n    ended = threading.Event()\n    start(ended)\n    ended.wait(1)"),
        (READS_ENVIRONMENT, "import os\nos.urandom(32)"),
        (OPENS_SOCKETS, "import requests\ntry: pass\nexcept requests.RequestException: pass"),
        (OPENS_SOCKETS, "import requests\ndef fetch(session: requests.Session): session.get('http://a')"),
        (OPENS_SOCKETS, "import socket\ndef end(client): client.shutdown(socket.SHUT_RD)"),
        (KNOWS_VENDORS, "status == 'ok'\ntable = {'openai': 1}"),
        (KNOWS_FLASK, "import flaskless"),
        (IMPORTS_WEB, "from gateway.website import page"),
    ],
)
def test_a_rule_allows_what_is_no_violation(name, source):
    assert list(RULES[name][0](ast.parse(source))) == []


def writers_of(field: str) -> set[str]:
    """The modules that assign a field of a call, or append to it."""
    modules = set()
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Assign(targets=targets):
                    assigned = [
                        part
                        for target in targets
                        for part in (target.elts if isinstance(target, ast.Tuple) else [target])
                    ]
                case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
                    assigned = [target]
                case ast.Call(func=ast.Attribute(value=value, attr="append" | "extend")):
                    assigned = [value]
                case _:
                    continue
            calls = ("self",) if name == "routing/call.py" else ("call", "self.call", "self._call")
            if {dotted_name(part) for part in assigned} & {f"{call}.{field}" for call in calls}:
                modules.add(name)
    return modules


OWNERS = re.findall(
    r"^\| (`\w+`(?:, `\w+`)*) \| `([\w/.]+)` \|", (ROOT / "docs/architecture.md").read_text(), re.MULTILINE
)


@pytest.mark.parametrize(
    ("field", "owner"), [(field, owner) for fields, owner in OWNERS for field in re.findall(r"\w+", fields)]
)
def test_each_field_of_a_call_is_written_by_its_owner_alone(field, owner):
    assert all(module.startswith(owner) for module in writers_of(field) - {"web/calls.py"})
    assert field in {member.name for member in dataclasses.fields(Call)}


def test_every_field_of_a_call_has_an_owner():
    owned = {field for fields, _ in OWNERS for field in re.findall(r"\w+", fields)}
    assert {member.name for member in dataclasses.fields(Call)} - owned == {"closers"}


def test_the_writers_of_a_field_are_found():
    assert writers_of("served_by") == {"routing/attempt.py"}
    assert writers_of("attempts") == {"routing/call.py"}
    assert writers_of("usage") == {"completions/completion.py", "completions/event_stream.py"}
