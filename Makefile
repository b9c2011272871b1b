# make run      serve on http://127.0.0.1:8000
# make test     the tests
# make check    format, lint, types, imports, and the tests
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test check lint format clean

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

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/run.stamp: requirements.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/dev.stamp: requirements.txt requirements-dev.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@ .venv/run.stamp

clean:
	rm -rf .venv
