"""
Generates gateway/catalog/models.json anew; `make models` runs it, and prints what the sources disagree about.

The sources live in a folder that is removed afterwards: genai-prices in a virtual environment, and of LiteLLM the list
of models alone, unpacked from its wheel. LiteLLM is never installed: releases of March 2026 stole credentials as soon
as Python started beside them, and its data needs none of its code.
"""

import re
import subprocess
import sys
import venv
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

ROOT = Path(__file__).parents[1]
GENAI_PRICES = "0.2.3"
LITELLM = "1.110.2"
# On PyPI for some hours on 2026-03-24, with code that sent away keys.
COMPROMISED = ("1.82.7", "1.82.8")
LIST = re.compile(r"litellm/model_prices_and_context_window\w*\.json")


def main() -> None:
    if LITELLM in COMPROMISED:
        raise SystemExit(f"LiteLLM {LITELLM} was compromised")
    with TemporaryDirectory() as name:
        folder = Path(name)
        venv.create(folder / "venv", with_pip=True)
        python = str(folder / "venv/bin/python")
        pip = (python, "-m", "pip", "--disable-pip-version-check", "--quiet")
        run(*pip, "install", f"genai-prices=={GENAI_PRICES}")
        # A source distribution would run its own code to be downloaded.
        run(*pip, "download", "--no-deps", "--only-binary", ":all:", "--dest", name, f"litellm=={LITELLM}")
        models = unpacked_list(next(folder.glob("litellm-*.whl")), folder)
        run(python, "-m", "tools.build_models", str(models), LITELLM, str(ROOT / "gateway/catalog/models.json"))


def unpacked_list(wheel: Path, folder: Path) -> Path:
    """The list of models out of LiteLLM's wheel."""
    with ZipFile(wheel) as archive:
        return Path(archive.extract(next(name for name in archive.namelist() if LIST.fullmatch(name)), folder))


def run(*command: str) -> None:
    sys.stdout.flush()
    subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
