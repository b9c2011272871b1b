"""The README, the documents and the files for other tools agree with the code."""

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
START_COMMAND = "gunicorn -c gunicorn.conf.py wsgi:app"
CACHE_FOLDERS = ("__pycache__", "data", "node_modules")
HIDDEN_FILES = (".ci", ".dockerignore", ".env.example", ".gitignore", ".vercelignore")
LOCAL_PATH = re.compile(r"(?<![\w.}/-])/(?:home|root|Users|work|mnt)/\w")
UNFINISHED = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK|NotImple" r"mented)")


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def files():
    """Return the paths of all files of the project except caches."""
    tops = [path for path in ROOT.iterdir() if not path.name.startswith(".") or path.name in HIDDEN_FILES]
    paths = [path for top in tops for path in ([top] if top.is_file() else top.rglob("*")) if path.is_file()]
    return [path for path in paths if not any(is_cache(part) for part in path.relative_to(ROOT).parts)]


def is_cache(part):
    return part in CACHE_FOLDERS or (part.startswith(".") and part not in HIDDEN_FILES)


def words(name):
    return set(re.findall(r"\w+", text(name)))


README = text("README.md")
DOCUMENTS = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    *(f"docs/{path.name}" for path in (ROOT / "docs").iterdir()),
)
CURL_BODIES = [json.loads(body) for body in re.findall(r"-d '(\{.*?\n  \})'", README, re.DOTALL)]


def test_the_readme_starts_with_make_run_and_make_test():
    before, _, rest = README.partition("    make test")
    assert "    make run" in before
    assert len(before.splitlines()) <= 4
    assert "##" in rest


@pytest.mark.parametrize("command", ["run", "test", "check", "format"])
def test_every_make_command_that_the_documents_name_exists(command):
    assert any(f"make {command}" in text(name) for name in DOCUMENTS)
    assert re.search(rf"^{command}:", text("Makefile"), re.MULTILINE)


def test_make_run_and_the_hosts_start_the_same_server():
    assert text("Procfile").strip() == f"web: {START_COMMAND}"
    assert f"$(BIN)/{START_COMMAND}" in text("Makefile")
    assert f"CMD {json.dumps(START_COMMAND.split())}" in text("Dockerfile")


@pytest.mark.parametrize("body", CURL_BODIES)
def test_every_curl_command_of_the_readme_works_without_configuration(body):
    response = create_app(read({})).test_client().post("/v1/chat/completions", json=body)
    assert response.status_code == 200
    assert ("data: [DONE]" in response.text) == bool(body.get("stream"))


def test_the_readme_has_curl_commands_for_a_plain_and_a_streamed_response():
    assert [bool(body.get("stream")) for body in CURL_BODIES] == [False, True]


def test_the_fallback_example_of_the_readme_has_two_targets(tmp_path):
    example = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)
    path = tmp_path / "config.yaml"
    path.write_text(example[1], encoding="utf-8")
    settings = read({"GATEWAY_CONFIG": str(path), "ANTHROPIC_API_KEY": "sk-a", "OPENAI_API_KEY": "sk-o"})
    assert [target.provider.name for target in settings.models["smart"]] == ["anthropic", "openai"]
    assert not [warning for warning in settings.warnings if "config.yaml" in warning]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_of_a_document_points_to_a_file(name):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text(name))
    assert [link for link in links if not (ROOT / name).parent.joinpath(link).exists()] == []


def test_the_readme_links_every_document():
    assert [path.name for path in (ROOT / "docs").iterdir() if f"(docs/{path.name})" not in README] == []


def test_every_variable_is_in_the_example_environment_and_in_the_docs():
    variables = {*VARIABLES, *COMBINED_VARIABLES}
    assert variables - words(".env.example") == set()
    assert variables - words("docs/configuration.md") == set()


def test_every_vendor_is_in_the_example_environment_and_in_the_docs():
    vendors = [vendor for vendor in VENDORS.values() if vendor is not ECHO]
    enabling_variables = {vendor.base_url_variable if vendor.keyless else vendor.key_variables[0] for vendor in vendors}
    assert enabling_variables - words(".env.example") == set()
    assert {key for vendor in vendors for key in vendor.key_variables} - words("docs/providers.md") == set()


