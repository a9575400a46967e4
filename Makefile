# Rapport. `make` alone prints this help; every target sets up what it needs.
SHELL := /bin/sh
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Tests that start no services run beside each other, a file at a time.
PARALLEL := -n logical --dist loadfile
# Those that do mostly wait for their services: two files at a time, each with services of its own, the long ones first. Whoever
# looks at a whole instance with a browser, a clock or a killer has the machine for himself.
BESIDE := -n 2 --dist loadfile

.PHONY: help setup demo test fast check format soak bench lock clean browser

help: ## Print this help
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv with everything in it and fetch the local Kafka
	@$(BIN)/python -m rapport.local.kafka

$(READY): requirements/dev.txt pyproject.toml
	@sh infra/setup/check_machine.sh
	@test -x $(BIN)/python || "$$(sh infra/setup/find_python.sh)" -m venv $(VENV)
	@echo "Installing Python packages into $(VENV) (once; about a minute) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## Run Rapport on a generated company, check every number, and open the board
	@$(BIN)/rapport demo

test: setup check browser ## Run all tests (what CI runs)
	@$(BIN)/python -m pytest $(PARALLEL) -m "not soak and not stack"
	@$(BIN)/python -m pytest $(BESIDE) -m "stack and not soak and not alone" tests/e2e tests
	@$(BIN)/python -m pytest -m "alone and not soak"

fast: $(READY) ## Run the tests that need no services
	@$(BIN)/python -m pytest $(PARALLEL) tests/unit tests/property tests/golden tests/contract -m "not soak and not stack"

check: $(READY) ## Lint, types, and which room may import which
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(READY) ## Format and fix what can be fixed
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

browser:
	@sh infra/setup/browser.sh

soak: setup ## The long tests; by hand, their output goes to bench/results
	@mkdir -p bench/results
	@$(BIN)/python -m pytest -m soak -o timeout=7200 2>&1 | tee bench/results/soak.txt

bench: setup ## Measure; prints figures and asserts nothing about time
	@for file in bench/*.py; do echo "== $$file"; $(BIN)/python "$$file" || exit 1; done

lock: ## Pin requirements again (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header requirements/dev.in -o requirements/dev.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -c requirements/dev.txt requirements/runtime.in -o requirements/runtime.txt

clean: ## Remove what setup and tests made (not your data in .rapport)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
