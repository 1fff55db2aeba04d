# Every target with its one line: make help
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Stamps: the packages that the program needs are installed; all packages are.
RUNS := $(VENV)/.runs
STAMP := $(VENV)/.installed
# Every start of a worker would compile the program and its libraries again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test test-faults test-versions test-fast coverage bench soak check format lock docs docs-site clean audit-dependencies

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "%-19s %s\n", $$1, $$2}'

setup: $(STAMP) ## Virtual environment, locked dependencies, embedded Kafka
	@$(BIN)/python -m embedded prepare

$(RUNS): requirements.lock pyproject.toml setup.py tools/install.py $(wildcard accelerator/*.p[yx]*)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python tools/install.py run
	@touch $@

$(STAMP): $(RUNS)
	@$(BIN)/python tools/install.py development
	@touch $@

demo: $(RUNS) ## Kafka, two workers, load and a dashboard; Ctrl-C stops it
	@$(BIN)/python -m commands.demo

# Most tests wait for processes most of the time: so many run side by side, each with a Kafka of its own.
SIDE_BY_SIDE = 3

test: setup ## The whole test suite except slow tests, on a real Kafka
	$(BIN)/python -m pytest --numprocesses $(SIDE_BY_SIDE) --dist loadfile --no-loadscope-reorder

test-faults: setup ## All fault tests, including the slow ones: up to half an hour
	$(BIN)/python -m pytest -m faults --durations=0 tests/faults

# Each that has a list of pinned jars.
KAFKAS = $(sort $(patsubst embedded/kafka-%.sha256,%,$(wildcard embedded/kafka-*.sha256)))

test-versions: setup ## The exactly-once test on each Kafka version, oldest to newest
	@for kafka in $(KAFKAS); do \
	  echo "Kafka $$kafka" && \
	  $(BIN)/python -m pytest --kafka $$kafka tests/integration/test_exactly_once.py || exit 1; \
	done

FAST = tests/models tests/accelerator tests/loadgen tests/tables tests/agents tests/streaming/test_task*.py tests/streaming/test_housekeeping.py tests/streaming/test_standby.py tests/streaming/test_changelog_*.py tests/test_settings.py tests/test_reels.py

test-fast: setup ## The tests that need no Kafka
	$(BIN)/python -m pytest $(FAST)

coverage: setup ## Lines of models and tables that test-fast runs: build/coverage/index.html
	$(BIN)/python -m coverage run -m pytest --quiet $(FAST)
	$(BIN)/python -m coverage html --directory build/coverage --quiet
	$(BIN)/python -m coverage report --skip-covered --sort cover

bench: setup ## The benchmark suite: make bench CASES="backlog micro" BENCH="--size full"
	$(BIN)/python -m benchmarks $(CASES) $(BENCH)

soak: setup ## An hour of load with a restart and a kill, then an audit: make soak SOAK="--rate 20000"
	$(BIN)/python -m benchmarks.soak $(SOAK)

check: $(STAMP) docs-site ## Lint, format, types, links of the documents
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy app.py reels.py settings.py topology.py tools/install.py tools/docs_site.py tests

format: $(STAMP) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

COMPILE = $(BIN)/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-header

lock: $(STAMP) ## Renew requirements.lock and requirements-run.lock from pyproject.toml
	$(COMPILE) --upgrade --all-extras --output-file requirements.lock pyproject.toml
	$(COMPILE) --no-annotate --extra worker --constraints requirements.lock --output-file requirements-run.lock pyproject.toml

audit-dependencies: $(STAMP) ## Known vulnerabilities of the locked packages (needs the internet)
	$(BIN)/uvx pip-audit==2.10.1 --strict --require-hashes --disable-pip --requirement requirements.lock

docs: $(STAMP) ## Write the generated pages
	$(BIN)/python docs/build.py

# With --quiet, mkdocs counts no warnings, so that strict lets them pass.
docs-site: $(STAMP) ## The documents as a site that needs no network: build/site/index.html
	@$(BIN)/python tools/docs_site.py
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build > build/site.log 2>&1 || { cat build/site.log; exit 1; }

clean: ## Remove the virtual environment and what tests left
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
