# Every target with its one line: make help
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help setup demo test test-fast bench check format lock docs clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "%-12s %s\n", $$1, $$2}'

setup: $(STAMP) ## Virtual environment, locked dependencies, embedded Kafka
	@$(BIN)/python -m embedded prepare

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## Kafka, two workers, load and a dashboard; Ctrl-C stops it
	@$(BIN)/python -m commands.demo

test: setup ## The whole test suite, on a real Kafka
	$(BIN)/python -m pytest

test-fast: setup ## The tests that need no Kafka
	$(BIN)/python -m pytest tests/models tests/loadgen tests/tables tests/agents tests/test_settings.py tests/test_reels.py

bench: setup ## How fast one worker works off a backlog
	$(BIN)/python -m benchmarks.backlog

check: $(STAMP) ## Lint, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy app.py reels.py settings.py

format: $(STAMP) ## Put the code into its format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(STAMP) ## Renew requirements.lock from pyproject.toml
	$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --universal --python-version 3.11 \
	  --all-extras --no-header --output-file requirements.lock pyproject.toml

docs: $(STAMP) ## Write the generated pages
	$(BIN)/python docs/build.py

clean: ## Remove the virtual environment and what tests left
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
