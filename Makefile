# `make demo` shows it, `make test` proves it. Everything happens in venv/.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -q --disable-pip-version-check
APPS := courses email_automation schedules course_goals license_notifications subsidy_requests

.DEFAULT_GOAL := help
.PHONY: help install demo test lint types bench messages clean

help:  ## this list
	@awk -F':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(VENV)/.dev  ## everything for working on the project, into venv/

# A database of its own, and the laptop's settings whatever the shell says: the demo needs nothing and touches nothing.
demo: export DATABASE_URL := sqlite:///demo.sqlite3
demo: export DJANGO_SETTINGS_MODULE := lms.envs.devstack
demo: export CELERY_BROKER_URL :=
demo: $(VENV)/.run  ## a small site on SQLite with mail to look at (DEMO_SERVE=0: print and end)
	$(BIN)/python manage.py demo

test: $(VENV)/.dev  ## all tests, on every database and service that can be reached
	$(BIN)/python tests/run_suites.py

lint: $(VENV)/.dev  ## style and floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.dev  ## static types
	$(BIN)/mypy

bench: $(VENV)/.dev  ## measurements, beside those of the peers
	$(PIP) -r requirements/bench.txt
	$(BIN)/python -m tests.bench

messages: $(VENV)/.dev  ## compile the translations (.po to .mo)
	for app in $(APPS); do [ ! -d $$app/locale ] || $(BIN)/pybabel -q compile -D django -d $$app/locale || exit 1; done

clean:  ## remove venv/, caches and the SQLite database
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	rm -rf db.sqlite3* demo.sqlite3* ace_messages staticfiles
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer is needed and none was found on PATH." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $(PYTHON) is $$("$(PYTHON)" -V 2>&1)." >&2; exit 1; }
	@"$(PYTHON)" -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment; on Debian install python3-venv." >&2; exit 1; }

# The stamps are newer than what they were made from as long as nothing has to be installed.
$(VENV)/.run: requirements/base.txt requirements/base.in setup.py | $(BIN)/python
	$(PIP) -r requirements/base.txt
	$(PIP) --no-deps -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	$(PIP) -r requirements/dev.txt
	@touch $@
