# What a newcomer needs. Works with GNU make 3.81 (macOS) and later.

# Unset: the fastest on PATH.
PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
# More than the cores of a small machine: most tests wait for something.
JOBS ?= 5
TESTS ?= tests
SECONDS ?= 600
SEED ?= 1
RATE ?= 30
# Messages that `footprint` of `make bench` sends; unset: a million.
DELIVERIES ?=
# strict: a vulnerability service that cannot be reached fails `make check`.
AUDIT ?=
PINS := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
        --custom-compile-command 'make lock'

# Where it is set, each of the many processes here would compile all of Clarion again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install install-dev demo dev test check chaos fuzz bench bench-failover bench-tenants lock clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(VENV)/.installed ## make .venv and install Clarion with its embedded servers

install-dev: $(VENV)/.installed-dev ## the same with the tools of make test, check and lock

demo: install ## send one notification by every channel to sandbox vendors and watch it arrive
	@$(BIN)/clarion demo

dev: install ## run everything here until Ctrl-C: API on 8000, Temporal Web UI on 8233, sandbox on 8025
	@$(BIN)/clarion dev

test: install-dev ## run every test, from nothing running (TESTS=tests/api for some, JOBS=1 for one at a time)
	@$(BIN)/pytest -n $(JOBS) $(TESTS)

check: install-dev ## check format, lint, types, import rules, the Dockerfile and dependencies (AUDIT=strict)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/pytest tests/test_import_rules.py
	$(BIN)/hadolint Dockerfile
	@AUDIT=$(AUDIT) $(BIN)/python -m bench.audit

chaos: install-dev ## ten minutes of faults under load, then everything is held against everything (SECONDS=600 SEED=1 RATE=30)
	@$(BIN)/python -m bench.chaos --seconds $(SECONDS) --seed $(SEED) --rate $(RATE)

fuzz: install-dev ## made-up requests to every route, and 100,000 bent webhooks: nothing may give way (SEED=1)
	@$(BIN)/python -m bench.fuzz --seed $(SEED)

bench: install-dev ## the performance report, 45 minutes; resumable (CASE=burst, 'burst*': these anew; DELIVERIES=100000)
	@DELIVERIES=$(DELIVERIES) $(BIN)/python -m bench $(CASE)

bench-failover: install ## let one of two SMS vendors die and heal, 25 minutes; resumable (CASE=hanging-20, '*-500': these anew)
	@$(BIN)/python -m bench.failover $(CASE)

bench-tenants: install ## flood the door as one tenant while another sends 20 a second, with turns and without, 6 minutes
	@$(BIN)/python -m bench.tenants

lock: install-dev ## pin, with hashes, everything pyproject.toml asks for (locked versions stay where they fit)
	$(BIN)/uv pip compile -q $(PINS) --extra build --extra dev pyproject.toml -o requirements-dev.lock
	$(BIN)/uv pip compile -q $(PINS) --extra build --extra embedded -c requirements-dev.lock \
		pyproject.toml -o requirements.lock

clean: ## remove the environment, caches, and the state of make dev
	rm -rf $(VENV) .clarion .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.created:
	@python="`deploy/fastest-python $(PYTHON)`" && echo "$$python -m venv $(VENV)" && "$$python" -m venv $(VENV)
	@touch $@

# Only what is pinned comes from outside: the project itself is then built with the setuptools that was just installed.
$(VENV)/.installed: $(VENV)/.created pyproject.toml requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.created pyproject.toml requirements-dev.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.installed
