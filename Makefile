# make run      serve on http://127.0.0.1:8000
# make test     run the tests
# make check    check format, lint, types and imports, and run the tests
# make format   fix format and lint where that can be done automatically
# make lock     write the lock files anew, after a change of requirements.txt or requirements-dev.txt
# make models   generate the table of models from the current lists of prices
# make bench    measure speed, about 90 seconds; bench-peers: compared with LiteLLM, Portkey and nginx; soak: memory growth
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test check lint format lock models bench bench-peers soak clean

run: .venv/run.stamp
	$(BIN)/gunicorn -c gunicorn.conf.py wsgi:app

test: .venv/dev.stamp
	$(BIN)/python -m pytest

check: lint test

lint: .venv/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/dev.stamp
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock:
	PYTHON=$(PYTHON) .ci/lock

models:
	$(PYTHON) -m tools.update_models

bench: .venv/run.stamp
	$(BIN)/python bench/run.py --quick --skip held-3000,anthropic-held,anthropic-sustained

bench-peers: .venv/run.stamp
	PYTHON=$(PYTHON) bench/peers/setup.sh
	$(BIN)/python bench/run.py --targets direct,ours,nginx,litellm,portkey --rounds 3 --name peers

soak: .venv/run.stamp
	$(BIN)/python bench/soak.py

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, as in: make PYTHON=python3.13 run")'
	$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

# With --require-hashes pip installs nothing that is not in the lock file, and no file with another hash:
# https://pip.pypa.io/en/stable/topics/secure-installs/
.venv/run.stamp: requirements.lock | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

.venv/dev.stamp: requirements-dev.lock | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@ .venv/run.stamp

clean:
	rm -rf .venv
