"""What no linter says of the rooms, read from their syntax trees: who sleeps, who reads the environment, who names a vendor."""

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
IMPURE = (
    *("flask", "requests", "urllib3", "http", "socket", "ssl", "select", "os", "sys", "subprocess", "threading"),
    *("time", "datetime", "uuid", "random", "secrets", "logging", "structlog"),
)
SHELL = ("flask", "flask_cors", "flask_limiter", "flask_swagger_ui", "werkzeug", "marshmallow", "apispec")
SLEEPS = ("time.sleep", "gevent.sleep")
ENVIRONMENT = ("os.environ", "os.environb", "os.getenv", "os.getenvb", "os.putenv", "dotenv.")
NETWORK = (
    *("socket.", "ssl.", "select.", "http.client.", "http.server.", "urllib.request.", "urllib3."),
    *(
        f"requests.{name}"
        for name in ("Session", "session", "request", "get", "post", "put", "patch", "delete", "head")
    ),
)

Rule = Callable[[ast.Module], Iterator[str]]


def aliases(tree: ast.Module) -> dict[str, str]:
    """What each imported name stands for: `{"nap": "time.sleep"}`."""
    found = {}
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                tops = [(a.asname, a.name) if a.asname else (a.name.partition(".")[0],) * 2 for a in node.names]
                found |= dict(tops)
            case ast.ImportFrom(module=str(module)):
                found |= {a.asname or a.name: f"{module}.{a.name}" for a in node.names}
    return found


def imported(tree: ast.Module) -> Iterator[str]:
    """Every module that is imported, and every name from one, with its module before it."""
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from (a.name for a in node.names)
            case ast.ImportFrom(module=str(module)):
                yield from (f"{module}.{a.name}" for a in node.names)


def used(tree: ast.Module) -> Iterator[str]:
    """
    Every name that leads into an imported module, in full: `time.sleep`, however it was imported.

    Annotations use nothing: who is handed a session may say so.
    """
    known, said = aliases(tree), {part for node in ast.walk(tree) for part in annotated(node)}
    for node in ast.walk(tree):
        path = dotted(node) if node not in said else ""
        first, dot, rest = path.partition(".")
        if first in known:
            yield known[first] + dot + rest


def annotated(node: ast.AST) -> Iterator[ast.AST]:
    """Every node of a node's own annotation."""
    match node:
        case (
            ast.arg(annotation=ast.AST() as said)
            | ast.AnnAssign(annotation=said)
            | ast.FunctionDef(returns=ast.AST() as said)
        ):
            yield from ast.walk(said)


def dotted(node: ast.AST) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attr) if dotted(value):
            return f"{dotted(value)}.{attr}"
    return ""


def uses(*names: str) -> Rule:
    """The names of the list that a module uses; one with a dot at its end stands for all of that module."""

    def found(tree: ast.Module) -> Iterator[str]:
        for name in {*used(tree), *imported(tree)}:
            if any(name == banned or name.startswith(banned.rstrip(".") + ".") for banned in names):
                yield name

    return found


def imports(*modules: str) -> Rule:
    def found(tree: ast.Module) -> Iterator[str]:
        yield from (name for name in imported(tree) if any(f"{name}.".startswith(f"{module}.") for module in modules))

    return found


def calls(*names: str) -> Rule:
    def found(tree: ast.Module) -> Iterator[str]:
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Name(id=name)) if name in names:
                    yield name

    return found


def compares_vendors(tree: ast.Module) -> Iterator[str]:
    """The vendors that something is compared with: by ==, `in`, a `case`, or a string's beginning or end."""
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=left, comparators=others):
                yield from (name for side in (left, *others) for name in vendors(side))
            case ast.MatchValue(value=value):
                yield from vendors(value)
            case ast.Call(func=ast.Attribute(attr="startswith" | "endswith"), args=args):
                yield from (name for arg in args for name in vendors(arg))


def vendors(node: ast.expr) -> Iterator[str]:
    """The vendors' names among the constants of a comparison's side."""
    match node:
        case ast.Constant(value=str(text)) if text.strip("/_-").lower() in VENDORS_BY_NAME:
            yield text
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
            yield from (name for part in parts for name in vendors(part))


RULES: dict[str, tuple[Rule, tuple[str, ...]]] = {
    "only the router sleeps": (uses(*SLEEPS), ("routing/router.py",)),
    "only the settings read the environment": (uses(*ENVIRONMENT), ("config/settings.py",)),
    "only the transport opens sockets": (uses(*NETWORK), ("transport/",)),
    "only adapters and tables know a vendor by its name": (
        compares_vendors,
        ("dialects/", "catalog/", "config/settings.py"),
    ),
    "flask and marshmallow stay in the web room": (imports(*SHELL), ("web/",)),
    "nothing but the factory imports the web room": (imports("gateway.web"), ("web/",)),
}
"""Each rule, and the rooms that it is not for, by how their paths begin."""

MODULES = {path.relative_to(ROOT / "gateway").as_posix(): path for path in sorted((ROOT / "gateway").rglob("*.py"))}


