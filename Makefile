# Needs make and Python >= 3.11; everything else is installed into .venv on first use.

.DELETE_ON_ERROR:
SHELL = /bin/sh

VENV = .venv
BIN = $(VENV)/bin
PATHS = .:protocols:tap
DATA ?= .data
ARGS ?=

export PYTHONPATH = $(PATHS)

.PHONY: run test lint bench soak vectors docs clean

## run: the gateway with its defaults on loopback, data in $(DATA); ARGS='--set …' adds options
run: $(VENV)/.run
	@exec $(BIN)/twistd -n --pidfile= rmqgateway --data-dir $(DATA) $(ARGS)

## test: every tier; TIERS='static unit' picks some
test: $(VENV)/.test
	@$(BIN)/python tools/run_tests.py $(TIERS)

lint: $(VENV)/.test
	@$(BIN)/ruff check .
	@$(BIN)/mypy rmqgateway protocols tap tools

bench: $(VENV)/.test
	@$(BIN)/python bench/run.py $(ARGS)

## soak: the long parameters
soak: $(VENV)/.test
	@$(BIN)/python tools/run_tests.py --soak $(TIERS)

## vectors: capture the golden bytes again from the real programs
vectors: $(VENV)/.test
	@$(BIN)/python tools/capture_vectors.py $(ARGS)

docs: $(VENV)/.test
	@$(BIN)/python tools/document_settings.py docs/configuration.md
	@$(BIN)/python tools/document_matrix.py docs/matrix.md

clean:
	rm -rf $(VENV) .build build dist *.egg-info

$(VENV)/.run: setup.cfg tools/setup.sh tools/requirements.py
	@sh tools/setup.sh $(VENV) run
	@touch $@

$(VENV)/.test: $(VENV)/.run
	@sh tools/setup.sh $(VENV) dev
	@touch $@
