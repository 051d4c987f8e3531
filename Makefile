# Everything a user does, by two words. `make` alone lists the targets. Needs Python 3.11 or 3.12 and nothing else;
# all that is fetched lands in .sluice/ and a second run finds it there.

PYTHON ?= python3
HOUSE  := .sluice
BIN    := $(HOUSE)/venv/bin
CODE   := schemas operators infra contracts flows
PYTEST := $(BIN)/python -m pytest

export PYTHONNOUSERSITE := 1
export ETH_HASH_BACKEND := pysha3
# A refused transaction inside the engine is an answer, not a crash to print the stack of.
export RUST_BACKTRACE := 0

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast test-large lint types fmt lock wheel check-native bench clean clean-all

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## fetch and build everything under .sluice/ (demo and test do it by themselves)
	@$(PYTHON) -m infra.toolchain.bootstrap

demo: setup ## run the whole pipeline on a local chain and a local Kafka, and print what it earned
	@$(BIN)/sluice demo

test: setup lint types ## style, types and all tests
	@echo "sluice test: unit and flow tests, recorded data"
	@$(PYTEST) tests/unit tests/flow tests/acceptance -n 2 --dist loadgroup -m "not large"
	@echo "sluice test: real Kafka, real chain"
	@$(PYTEST) tests/kafka tests/chain -n 2 --dist loadfile -m "not large" --durations=15
	@echo "sluice test: killed processes, lying nodes, reorgs"
	@$(PYTEST) tests/chaos -m "not large" --durations=10

test-fast: setup ## the unit tests without the slow ones, in under two minutes
	@$(PYTEST) tests/unit -q -n 2 -m "not slow"

test-large: setup ## the largest markets against brute force, 500 contended blocks to the wei, the rival of T9 (about twenty minutes)
	@$(PYTEST) tests/unit -n 2 -m large --timeout 1800
	@$(PYTEST) tests/chain tests/chaos -m large -s

lint: setup ## style, without changing anything
	@echo "sluice test: style"
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: setup ## the type checker
	@echo "sluice test: types"
	@$(BIN)/mypy

fmt: setup ## bring the code into style
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

# Not after `setup`, which would refuse a manifest that has moved ahead of its lock; only the tools have to be there.
lock: ## write the locks of Python, npm, the jars and the crates anew
	@test -x $(BIN)/uv || $(MAKE) --no-print-directory setup
	@$(BIN)/python -m infra.toolchain.lock

wheel: setup ## the engine extension as a wheel for any Python from 3.11 on (needs cargo 1.91 or newer)
	@$(BIN)/python -m infra.toolchain.extension wheel

check-native: setup ## the tests and lints of the engine's crate, where cargo is
	@$(BIN)/python -m infra.toolchain.extension check

bench: setup ## measure, print tables, write JSON (BENCH="name …" for some, BENCH=--quick for short runs)
	@$(BIN)/python -m tests.bench $(BENCH)

clean: ## take away what runs left behind (data, logs, caches of the checkers)
	@rm -rf $(HOUSE)/run $(HOUSE)/logs $(HOUSE)/cache/mypy $(HOUSE)/cache/pytest .ruff_cache .hypothesis

clean-all: clean ## take away everything that was fetched, too
	@rm -rf $(HOUSE)
