"""What stands around the code says what is so: the README, the docs, and the files that other tools read."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from app import create_app
from gateway import VERSION
from gateway.catalog.vendors import ECHO, VENDORS
from gateway.config.settings import COMBINED_VARIABLES, VARIABLES, read
from gateway.dialects import ADAPTERS

ROOT = Path(__file__).parents[1]
START = "gunicorn -c gunicorn.conf.py wsgi:app"
CACHES = ("__pycache__", "data", "node_modules")
HIDDEN = (".ci", ".dockerignore", ".env.example", ".gitignore", ".vercelignore")
OF_SOMEBODYS_MACHINE = re.compile(r"(?<![\w.}/-])/(?:home|root|Users|work|mnt)/\w")
LEFT_FOR_LATER = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK|NotImple" r"mented)")


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def files():
    """Every file of the project, by its path, that is no cache."""
    tops = [path for path in ROOT.iterdir() if not path.name.startswith(".") or path.name in HIDDEN]
    found = [path for top in tops for path in ([top] if top.is_file() else top.rglob("*")) if path.is_file()]
    return [path for path in found if not any(cached(part) for part in path.relative_to(ROOT).parts)]


def cached(part):
    return part in CACHES or (part.startswith(".") and part not in HIDDEN)


def words(name):
    return set(re.findall(r"\w+", text(name)))


README = text("README.md")
DOCUMENTS = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    *(f"docs/{path.name}" for path in (ROOT / "docs").iterdir()),
)
BODIES = [json.loads(body) for body in re.findall(r"-d '(\{.*?\n  \})'", README, re.DOTALL)]


def test_the_readme_begins_with_the_two_commands():
    before, _, rest = README.partition("    make test")
    assert "    make run" in before
    assert len(before.splitlines()) <= 4
    assert "##" in rest


@pytest.mark.parametrize("command", ["run", "test", "check", "format"])
def test_every_make_command_that_the_documents_name_exists(command):
    assert any(f"make {command}" in text(name) for name in DOCUMENTS)
    assert re.search(rf"^{command}:", text("Makefile"), re.MULTILINE)


def test_make_run_and_the_hosts_start_the_same_server():
    assert text("Procfile").strip() == f"web: {START}"
    assert f"$(BIN)/{START}" in text("Makefile")
    assert f"CMD {json.dumps(START.split())}" in text("Dockerfile")


@pytest.mark.parametrize("body", BODIES)
def test_every_curl_of_the_readme_is_answered_with_nothing_configured(body):
    response = create_app(read({})).test_client().post("/v1/chat/completions", json=body)
    assert response.status_code == 200
    assert ("data: [DONE]" in response.text) == bool(body.get("stream"))


def test_the_readme_has_curls_of_a_plain_and_of_a_streamed_answer():
    assert [bool(body.get("stream")) for body in BODIES] == [False, True]


def test_the_fallback_of_the_readme_names_two_targets(tmp_path):
    example = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)
    path = tmp_path / "config.yaml"
    path.write_text(example[1], encoding="utf-8")
    settings = read({"GATEWAY_CONFIG": str(path), "ANTHROPIC_API_KEY": "sk-a", "OPENAI_API_KEY": "sk-o"})
    assert [target.provider.name for target in settings.models["smart"]] == ["anthropic", "openai"]
    assert not [warning for warning in settings.warnings if "config.yaml" in warning]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_of_a_document_leads_to_a_file(name):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text(name))
    assert [link for link in links if not (ROOT / name).parent.joinpath(link).exists()] == []


def test_every_document_is_linked_from_the_readme():
    assert [path.name for path in (ROOT / "docs").iterdir() if f"(docs/{path.name})" not in README] == []


def test_every_variable_is_in_the_example_and_in_the_docs():
    variables = {*VARIABLES, *COMBINED_VARIABLES}
    assert variables - words(".env.example") == set()
    assert variables - words("docs/configuration.md") == set()


def test_every_vendor_is_in_the_example_and_in_the_docs():
    vendors = [vendor for vendor in VENDORS.values() if vendor is not ECHO]
    turning_on = {vendor.base_url_variable if vendor.keyless else vendor.key_variables[0] for vendor in vendors}
    assert turning_on - words(".env.example") == set()
    assert {key for vendor in vendors for key in vendor.key_variables} - words("docs/providers.md") == set()


def test_the_example_environment_sets_nothing():
    lines = text(".env.example").splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == []


def test_the_example_environment_would_work_uncommented():
    pairs = re.findall(r"^#([A-Z_]+)=(.*)$", text(".env.example"), re.MULTILINE)
    example = {name: value for name, value in pairs if value and name not in ("GATEWAY_CONFIG", "GATEWAY_AUTH")}
    keys = {"ANTHROPIC_API_KEY": "sk-a", "OPENAI_API_KEY": "sk-o", "OPENROUTER_API_KEY": "sk-r"}
    assert read({**example, **keys}).warnings


def test_compose_joins_the_gateway_to_a_store_of_its_own():
    services = yaml.safe_load(text("compose.yaml"))["services"]
    gateway = services["gateway"]
    host = re.fullmatch(r"redis://(\w+):6379/0", gateway["environment"]["REDIS_URL"])[1]
    assert host in services
    assert gateway["depends_on"] == {host: {"condition": "service_healthy"}}
    assert "healthcheck" in services[host]
    assert read({**gateway["environment"], "VALID_API_KEYS": "sk-1"}).host == "0.0.0.0"


def test_vercel_serves_every_path_by_the_wsgi_callable():
    vercel = json.loads(text("vercel.json"))
    assert [build["use"] for build in vercel["builds"]] == ["@vercel/python"]
    assert {build["src"] for build in vercel["builds"]} == {route["dest"] for route in vercel["routes"]} == {"wsgi.py"}
    assert all(re.fullmatch(route["src"], "/v1/chat/completions") for route in vercel["routes"])
    assert "app = create_app()" in text("wsgi.py")


def test_hosts_that_listen_to_everybody_need_an_api_key():
    """A gateway that is open to the network by mistake spends its owner's money."""
    assert json.loads(text("vercel.json"))["env"] == {"HOST": "0.0.0.0"}
    assert "HOST=0.0.0.0" in text("Dockerfile")


