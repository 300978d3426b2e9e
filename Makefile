# Everything here is one line of Python; README.md gives the same without make, for Windows.
PYTHON ?= python3
WEIGHTS ?= imagenet
OUT ?= runs/demo
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest -n 2 --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help setup demo check lint types test test-slow test-real docs bench clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

setup: .venv/.installed  ## make .venv with the pinned packages (again: only what changed)

.venv/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: setup  ## synthetic castings, training and evaluation in minutes (WEIGHTS=PATH, OUT=DIR)
	$(BIN)/casting-inspect demo weights='$(WEIGHTS)' out='$(OUT)'

check: lint types test  ## format, lint, strict types and tests

lint: setup  ## format and lint, nothing is changed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup  ## strict types
	$(BIN)/mypy

test: setup  ## the tests, without network, with branch coverage
	$(PYTEST) -m 'not slow and not real' --cov --cov-report=term

test-slow: setup  ## spawned workers, real kills, the wheel
	$(PYTEST) -m 'slow and not real'

test-real: setup  ## with the real pictures and weights, where they are
	$(PYTEST) -m real

docs: setup  ## the documentation as a site, docs/_build/index.html; warnings are errors
	$(BIN)/python -m sphinx -W --keep-going -q docs docs/_build

bench: .venv/.bench  ## speed against peers and ceilings, 40 minutes; tables in experiments/speed
	$(BIN)/python experiments/speed/run.py

.venv/.bench: .venv/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,bench]'
	touch $@

clean:  ## remove what was made here, the environment and the runs excepted
	rm -rf build dist docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.* htmlcov
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
