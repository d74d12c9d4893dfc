# StreetVision. `make` prints this help. Inside an active conda environment everything is installed there, else in .venv.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:

ENVS ?= bt9 bt10
EXTRAS ?= workbench,detectors,dev
EVERY_EXTRA := workbench,detectors,gpu,finetune,synth,openvino,video,twelvelabs,sn72,ray,ops,dev
comma := ,
empty :=
space := $(empty) $(empty)
# Relative, because make takes a space in a path for the end of a name, and a checkout may lie anywhere.
ifneq ($(strip $(CONDA_PREFIX)),)
ENV := $(CONDA_PREFIX)
else
ENV := .venv
endif
PY := "$(ENV)/bin/python"
SV := "$(ENV)/bin/streetvision"
STAMP := $(subst $(space),\ ,$(ENV))/.streetvision-$(subst $(comma),-,$(EXTRAS))
PYTHON ?= python3
# Each kernel and each server is a process of its own; without stored bytecode each would compile torch anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help envs setup setup-all run daily weekly lab notebooks test test-long check numbers format lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' Makefile | sort | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

run: setup ## set up, run a whole day of the loop on the embedded profile, print where the report is
	@$(SV) daily --demo

daily: setup ## today's loop
	@$(SV) daily

weekly: setup ## the weekly report
	@$(SV) weekly

lab: setup ## JupyterLab in notebooks/
	@"$(ENV)/bin/jupyter" lab --notebook-dir=notebooks

notebooks: setup-all ## run every numbered notebook headless, each on its own
	@$(PY) -m pytest tests/notebooks -n 2 --dist loadfile

test: setup-all ## every test but the long ones
	@$(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not long"

test-long: setup-all ## every test, the long ones too; before an issue is called done
	@$(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: setup-all ## lint, types, layers, notebooks without outputs
	@"$(ENV)/bin/ruff" check .
	"$(ENV)/bin/ruff" format --check .
	"$(ENV)/bin/mypy"
	"$(ENV)/bin/lint-imports"
	"$(ENV)/bin/nbstripout" --verify notebooks/*.ipynb

numbers: setup ## fill the figures of README and docs from docs/benchmarks
	@$(PY) -m streetvision_core.ops.numbers

format: setup ## format the code, strip the notebooks
	@"$(ENV)/bin/ruff" check --fix .
	"$(ENV)/bin/ruff" format .
	"$(ENV)/bin/nbstripout" notebooks/*.ipynb

setup: $(STAMP) ## install what the embedded profile and the tests need (EXTRAS=…)

setup-all: ## install every extra of the main environment; the tests build small ones of all big models
	@$(MAKE) --no-print-directory setup EXTRAS=$(EVERY_EXTRA)

$(STAMP): pyproject.toml constraints.txt
	@if [ "$(ENV)" = .venv ] && [ ! -x $(PY) ]; then
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "StreetVision needs Python 3.11 or newer, got " + sys.version.split()[0] + "; set PYTHON=python3.11")'
	  $(PYTHON) -m venv "$(ENV)"
	fi
	echo "Installing into $(ENV) (a few GB the first time, most of it torch)…"
	if $(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt uv 2>/dev/null; then
	  $(PY) -m uv pip install --quiet --python $(PY) -c constraints.txt -e '.[$(EXTRAS)]'
	else
	  echo "uv is not to be had; pip installs the whole set instead (slower)"
	  $(PY) -m pip install --quiet --disable-pip-version-check --no-deps -r constraints.txt
	  $(PY) -m pip install --quiet --disable-pip-version-check --no-deps -e .
	fi
	touch "$@"

envs: setup ## make the environments of their own that the tests use (ENVS=…)
	@for name in $(ENVS); do PYTHON="$$(realpath -s $(PY))" envs/make.sh "$$name"; done

lock: ## compile constraints.txt anew from pyproject.toml
	@$(PY) -m uv pip compile pyproject.toml $(addprefix --extra ,$(subst $(comma), ,$(EVERY_EXTRA))) --python-version 3.11 \
	  --no-annotate --no-header --upgrade -o constraints.txt

clean: ## remove caches and everything the loop wrote (asks first when there are runs)
	@if [ -d data/models ] || [ -d data/queries ]; then
	  read -r -p "This removes the workspace (models, query log, reports). Go on? [y/N] " answer
	  [ "$$answer" = y ] || exit 1
	fi
	git clean -fdX -e '!.venv' -- data reports .mypy_cache .ruff_cache .pytest_cache .hypothesis build
