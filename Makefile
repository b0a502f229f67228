# Every target does its own set-up in .venv on a fresh machine: `make demo`, `make test`, `make check`, `make docs`.
# TORCH says what pip installs as PyTorch. Left empty, machines without an NVIDIA card get the CPU build where it can
# be had (190 MB instead of several GB: from PyTorch's own index, without the indexes of pip's configuration, which may
# hold a larger build, or from wheels that pip finds on this machine), all others plain `torch`.
PYTHON ?= python3
VENV   ?= .venv
TORCH  ?=
JOBS   ?= 2

PY   := $(VENV)/bin/python
PIP  := $(PY) -m pip --disable-pip-version-check
CPU_INDEX := https://download.pytorch.org/whl/cpu

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast check format docs nano bench clean

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/.demo  ## fine-tune the embedded model on real survey data and compare it with everything else
	$(PY) examples/demo.py

test: $(VENV)/.dev  ## all tests
	OMP_NUM_THREADS=1 $(PY) -m pytest -n $(JOBS) --dist worksteal

test-fast: $(VENV)/.dev  ## the tests that take less than ten seconds each
	OMP_NUM_THREADS=1 $(PY) -m pytest -n $(JOBS) --dist worksteal -m "not slow"

check: $(VENV)/.dev  ## lint, format and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(VENV)/.dev  ## mend what ruff can mend
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

docs: $(VENV)/.docs  ## build the documentation into docs/_build/html
	$(PY) -m sphinx -W --keep-going -b html docs docs/_build/html

nano: $(VENV)/.dev  ## train the embedded model anew (about 90 minutes on 2 cores; resumes where it stopped)
	$(PY) -m tools.nano.train --minutes 85

clean:  ## remove what was built here
	rm -rf $(VENV) docs/_build docs/gallery docs/tutorial docs/api/generated docs/api/backreferences build *.egg-info .pytest_cache .mypy_cache .ruff_cache

# --- set-up ----------------------------------------------------------------------------------------------------------

$(VENV)/.torch:
	$(PYTHON) -c 'import sys; sys.exit("surveysim needs Python 3.11 or newer, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
ifneq ($(strip $(TORCH)),)
	$(PIP) install "$(TORCH)"
else
	@if command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi >/dev/null 2>&1; then \
	  $(PIP) install torch; \
	else \
	  PIP_CONFIG_FILE=/dev/null PIP_EXTRA_INDEX_URL= \
	    $(PIP) install --no-deps --retries 0 --timeout 15 --index-url $(CPU_INDEX) torch \
	  || $(PIP) install --no-deps --no-index torch \
	  || $(PIP) install torch; \
	fi
endif
	@touch $@

$(VENV)/.demo: $(VENV)/.torch pyproject.toml
	$(PIP) install -e ".[survey,plot]"
	@touch $@

$(VENV)/.dev: $(VENV)/.torch pyproject.toml
	$(PIP) install -e ".[dev]"
	@touch $@

$(VENV)/.docs: $(VENV)/.torch pyproject.toml
	$(PIP) install -e ".[docs]"
	@touch $@
