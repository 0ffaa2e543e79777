# `make help` lists what there is. Everything is set up in .venv; nothing else is needed but Python 3.11+.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

export DOSSIER_BUILD_COMMIT := $(shell git rev-parse --short HEAD 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help setup demo run test check lint types imports contracts bench protos lock format clean

help: ## list what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## install everything into .venv (the others call it)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Dossier needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.12 …" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^uv==' requirements.lock)"
	@$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## run the whole thing on embedded servers with sample data, print the brief, stop
	@$(BIN)/dossier demo

run: setup ## the same, left running until Ctrl-C
	@$(BIN)/dossier demo --keep-running

test: setup ## the tests, on real servers that they start themselves
	@$(BIN)/pytest -n 3 --dist loadscope --no-loadscope-reorder --reruns 1 --max-suite-reruns 3 --rerun-show-tracebacks \
		--rerun-exclude-path tests/isolation --rerun-exclude-path tests/leaks --rerun-exclude-path tests/crash

check: lint types imports contracts test ## everything CI checks

lint: setup ## style and format
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

format: setup ## put code and contracts in format
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format
	@$(BIN)/buf format --write protos

types: setup ## static types
	@$(BIN)/mypy

imports: setup ## which package may import which
	@$(BIN)/lint-imports

contracts: setup ## buf lint, format, breaking; generated code is what the contracts say
	@$(BIN)/python protos/check.py

bench: setup ## measure; table, JSON, and a record under docs/benchmarks
	@$(BIN)/dossier bench all --record docs/benchmarks

protos: setup ## reproduce gen/ from protos/
	@$(BIN)/python protos/generate.py

lock: setup ## resolve requirements.lock again from pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --no-header --no-annotate --no-emit-index-url --all-extras --group dev \
		--upgrade pyproject.toml --output-file requirements.lock

clean: ## remove .venv and caches
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
