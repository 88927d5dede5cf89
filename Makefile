# Two commands for a newcomer: `make demo` and `make test`. Both make their own environment in .venv and can be repeated.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SHARED := -n auto --maxprocesses 4  # tests/spread.py says what goes where

.PHONY: demo demo-agent demo-fresh demo-puzzles demo-research model model-arithmetic model-search planner
.PHONY: test test-long test-all prove chaos bench docs lint clean

# What the puzzles need, what the demo and training need (PyTorch among it), and what tests need besides.
$(VENV)/.installed: EXTRAS = solve
$(VENV)/.model: EXTRAS = solve,torch
$(VENV)/.model: PINS = torch==2.13.0
$(VENV)/.tests: EXTRAS = dev,solve
$(VENV)/.docs: EXTRAS = docs
$(VENV)/.assistant: EXTRAS = assistant,models
$(VENV)/.research: EXTRAS = assistant,local,torch
$(VENV)/.research: PINS = torch==2.13.0
$(VENV)/.installed $(VENV)/.model $(VENV)/.tests $(VENV)/.docs $(VENV)/.assistant $(VENV)/.research: pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Headway needs Python 3.11 or newer: set PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Headway needs Python 3.11 or newer, this is $$($(PYTHON) --version): set PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Setting up $(VENV) with headway[$(EXTRAS)] (once, a few minutes) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$(EXTRAS)]' $(PINS) 2>$(VENV)/install.log || \
		{ cat $(VENV)/install.log; exit 1; }
	@touch $@

demo: $(VENV)/.model  ## train a model on two processes, search with it under one budget; kill it and run it again
	@$(BIN)/python examples/demo.py $(ARGS)

demo-fresh: $(VENV)/.model  ## the same, from the beginning
	@$(BIN)/python examples/demo.py --fresh $(ARGS)

demo-agent: $(VENV)/.assistant  ## an assistant with twelve tools on a small model, killed in the middle; HEADWAY_MODEL names another
	@$(BIN)/python examples/agent.py --fresh $(ARGS)

# FanOutQA's questions (CC BY-SA 4.0) are fetched once, and not installed.
FANOUT := $(VENV)/data/fanoutqa-1.1.1-py3-none-any.whl
$(FANOUT): $(VENV)/.research
	@$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --dest $(VENV)/data fanoutqa==1.1.1
	@touch $@

demo-research: $(VENV)/.research $(FANOUT)  ## questions over many pages, planned by models and run in three ways; killed in the middle
	@$(BIN)/python examples/research.py --fresh --data $(FANOUT) $(ARGS)

demo-puzzles: $(VENV)/.installed  ## solve 300 puzzles, two searches racing for each; needs no PyTorch
	@$(BIN)/python examples/puzzles.py $(ARGS)

model: $(VENV)/.model  ## train the Countdown model from nothing, on two processes; kill it and run it again
	@$(BIN)/python examples/train_countdown.py $(ARGS)

model-arithmetic: $(VENV)/.model  ## train the arithmetic model and fit its verifier; kill it and run it again
	@$(BIN)/python examples/train_arithmetic.py $(ARGS)

model-search: $(VENV)/.model  ## train the model that searches alone or with helpers; kill it and run it again
	@$(BIN)/python examples/train_search.py $(ARGS)

planner: $(VENV)/.model  ## train the planner from nothing, and keep early weights as a noisy one; kill it and run it again
	@$(BIN)/python examples/train_planner.py $(ARGS)

test: $(VENV)/.tests  ## the default suite, on up to four cores
	@$(BIN)/python -m pytest $(SHARED) $(ARGS)

test-long: $(VENV)/.tests  ## the long tests: kills, disks, doctors; on as many
	@$(BIN)/python -m pytest $(SHARED) -m long $(ARGS)

test-all: $(VENV)/.tests  ## both in one run
	@$(BIN)/python -m pytest $(SHARED) -m 'long or not long' $(ARGS)

prove: $(VENV)/.tests  ## random programs, crashed at every record; then bugs on purpose
	@$(BIN)/python tests/proof/prove.py $(ARGS)
	@$(BIN)/python tests/proof/bugs.py
	@$(BIN)/python -m benchmarks.policies_in_bounds

chaos: $(VENV)/.tests  ## real kills, disks and clocks, for longer: HEADWAY_CHAOS=5 make chaos
	@HEADWAY_CHAOS=$${HEADWAY_CHAOS:-2} $(BIN)/python -m pytest tests/chaos tests/checkpoint/ranks/test_ranks_die.py tests/checkpoint/layout/test_layout_pairs.py -m 'long or not long' $(ARGS)

docs: $(VENV)/.docs  ## these pages and the API reference, into site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

lint: $(VENV)/.tests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: $(VENV)/.tests  ## side by side with peers; takes a while
	@$(BIN)/python -m benchmarks.overhead
	@$(BIN)/python -m benchmarks.scale
	@$(BIN)/python -m benchmarks.limits
	@$(BIN)/python -m benchmarks.overhead --write-docs

clean:
	rm -rf $(VENV) .venv-peers* .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist site
