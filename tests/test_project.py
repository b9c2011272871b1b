"""The README, the documents and the files for other tools agree with the code."""

import json
import re
import subprocess
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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
    "SECURITY.md",
    *(f"docs/{path.name}" for path in (ROOT / "docs").iterdir()),
)
CURL_BODIES = [json.loads(body) for body in re.findall(r"-d '(\{.*?\n  \})'", README, re.DOTALL)]


def test_the_readme_starts_with_make_run_and_make_test():
    before, _, rest = README.partition("    make test")
    assert "    make run" in before
    assert len(before.splitlines()) <= 4
    assert "##" in rest


@pytest.mark.parametrize("command", ["run", "test", "check", "format", "lock", "models"])
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


LOCKS = {"requirements.lock": "requirements.txt", "requirements-dev.lock": "requirements-dev.txt"}
# The platforms that the lock files are for, as environment markers see them.
PLATFORMS = [
    {"python_version": version, "python_full_version": f"{version}.9", "sys_platform": platform}
    for version in ("3.11", "3.12", "3.13")
    for platform in ("linux", "darwin")
]


def pins(name):
    """Return each pinned requirement of a requirements or lock file, and of those that it includes."""
    lines = [line.partition(" #")[0].strip() for line in text(name).splitlines()]
    included = [pin for line in lines if line.startswith("-r ") for pin in pins(line.removeprefix("-r "))]
    return [*included, *(Requirement(line.removesuffix("\\").strip()) for line in lines if re.match(r"\w", line))]


def applies(marker, environment):
    return marker is None or Marker(str(marker)).evaluate({**environment, "extra": ""})


@pytest.mark.parametrize(("lock", "requirements"), LOCKS.items())
def test_a_lock_has_every_requirement_in_its_version_on_every_platform(lock, requirements):
    for platform in PLATFORMS:
        locked = {
            (canonicalize_name(pin.name), str(pin.specifier)) for pin in pins(lock) if applies(pin.marker, platform)
        }
        assert {(canonicalize_name(pin.name), str(pin.specifier)) for pin in pins(requirements)} - locked == set()
        assert len({name for name, _ in locked}) == len(locked)


@pytest.mark.parametrize(("lock", "requirements"), LOCKS.items())
def test_a_lock_has_everything_that_its_requirements_require(lock, requirements):
    locked = {canonicalize_name(pin.name) for pin in pins(lock)}
    pending, required = [(pin.name, pin.extras) for pin in pins(requirements)], set()
    while pending:
        name, extras = pending.pop()
        required.add(canonicalize_name(name))
        for needed in map(Requirement, requires(name) or ()):
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                pending += [] if canonicalize_name(needed.name) in required else [(needed.name, needed.extras)]
    assert required - locked == set()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_entry_of_a_lock_is_pinned_and_has_the_hashes_of_its_files(lock):
    entries = re.findall(
        r"^([\w.-]+)==(\S+)(?: ; [^\n\\]+)? \\\n((?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", text(lock), re.MULTILINE
    )
    assert len(entries) == len(pins(lock)) > 0
    # A release with compiled wheels has one for each platform.
    assert {
        name for name, _, hashes in entries if name in ("gevent", "orjson") and hashes.count("--hash") < 20
    } == set()


def test_the_development_lock_has_the_versions_of_the_other():
    development = {pin.name: str(pin.specifier) for pin in pins("requirements-dev.lock")}
    assert {pin.name: development[pin.name] for pin in pins("requirements.lock")} == {
        pin.name: str(pin.specifier) for pin in pins("requirements.lock")
    }


def test_make_and_the_image_install_only_what_a_lock_has():
    installs = re.findall(r"pip install (.+)$", text("Makefile") + text("Dockerfile"), re.MULTILINE)
    assert {name for line in installs for name in re.findall(r"\S+\.(?:txt|lock)", line)} == set(LOCKS)
    assert [line for line in installs if "--require-hashes" not in line] == []


def test_the_base_image_has_an_exact_tag():
    images = re.findall(r"^FROM (.+)$", text("Dockerfile"), re.MULTILINE)
    assert [bool(re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+(@sha256:[0-9a-f]{64})?", name)) for name in images] == [
        True
    ]


def test_make_lock_puts_the_digest_of_the_base_image_into_the_dockerfile(tmp_path):
    """With the programs that reach a registry replaced by scripts."""
    image = re.search(r"^FROM ([^@\s]+)", text("Dockerfile"))[1]
    for name, script in {
        "python": 'mkdir -p "$3/bin"; printf "#!/bin/sh\\n" | tee "$3/bin/python" >"$3/bin/uv"; chmod +x "$3"/bin/*',
        "docker": f'test "$6" = {image} && echo \'"sha256:{"a" * 64}"\'',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "clone/.ci").mkdir(parents=True)
    for name in (".ci/lock", "Dockerfile"):
        (tmp_path / "clone" / name).write_text(text(name), encoding="utf-8")
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHON": str(tmp_path / "python")}
    for _ in range(2):  # the second time a digest is replaced
        subprocess.run(["bash", ".ci/lock"], cwd=tmp_path / "clone", env=environment, check=True)
    lines = (tmp_path / "clone/Dockerfile").read_text(encoding="utf-8").splitlines()
    assert lines[0] == f"FROM {image}@sha256:{'a' * 64}"
    assert lines[1:] == text("Dockerfile").splitlines()[1:]


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
