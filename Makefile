# The commands of this repository; `make` alone lists them.
#
# Everything lives in .venv, made on first use from python3 and the package
# registry that pip is configured with. No Redis, no Docker and no root needed.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
ARGS   ?=
# So many tests run at a time. Most of them wait most of the time, so two cores are enough for three.
WORKERS ?= 3
PYTEST  = $(BIN)/python -m pytest $(if $(findstring no:xdist,$(ARGS)),,-n $(WORKERS))

# The stages of the gate share caches and a terminal.
.NOTPARALLEL:
.SUFFIXES:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

.PHONY: help
help: ## list these commands
	@awk 'BEGIN { FS = ":.*## " } /^[a-z.-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)


# --- setting up ----------------------------------------------------------------

# Made again only when pyproject.toml changed. pip learnt dependency groups
# (--group) in 25.1; the pip that python3 brings along may be older.
.PHONY: .venv
.venv: $(STAMP) ## make .venv and install everything into it
	@:

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "asyncq needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) -V 2>/dev/null || echo missing)." >&2; \
	  echo "Name another one: make PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "'$(PYTHON) -m venv' failed. On Debian and Ubuntu it comes with the package python3-venv." >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable ".[all]" --group dev
	@touch $(STAMP)


# --- living with it ------------------------------------------------------------

.PHONY: demo
demo: $(STAMP) ## watch a client, a server and a scheduler work for 20 seconds
	@$(BIN)/python examples/demo.py $(ARGS)

.PHONY: bench
bench: $(STAMP) ## run every benchmark, short
	@set -e; for file in benchmarks/[a-z]*.py; do \
	  echo "== $$file"; $(BIN)/python "$$file" --short $(ARGS); done

.PHONY: fmt
fmt: $(STAMP) ## format the code and repair what lint can repair
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .


# --- the gate, cheap first -----------------------------------------------------

.PHONY: check
check: static test ## the whole gate: static, then every test

.PHONY: static
static: format lint types imports sizes lua ## what needs no server: format, lint, types, imports, sizes, lua

.PHONY: format
format: $(STAMP) ## is everything formatted?
	@echo "== format"
	@$(BIN)/ruff format --check .

.PHONY: lint
lint: $(STAMP) ## all of ruff, less what pyproject.toml argues away
	@echo "== lint"
	@$(BIN)/ruff check .

.PHONY: types
types: $(STAMP) ## mypy and pyright, both strict, side by side: each keeps one core busy
	@echo "== types"
	@$(BIN)/mypy & mypy=$$!; $(BIN)/pyright; status=$$?; wait $$mypy && exit $$status

.PHONY: imports
imports: $(STAMP) ## do imports only go down the floors?
	@echo "== imports"
	@$(BIN)/lint-imports --no-logo

.PHONY: sizes
sizes: $(STAMP) ## 400 lines a file, 60 a function
	@echo "== sizes"
	@$(BIN)/python tools/sizes.py

.PHONY: lua
lua: $(STAMP) ## lint the Lua scripts, where luacheck is installed
	@echo "== lua"
	@if command -v luacheck >/dev/null; then luacheck --quiet --no-color asyncq; \
	else echo "!! luacheck is not installed: THE LUA SCRIPTS WERE NOT LINTED (Debian package lua-check)"; fi

# One run, so that one summary counts them all. conftest.py keeps the stages
# cheap first (architecture, typing, unit, lua, integration, engine, faults, acceptance,
# interop, e2e); inside a stage the order is random and the seed is printed.
.PHONY: test
test: $(STAMP) ## every test
	@$(PYTEST) $(ARGS)

.PHONY: test-fast
test-fast: $(STAMP) ## the tests of a minute: no slow ones, no faults, no acceptance, no Go
	@$(PYTEST) -m "not slow and not faults and not acceptance and not interop and not e2e" $(ARGS)

.PHONY: test-interop
test-interop: $(STAMP) ## the tests with Go's asynq; here Go is a must
	@ASYNCQ_INTEROP=required $(PYTEST) tests/interop $(ARGS)

# Tests that share a broker keep to one worker, so that nobody starts a second one.
.PHONY: test-services
test-services: $(STAMP) ## the tests with real beanstalkd, Kafka and go-queue; here they are a must
	@tools/services.sh
	@ASYNCQ_SERVICES=$${ASYNCQ_SERVICES:-required} $(PYTEST) $(if $(findstring no:xdist,$(ARGS)),,--dist loadgroup) tests/services $(ARGS)

.PHONY: clean
clean: ## remove what this file and the tools have made
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
