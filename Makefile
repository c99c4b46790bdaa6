# Every target makes .venv by itself, with plain pip; nothing but Python 3.11+ and make is needed beforehand.
PYTHON ?= python3
BIN := .venv/bin
SOAK := tests/reliability/test_soak.py
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: quickstart test lint format bench check clean

quickstart: .venv/.quickstart  ## a chain, an agent and a query engine over this repository's own documentation
	$(BIN)/python examples/quickstart.py

test: .venv/.dev  ## every test, the README's and the documentation's code blocks and the examples among them
	# Four at a time: most of the time goes to waiting. The soak apart: what the coverage notes down would count as a leak.
	$(BIN)/python -m pytest -n 4 --benchmark-disable --cov --ignore $(SOAK)
	$(BIN)/python -m pytest $(SOAK)

lint: .venv/.dev  ## style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/basedpyright

format: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: lint test

bench: .venv/.dev  ## overhead, as ratios to a peer in the same run
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/langchain_overhead.py
	$(BIN)/python benchmarks/llamaindex_overhead.py
	$(BIN)/python benchmarks/selection.py

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.11 ..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv

.venv/.quickstart: .venv/bin/python pyproject.toml constraints.txt
	$(PIP_INSTALL) --editable '.[all]' llama-index-retrievers-bm25
	@touch $@

.venv/.dev: .venv/bin/python pyproject.toml constraints.txt
	$(PIP_INSTALL) --editable '.[dev]'
	@touch $@ .venv/.quickstart

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage*
