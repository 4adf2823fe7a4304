# `make demo` and `make test` set everything up themselves, in .venv; Python 3.11 or newer is all they need.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: all setup demo site test check clean

all: test

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv pip install --quiet --compile-bytecode --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: setup
	$(BIN)/detector demo demo

site: setup
	$(BIN)/mkdocs build --strict

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check
	$(BIN)/python -m pytest

clean:
	rm -rf .venv demo runs site build dist *.egg-info
