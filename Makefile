# Everything runs in .venv; PYTHON picks the interpreter that creates it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOWEST := .venv-lowest
PYTEST := -m pytest --numprocesses 2 --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help quickstart demo-language test cases test-double test-lowest coverage lint format benchmark benchmark-vision benchmark-step clean

help:  ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

quickstart: $(STAMP)  ## train a teacher on embedded digits, distil it and compare the objectives
	$(BIN)/python examples/quickstart.py

demo-language: $(STAMP)  ## distil a real 135M language model with five objectives, about half an hour on two cores
	$(BIN)/python examples/demo_language.py

test: $(STAMP) lint  ## lint, types and all tests
	$(BIN)/python $(PYTEST)

cases: $(STAMP)  ## what users bring and type, kind by kind: files, labels, weights and commands
	$(BIN)/python $(PYTEST) tests/field

test-double: $(STAMP)  ## all tests with float64 as torch's default dtype
	ABKD_TEST_DTYPE=float64 $(BIN)/python $(PYTEST)

test-lowest: $(LOWEST)/.installed  ## all tests with the oldest versions that pyproject.toml allows, in an environment of their own
	$(LOWEST)/bin/python $(PYTEST) -W default

$(LOWEST)/.installed: pyproject.toml tests/_lowest.py
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --upgrade pip
	$(PYTHON) tests/_lowest.py > $(LOWEST)/requirements.txt
	$(LOWEST)/bin/python -m pip install --quiet --requirement $(LOWEST)/requirements.txt
	$(LOWEST)/bin/python -m pip install --quiet --no-deps --editable .
	@touch $@

coverage: $(STAMP)  ## all tests, and the share of the package's lines that they run
	$(BIN)/python $(PYTEST) --cov lightning_abkd --cov-report term:skip-covered

lint: $(STAMP)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)  ## rewrite the code in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmark: $(STAMP)  ## accuracy of the divergence, its speed and memory beside the peers', drawn over classes and rows
	$(BIN)/python -m pip install --quiet --editable '.[benchmark]'
	$(BIN)/python benchmarks/accuracy.py
	$(BIN)/python benchmarks/divergence.py
	$(BIN)/python benchmarks/divergence_map.py
	$(BIN)/python benchmarks/language_head.py
	$(BIN)/python benchmarks/growth.py
	$(BIN)/python benchmarks/vocabulary.py

benchmark-vision: $(STAMP)  ## objectives on Fashion-MNIST (package dataset-fashion-mnist, 45 minutes) and their speed
	$(BIN)/python benchmarks/objectives.py
	$(BIN)/python benchmarks/fashion_mnist.py

benchmark-step: $(STAMP)  ## training steps against bare loops, plain Lightning and TRL
	$(BIN)/python benchmarks/training_step.py

clean:  ## remove what the commands above made
	rm -rf $(VENV) $(LOWEST) .coverage build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache runs