def broken(rule: Rule, names: list[str]) -> dict[str, list[str]]:
    found = {name: sorted(rule(ast.parse(MODULES[name].read_text(encoding="utf-8")))) for name in names}
    return {name: faults for name, faults in found.items() if faults}


@pytest.mark.parametrize("name", RULES)
def test_every_room_keeps_the_rule_that(name):
    rule, rooms = RULES[name]
    assert broken(rule, [module for module in MODULES if not module.startswith(rooms)]) == {}


def test_adapters_and_framing_are_pure():
    pure = [module for module in MODULES if module.startswith(PURE)]
    assert broken(imports(*IMPURE), pure) == {}
    assert broken(calls("open", "print", "input", "exec", "eval"), pure) == {}


def test_every_rule_has_the_rooms_that_it_is_not_for():
    rooms = {room for _, rooms in RULES.values() for room in rooms} | set(PURE)
    assert [room for room in rooms if not any(module.startswith(room) for module in MODULES)] == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("only the router sleeps", "import time\ntime.sleep(1)"),
        ("only the router sleeps", "import time as clock\nnap = clock.sleep"),
        ("only the router sleeps", "from time import sleep as nap"),
        ("only the settings read the environment", "import os\nos.environ['HOME']"),
        ("only the settings read the environment", "from os import getenv"),
        ("only the settings read the environment", "import os\nos.environ.get('HOME')"),
        ("only the settings read the environment", "from dotenv import load_dotenv"),
        ("only the transport opens sockets", "import socket\nsocket.create_connection(('a', 1))"),
        ("only the transport opens sockets", "from http.client import HTTPConnection"),
        ("only the transport opens sockets", "import http.client\nhttp.client.HTTPConnection('a')"),
        ("only the transport opens sockets", "import requests\nrequests.post('http://a')"),
        ("only the transport opens sockets", "from requests import Session"),
        ("only adapters and tables know a vendor by its name", "provider == 'anthropic'"),
        ("only adapters and tables know a vendor by its name", "'groq' != provider"),
        ("only adapters and tables know a vendor by its name", "provider in ('openai', 'xai')"),
        ("only adapters and tables know a vendor by its name", "match provider:\n    case 'mistral': pass"),
        ("only adapters and tables know a vendor by its name", "model.startswith('anthropic/')"),
        ("flask and marshmallow stay in the web room", "from flask import g"),
        ("flask and marshmallow stay in the web room", "import marshmallow.fields as f"),
        ("nothing but the factory imports the web room", "from gateway.web import chat"),
        ("nothing but the factory imports the web room", "from gateway.web.chat import blueprint"),
        ("nothing but the factory imports the web room", "from gateway import web"),
    ],
)
def test_a_rule_sees_what_it_forbids(name, source):
    assert list(RULES[name][0](ast.parse(source)))


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("only the router sleeps", "import time\ntime.monotonic()\ndef wait(sleep): sleep(1)"),
        ("only the settings read the environment", "import os\nos.urandom(32)"),
        ("only the transport opens sockets", "import requests\ntry: pass\nexcept requests.RequestException: pass"),
        (
            "only the transport opens sockets",
            "import requests\ndef ask(session: requests.Session): session.get('http://a')",
        ),
        ("only adapters and tables know a vendor by its name", "status == 'ok'\ntable = {'openai': 1}"),
        ("flask and marshmallow stay in the web room", "import flaskless"),
        ("nothing but the factory imports the web room", "from gateway.website import page"),
    ],
)
def test_a_rule_leaves_alone_what_it_allows(name, source):
    assert list(RULES[name][0](ast.parse(source))) == []


def written(field: str) -> set[str]:
    """The modules that assign a field of a call, or append to it."""
    found = set()
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
            paths = {dotted(part) for part in assigned}
            if paths & {f"{call}.{field}" for call in calls}:
                found.add(name)
    return found


OWNERS = re.findall(
    r"^\| (`\w+`(?:, `\w+`)*) \| `([\w/.]+)` \|", (ROOT / "docs/architecture.md").read_text(), re.MULTILINE
)


@pytest.mark.parametrize(
    ("field", "owner"), [(field, owner) for fields, owner in OWNERS for field in re.findall(r"\w+", fields)]
)
def test_each_field_of_a_call_is_written_by_its_owner_alone(field, owner):
    assert all(module.startswith(owner) for module in written(field) - {"web/calls.py"})
    assert field in {member.name for member in dataclasses.fields(Call)}


def test_every_field_of_a_call_has_an_owner():
    owned = {field for fields, _ in OWNERS for field in re.findall(r"\w+", fields)}
    assert {member.name for member in dataclasses.fields(Call)} - owned == {"closers"}


def test_the_writers_of_a_field_are_found():
    assert written("served_by") == {"routing/attempt.py"}
    assert written("attempts") == {"routing/call.py"}
    assert written("usage") == {"completions/completion.py", "completions/event_stream.py"}