def test_the_example_environment_sets_nothing():
    lines = text(".env.example").splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == []


def test_the_example_environment_is_valid_when_uncommented():
    pairs = re.findall(r"^#([A-Z_]+)=(.*)$", text(".env.example"), re.MULTILINE)
    example = {name: value for name, value in pairs if value and name not in ("GATEWAY_CONFIG", "GATEWAY_AUTH")}
    keys = {"ANTHROPIC_API_KEY": "sk-a", "OPENAI_API_KEY": "sk-o", "OPENROUTER_API_KEY": "sk-r"}
    assert read({**example, **keys}).warnings


def test_compose_connects_the_gateway_to_its_valkey():
    services = yaml.safe_load(text("compose.yaml"))["services"]
    gateway = services["gateway"]
    host = re.fullmatch(r"redis://(\w+):6379/0", gateway["environment"]["REDIS_URL"])[1]
    assert host in services
    assert gateway["depends_on"] == {host: {"condition": "service_healthy"}}
    assert "healthcheck" in services[host]
    assert read({**gateway["environment"], "VALID_API_KEYS": "sk-1"}).host == "0.0.0.0"


def test_vercel_routes_every_path_to_the_wsgi_callable():
    vercel = json.loads(text("vercel.json"))
    assert [build["use"] for build in vercel["builds"]] == ["@vercel/python"]
    assert {build["src"] for build in vercel["builds"]} == {route["dest"] for route in vercel["routes"]} == {"wsgi.py"}
    assert all(re.fullmatch(route["src"], "/v1/chat/completions") for route in vercel["routes"])
    assert "app = create_app()" in text("wsgi.py")


def test_vercel_and_the_image_listen_on_all_addresses_and_so_require_an_api_key():
    """With HOST=0.0.0.0 the gateway does not start without VALID_API_KEYS, unless GATEWAY_AUTH is off."""
    assert json.loads(text("vercel.json"))["env"] == {"HOST": "0.0.0.0"}
    assert "HOST=0.0.0.0" in text("Dockerfile")


def test_the_image_copies_what_the_build_context_has_and_runs_as_an_unprivileged_user():
    dockerfile, context = text("Dockerfile"), set(re.findall(r"^!(.+)$", text(".dockerignore"), re.MULTILINE))
    copied = {name for line in re.findall(r"^COPY (.+)$", dockerfile, re.MULTILINE) for name in line.split()[:-1]}
    assert copied == context
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert dockerfile.index("\nUSER ") < dockerfile.index("\nCMD ")
    assert "HEALTHCHECK" in dockerfile


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_is_pinned(name):
    requirements = [line.partition("#")[0].strip() for line in text(name).splitlines()]
    unpinned = [line for line in requirements if line and "==" not in line and line != "-r requirements.txt"]
    assert unpinned == []


def test_the_version_is_the_same_in_pyproject_the_package_and_the_changelog():
    assert tomllib.loads(text("pyproject.toml"))["project"]["version"] == VERSION
    assert re.search(rf"^## \[{re.escape(VERSION)}\] - \d{{4}}-\d\d-\d\d$", text("CHANGELOG.md"), re.MULTILINE)


def test_the_architecture_names_every_folder_and_dialect():
    architecture = text("docs/architecture.md")
    entries = {path.name for path in (ROOT / "gateway").iterdir() if not path.name.startswith("_")}
    missing = [name for name in entries if f"`{name}`" not in architecture and f"`{name}/`" not in architecture]
    assert missing == []
    assert [dialect for dialect in ADAPTERS if f"`{dialect}/`" not in architecture] == []


@pytest.mark.parametrize("pattern", [LOCAL_PATH, UNFINISHED], ids=["local paths", "unfinished work"])
def test_no_file_contains_local_paths_or_unfinished_work(pattern):
    matches = {path.relative_to(ROOT).as_posix(): pattern.findall(text(path)) for path in files()}
    assert {name: texts for name, texts in matches.items() if texts} == {}
