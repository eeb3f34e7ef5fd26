# Tierline. `make run` and see; it needs Python 3.11 or newer, make and about 160 MB of downloads the first time.
# Everything is installed into .venv, from pinned versions with checked hashes; proxies and mirrors that pip or uv are
# set up for are used as they are.

VENV := .venv
BIN := $(VENV)/bin
PYTHONS := $(or $(PYTHON),python3.11 python3.12 python3.13 python3 python)

.DEFAULT_GOAL := help
.PHONY: help setup run demo-once test test-long test-faults lint schemas clean bench bench-more bench-core native test-native pure

help:
	@echo "make run        bring everything up on this machine and replay real purchases; Ctrl-C ends all"
	@echo "make test       run the tests"
	@echo "make test-long  play a hundred thousand random histories through the core and a naive oracle (twenty minutes)"
	@echo "make test-faults  every fault there is, what is committed held against two oracles (twenty minutes); docs/testing.md"
	@echo
	@echo "make setup      only install (PYTHON=... chooses the interpreter)"
	@echo "make demo-once  the demo in a fresh folder, held against a recomputation; exit 1 if they differ"
	@echo "make lint       style, types, import rules, published documents, alert rules"
	@echo "make bench      Tierline beside Faust, Quix, Kafka Streams, Flink and bare clients; BENCH=\"...\" for options"
	@echo "make bench-more what events cost by customers, memory, restore, two workers, timers, latency, sweep, one hot customer"
	@echo "make bench-core what an event costs in the deciding core, and what a customer weighs"
	@echo "make native     compile the core into a copy of its own, build/native, and measure it; needs a C compiler"
	@echo "make test-native  the core's tests against that copy (two minutes); make pure removes it"
	@echo "make schemas    write schemas/published, the tables of docs/ and of README.md again"
	@echo "make clean      remove .venv and everything made; the demo's data stays (tierline up --fresh empties it)"

setup: $(VENV)/.ready

run: $(VENV)/.ready
	@$(BIN)/tierline up --demo

demo-once: $(VENV)/.ready
	@data=$$(mktemp -d) && chmod 755 "$$data" && trap 'rm -rf "$$data"' EXIT && $(BIN)/tierline up --demo --once --data "$$data/data"

test: $(VENV)/.ready-dev
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

test-long: $(VENV)/.ready-dev
	@played=$$(mktemp -d) && trap 'rm -rf "$$played"' EXIT && HYPOTHESIS_PROFILE=deep PARTS=64 EXAMPLES="$$played" \
	$(BIN)/python -m pytest tests/scorer/domain/test_against_oracle.py --numprocesses auto --dist load --quiet; \
	found=$$?; $(BIN)/python -m tests.scorer.domain.counting "$$played" 100000 && exit $$found

# FAULTS="--only freeze --json" and the like; FAULTS=--list names them.
test-faults: $(VENV)/.ready-dev
	@$(BIN)/python -m tests.faults $(FAULTS)

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m services.cli.schemas check
	@if command -v promtool >/dev/null; then cd deploy/prometheus && promtool check config prometheus.yml && \
	promtool test rules rules_test.yml; else echo "promtool is not here: alert rules not tested"; fi

# The peers' packages want other versions than ours: they have an environment of their own. What is measured of ours is
# what a plain install gives, the compiled core where it can be compiled.
bench: build/bench/.ready
	@$(MAKE) --no-print-directory --silent $(NATIVE)/.ready || echo "the core cannot be compiled here: plain Python is measured"
	@$(BIN)/python -m services.bench.compare $(BENCH)

bench-more: $(VENV)/.ready
	@$(MAKE) --no-print-directory --silent $(NATIVE)/.ready || echo "the core cannot be compiled here: plain Python is measured"
	@$(BIN)/python -m services.bench.more $(BENCH)

build/bench/.ready: requirements-bench.txt | $(VENV)/.ready
	@$(BIN)/python -m venv --clear build/bench/venv
	@{ test -x $(BIN)/uv && $(BIN)/uv pip install --python build/bench/venv/bin/python --quiet --require-hashes -r $<; } || \
	build/bench/venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

bench-core: $(VENV)/.ready
	@$(BIN)/python -m services.bench.core

# What is in .venv stays plain Python, the sources as they are: a compiled module beside a source would go stale. The
# copy is made again when a source is newer; the safe path keeps the sources here from going before it.
NATIVE := build/native
native_shard := $(addprefix tests/scorer/engine/test_,$(addsuffix .py,every_type falls flaps generation generation_erasures \
	long_ledgers partition relations shard sweep turn))
native_python = PYTHONPATH=$(CURDIR)/$(NATIVE) PYTHONSAFEPATH=1 $(BIN)/python

native: $(NATIVE)/.ready
	@$(native_python) -m services.bench.core --million 0

test-native: $(NATIVE)/.ready
	@CORE=compiled $(native_python) -m pytest --import-mode=append tests/scorer/domain tests/shared/test_partitioner.py $(native_shard) \
	--numprocesses auto --maxprocesses 4 --dist loadfile

pure:
	rm -rf $(NATIVE)

$(NATIVE)/.ready: setup.py pyproject.toml $(shell find schemas services policies -type f -not -name '*.pyc') $(VENV)/.ready-dev
	@rm -rf $(NATIVE)
	@TIERLINE_NATIVE=1 $(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps --no-build-isolation \
	--reinstall --no-cache --target $(NATIVE) .
	@touch $@

schemas: $(VENV)/.ready-dev
	@$(BIN)/python -m services.cli.schemas write

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find schemas services tests policies -name __pycache__ -prune -exec rm -rf {} +

# -- installing

# The first interpreter that runs and is new enough (a version manager's stand-in may be found and not run).
find_python = for python in $(PYTHONS); do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; python=; done

# uv installs in seconds what takes pip half a minute; where it cannot be had or cannot reach a mirror, pip does it.
install = { test -x $(BIN)/uv && $(BIN)/uv pip install --python $(BIN)/python $(1); } || \
	$(BIN)/python -m pip install --disable-pip-version-check $(1)

$(BIN)/python:
	@$(find_python); test -n "$$python" || \
	{ echo "no Python 3.11 or newer among: $(PYTHONS); install one, or name it: make PYTHON=/path/to/python" >&2; exit 1; }; \
	echo "Setting up $(VENV) with $$("$$python" --version); the first time this fetches about 110 MB"; \
	"$$python" -m venv --clear $(VENV) || \
	{ echo "this Python cannot make virtual environments (Debian: apt-get install python3-venv)" >&2; exit 1; }
	@awk '/^[a-z]/ { keep = /^uv==/ } keep' requirements-dev.txt > $(VENV)/uv.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.txt || \
	echo "uv cannot be had here; pip does its work, half a minute slower"

$(VENV)/.ready: requirements.txt requirements.in pyproject.toml | $(BIN)/python
	@$(call install,--require-hashes -r requirements.txt)
	@$(call install,--quiet --no-deps --no-build-isolation --editable .)
	@touch $@

$(VENV)/.ready-dev: requirements-dev.txt $(VENV)/.ready
	@$(call install,--require-hashes -r requirements-dev.txt)
	@touch $@
