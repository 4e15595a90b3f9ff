# day2.ops: what a checkout can do. Every target first sees to .venv (tools/venv); nothing is installed outside the checkout.
SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
export PATH := $(CURDIR)/.venv/bin:$(PATH)
STAGES ?=

.PHONY: help venv demo lab-up lab-status lab-down test check smoke soak bench docs build clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1 /p' Makefile | awk '{name = $$1; $$1 = ""; printf "  make %-11s%s\n", name, $$0}'

venv: ## .venv with the pinned requirements and the checkout as the collection
	@tools/venv

demo: venv ## monthly maintenance against real servers of its own, explained (under 3 minutes)
	@tools/demo

lab-up: venv ## start the lab: real servers to play with
	@python -m tests.lab up

lab-status: venv ## what of the lab runs, and where
	@python -m tests.lab status

lab-down: venv ## stop the lab and remove its data
	@python -m tests.lab down

test: venv ## everything; STAGES="lint unit" for some of it
	@tools/test-stages $(STAGES)

check: venv ## lint, meta tests and the unit tests that need few servers (under 3 minutes)
	@tools/test-stages lint quick

smoke: venv ## the collection on the oldest and the newest ansible-core
	@tools/test-stages smoke

soak: venv ## long randomised runs
	@python -m pytest tests/soak
	@python -m pytest -m soak tests/unit tests/faults
	@tools/molecule

bench: venv ## measurements
	@tools/optional benchmarks python -m benchmarks

docs: venv ## the documentation site, in build/docs
	@tools/docs

build: venv ## the tarball for Galaxy, looked over by galaxy-importer, in build
	@tools/build

clean: ## remove what was built and cached, but not .venv and the lab's downloads
	@rm -rf build .ansible .mypy_cache .ruff_cache .pytest_cache tests/output
	@[ ! -d .cache ] || find .cache -mindepth 1 -maxdepth 1 -not -name lab -not -name tree -exec rm -rf {} +
	@find . -name __pycache__ -type d -not -path './.venv*' -prune -exec rm -rf {} +
