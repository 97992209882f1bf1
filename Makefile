# Every target installs the packages that it needs into .venv, once.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export NO_ALBUMENTATIONS_UPDATE := 1

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(BIN)/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

# one stamp file per set of packages; packages are installed again after a change of pyproject.toml
$(VENV)/.installed: pyproject.toml | $(BIN)/uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --editable '.[dev]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: pyproject.toml | $(BIN)/uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --editable '.[docs]'
	@touch $@ $(VENV)/.installed

install: $(VENV)/.installed ## install ssseg

demo: $(VENV)/.installed ## compare methods on built-in scenes: a table and a picture
	$(BIN)/ssseg benchmark --methods supervised,cutmix,classmix,complexmix,guidedmix --jobs 2 \
	  --out runs/demo --data street --trainer.max_steps 600

test: $(VENV)/.installed-dev ## run the tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: $(VENV)/.installed-dev ## run the tests that take minutes
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/.installed-dev ## check style, types and layers of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.installed-docs ## build the site in docs/_build
	$(BIN)/python -m sphinx -W -b html docs docs/_build/html

bench: $(VENV)/.installed ## measure methods, operators, step, loader, scoring, memory and start-up
	$(BIN)/python benchmarks/costs.py --encoder resnet18 --crop 96 --batch 2 --steps 3
	$(BIN)/python benchmarks/operators.py
	$(BIN)/python benchmarks/loader.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/step.py
	$(BIN)/python benchmarks/validation.py

clean: ## remove the files that the targets made
	rm -rf $(VENV) runs docs/_build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

.PHONY: help install demo test test-slow lint docs bench clean
