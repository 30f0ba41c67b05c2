# Two commands from nothing: `make repro` runs the pipeline, `make test` tests the project.
# Each makes .venv first, from pyproject.toml and the exact versions in constraints.txt.

PYTHON ?= python3
# How many cells of the grid are trained or answered at once.
JOBS ?= $(shell getconf _NPROCESSORS_ONLN)
BIN := .venv/bin
# DVC runs `python -m stages...`: that has to be the environment's.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: repro test quick faults kills lint docs readme mini-data tiny-base real clean

repro: .venv/installed
	python -m ptmoe sweep --jobs $(JOBS)

test: .venv/installed
	python -m pytest -n $(JOBS) --dist loadfile

# The tests that train nothing (rules, methods, data, commands): less than a minute on two cores.
quick: .venv/installed
	python -m pytest -n $(JOBS) --dist loadfile $(addprefix tests/,scoring methods data \
	  pipeline/test_params.py pipeline/test_method_names.py pipeline/test_commands.py)

# Malformed inputs beyond the 500 of the tests, counted by kind; and a run that is killed and goes on (docs/security.md).
faults: .venv/installed
	python -m tests.faults.campaign --cases $(or $(N),5000) --seed $(or $(FAULT_SEED),1)

kills: .venv/installed
	python -m tests.faults.kills --kills $(or $(N),100) --seed $(or $(FAULT_SEED),1)

lint: .venv/installed
	ruff check .
	ruff format --check .
	lint-imports --no-logo --no-cache
	pyright

# Builds site/ from docs/ and from the docstrings.
docs: .venv/docs
	NO_MKDOCS_2_WARNING=1 mkdocs build --quiet --strict

.venv/docs: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

# Writes the last report's table into README.md.
readme: .venv/installed
	python -m ptmoe report --readme README.md

# Writes the records of `profile: mini` again; ptmoe/sources/sources.yaml lists their SHA-256 values.
mini-data: .venv/installed
	python -m recipes.mini_data

# Trains the base model of `profile: mini` again; takes 40 minutes on one core.
tiny-base: .venv/installed
	python -m recipes.tiny_base --output ptmoe/tiny_base

# SmolLM2 on real questions, without a hub or a GPU (docs/real-model.md). DATA: a folder of records; MIRROR: a folder or
# URL; SIZE: hour | profile; SET: values as of `dvc exp run -S`; ESTIMATE=1 only says what it would cost.
SIZE ?= hour
real: .venv/installed
	python -m recipes.real --size $(SIZE) $(if $(DATA),--data $(DATA)) $(if $(MIRROR),--mirror $(MIRROR)) \
	  $(if $(SET),--set $(SET)) $(if $(filter command line,$(origin JOBS)),--jobs $(JOBS)) $(if $(ESTIMATE),--estimate)

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv .checkpoints .costs
