# FixionMail: `make up` runs everything on this machine, `make test` proves it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup up demo test test-slow test-postgres-15 check format chaos bench pictures audit-dependencies

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "FixionMail needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ..."; exit 2; }
	@echo "Setting up $(VENV) (once; a minute or so)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

up: setup
	@$(BIN)/fixionmail up

demo: setup
	@$(BIN)/fixionmail demo --subscribers 200

# Three at a time, also on two cores: half of what a test takes is waiting for its processes.
test: setup
	@$(BIN)/python -m pytest -n 3 -q

# The tests that take minutes: faults and loads that the quick ones sample, and property tests on new examples.
test-slow: setup
	@HYPOTHESIS_PROFILE=exploring $(BIN)/python -m pytest -n 3 -q tests/unit
	@$(BIN)/python -m pytest -n 3 -q -m slow

# The database's tests on Debian's PostgreSQL 15 instead of the bundled one.
test-postgres-15: setup
	@FIXIONMAIL_POSTGRES_BIN=/usr/lib/postgresql/15/bin $(BIN)/python -m pytest -n 3 -q tests/contract

# With TESTS="tests/contract tests/faults" only those tests.
check: setup
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -n 3 -q $(TESTS)

format: setup
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# Beside rq, dramatiq, huey, celery and taskiq, in one run. Compare the ratios; times differ from machine to machine.
bench: setup
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	@$(BIN)/python -m tests.benchmarks.tick --sizes 10000 1000000
	@$(BIN)/python -m tests.benchmarks.mail
	@$(BIN)/python -m tests.benchmarks.idle
	@$(BIN)/python -m tests.benchmarks.duplicates
	@$(BIN)/python -m tests.benchmarks.rate
	@$(BIN)/python -m tests.benchmarks.worker
	@$(BIN)/python -m tests.benchmarks.ops
	@$(BIN)/python -m tests.benchmarks.requeue
	@$(BIN)/python -m tests.benchmarks.long_lists
	@$(BIN)/python -m tests.benchmarks.console --jobs 1000000

# The console's pictures in docs/pictures, from a deployment that only pretends.
pictures: setup
	@$(BIN)/python -m tests.pictures

# Real processes under random faults, then an independent count: make chaos SECONDS=600 SEED=7 SUBSCRIBERS=10000
chaos: setup
	@$(BIN)/python -m tests.chaos $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED)) \
	  $(if $(SUBSCRIBERS),--subscribers $(SUBSCRIBERS)) $(if $(CHECK_SECONDS),--check-seconds $(CHECK_SECONDS))

# Every licence that is shipped, and what is known against the pinned versions (asks pypi.org).
audit-dependencies: setup
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check pip-audit
	@$(BIN)/python -m tests.licences
	@$(BIN)/python -m tests.vulnerabilities