def test_the_image_has_what_it_copies_and_runs_as_nobody_in_particular():
    dockerfile, sent = text("Dockerfile"), set(re.findall(r"^!(.+)$", text(".dockerignore"), re.MULTILINE))
    copied = {name for line in re.findall(r"^COPY (.+)$", dockerfile, re.MULTILINE) for name in line.split()[:-1]}
    assert copied == sent
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert dockerfile.index("\nUSER ") < dockerfile.index("\nCMD ")
    assert "HEALTHCHECK" in dockerfile


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_is_pinned(name):
    wanted = [line.partition("#")[0].strip() for line in text(name).splitlines()]
    loose = [line for line in wanted if line and "==" not in line and line != "-r requirements.txt"]
    assert loose == []


def test_version_and_changelog_agree():
    assert tomllib.loads(text("pyproject.toml"))["project"]["version"] == VERSION
    assert re.search(rf"^## \[{re.escape(VERSION)}\] - \d{{4}}-\d\d-\d\d$", text("CHANGELOG.md"), re.MULTILINE)


def test_the_architecture_names_every_folder_and_dialect():
    architecture = text("docs/architecture.md")
    entries = {path.name for path in (ROOT / "gateway").iterdir() if not path.name.startswith("_")}
    missing = [name for name in entries if f"`{name}`" not in architecture and f"`{name}/`" not in architecture]
    assert missing == []
    assert [dialect for dialect in ADAPTERS if f"`{dialect}/`" not in architecture] == []


@pytest.mark.parametrize("pattern", [OF_SOMEBODYS_MACHINE, LEFT_FOR_LATER], ids=["own folders", "left for later"])
def test_no_file_has(pattern):
    found = {path.relative_to(ROOT).as_posix(): pattern.findall(text(path)) for path in files()}
    assert {name: hits for name, hits in found.items() if hits} == {}
