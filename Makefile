# Every target makes its own virtual environment when there is none, and renews it when
# pyproject.toml or constraints.txt has changed. `make help` lists the targets.

PYTHON ?= python3
VENV ?= .venv
DOCS_VENV ?= .venv-docs
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test check format docs

help:            ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

demo: $(VENV)/.installed    ## train, compress and use a small model on bundled data
	$(BIN)/xmpress demo -o xmpress-demo

test: check      ## check, then every test
	$(BIN)/python -m pytest -n 2 --dist loadfile $(PYTEST_ARGS)

check: $(VENV)/.installed   ## style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(VENV)/.installed  ## put the style right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(DOCS_VENV)/.installed  ## build the documentation into build/site
	NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/mkdocs build --strict --quiet

docs/reference/cli.md: $(VENV)/.installed $(wildcard src/xmpress/cli/*.py) docs/cli_reference.py
	$(BIN)/python docs/cli_reference.py > $@.new
	@mv $@.new $@

docs/reference/study.md: $(VENV)/.installed src/xmpress/study/config.py docs/study_reference.py
	$(BIN)/python docs/study_reference.py > $@.new
	@mv $@.new $@

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "xmpress needs Python 3.11 or newer as '$(PYTHON)'; name another: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,dev]'
	@touch $@

$(DOCS_VENV)/.installed: pyproject.toml constraints.txt
	test -x $(DOCS_VENV)/bin/python || $(PYTHON) -m venv $(DOCS_VENV)
	$(DOCS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt mkdocs-material
	@touch $@
