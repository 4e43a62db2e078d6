# Two commands set everything up on a fresh machine: `make demo` and `make test`.
# Each makes .venv once and then only when pyproject.toml has changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-lowest test-pythons wheels check serve web web-test screenshots bench mutate soak lives lab lab-ci docs format clean help
.DEFAULT_GOAL := help

help:
	@echo "make demo    one phone call the whole way, with no account and no phone"
	@echo "make test    all tests"
	@echo "make test-lowest   the server's tests on the lowest versions of its dependencies"
	@echo "make test-pythons  core, server and store tests on every Python >= 3.11 of this machine"
	@echo "make wheels  dist/: compiled wheels for each Python of this machine, the pure wheel, the sdist; each is tried"
	@echo "make check   format, lint, types, import contract, dependencies"
	@echo "make serve   the call server with the echo handler (settings from .env)"
	@echo "make web     the dashboard's pages, after a change below web/ (needs Node)"
	@echo "make bench   speed, side by side with others"
	@echo "make mutate  how many faults in a module its own test file finds, about an hour"
	@echo "make soak    faults, load, fuzz and 5,000 simulated calls in numbers, about an hour; the full number of calls"
	@echo "             takes hours: make soak SEEDS=100000 SOAK_LIMIT=8h"
	@echo "make lives   100,000 calls simulated from seeds, against what was promised, in hours; SEEDS=500: in a minute"
	@echo "make lab     the doctor against real software that was set wrong on purpose"

$(READY): pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "make: no $(PYTHON); give one with PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make: callpath needs Python 3.11 or newer; give one with PYTHON=python3.12"; exit 1; }
	@test -d $(VENV) || { echo "Setting up $(VENV), once …"; $(PYTHON) -m venv $(VENV); }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[codecs,otel,postgres,s3]' --group dev
	@touch $@

demo: $(READY)
	@$(BIN)/callpath demo

test: $(READY)
	@$(BIN)/python -m pytest -m 'not lab' -n 2 --dist loadfile

test-lowest: $(READY)
	@$(BIN)/python tools/pythons.py lowest

test-pythons: $(READY)
	@$(BIN)/python tools/pythons.py tests

wheels: $(READY)
	@$(BIN)/python tools/pythons.py wheels

check: $(READY)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/deptry src
	@$(BIN)/python docs/generate.py --check

serve: $(READY)
	@$(BIN)/callpath serve

web: $(READY)
	@$(BIN)/python web/build.py

web-test: $(READY)
	@cd web && { test -d node_modules || npm install --no-save; } && npm run --silent check && npm run --silent test

screenshots: $(READY)
	@$(BIN)/python -m tests.dashboard.screenshots

bench: $(READY)
	@$(BIN)/python bench/media.py

mutate: $(READY)
	@$(BIN)/python -m tests.mutate

soak: $(READY)
	@timeout $(or $(SOAK_LIMIT),90m) $(BIN)/python -m tests.soak --report soak-report.txt

lives: $(READY)
	@$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),100000)

lab: $(READY)
	@tests/lab/install.sh
	@$(BIN)/python -m tests.lab

lab-ci: $(READY)
	@tests/lab/install.sh > .lab-install.log 2>&1 || echo "lab: not all software could be had (.lab-install.log); its cases are skipped"
	@$(BIN)/python -m tests.lab --ci

docs: $(READY)
	@$(BIN)/python docs/generate.py

format: $(READY)
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .pythons dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache callpath-data
	find src -name '*.so' -delete  # what was compiled in place would be run instead of the source
