# Every target does its own set-up in .venv on a fresh machine: `make demo`, `make test`, `make check`, `make docs`.
# What they install stands in requirements/, exact versions with hashes, so that today's set-up is tomorrow's: demo.txt
# for the demo, dev.txt for all else, the same version where both name a package. `make lock` renews them. An
# environment follows when a lock, pyproject.toml or this file has changed, and is made from nothing where its set-up
# was interrupted. `make test-lowest` and `make test-newest` try the range that pyproject.toml allows.
# TORCH says what pip installs as PyTorch. Left empty, machines without an NVIDIA card get the CPU build where it can
# be had (190 MB instead of several GB: from PyTorch's own index, without the indexes of pip's configuration, which may
# hold a larger build, or from wheels that pip finds on this machine), all others the build that pip takes by itself.
PYTHON ?= python3
VENV   ?= .venv
TORCH  ?=
JOBS   ?= 2
# folders or files of tests, for test-fast, test-lowest, test-newest and coverage
ROOMS  ?= tests

PY     := $(VENV)/bin/python
LOWEST := .venv-lowest
NEWEST := .venv-newest
# uv renews the lock and resolves the range; what it writes lies here, too
UV     := .venv-uv
UV_VERSION := 0.13.9
CPU_INDEX := https://download.pytorch.org/whl/cpu
# what an environment is made from
SET_UP := pyproject.toml Makefile tools/lock.py

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test test-fast test-lowest test-newest newest coverage check format docs lock nano clean

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/.demo  ## fine-tune the embedded model on real survey data and compare it with everything else
	$(PY) examples/demo.py

test: $(VENV)/.dev  ## all tests
	$(call pytest,$(VENV))

test-fast: $(VENV)/.dev  ## the tests that take less than ten seconds each
	$(call pytest,$(VENV)) -m "not slow" $(ROOMS)

test-lowest: $(LOWEST)/.done  ## the fast tests with the lowest versions that pyproject.toml allows
	$(call pytest,$(LOWEST)) -m "not slow" $(ROOMS)

test-newest: $(NEWEST)/.done  ## the fast tests with today's newest versions
	$(call pytest,$(NEWEST)) -m "not slow" $(ROOMS)

coverage: $(VENV)/.dev  ## the fast tests, and which lines they do not reach, into build/coverage
	$(call pytest,$(VENV)) -m "not slow" --cov --cov-report=term --cov-report=html:build/coverage $(ROOMS)

check: $(VENV)/.dev  ## lint, format, types and spelling
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/codespell

format: $(VENV)/.dev  ## mend what ruff can mend
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

docs: $(VENV)/.dev  ## build the documentation into docs/_build/html
	$(PY) -m sphinx -W --keep-going -b html docs docs/_build/html

lock: $(UV)/.done  ## take the newest versions of everything into requirements/
	$(UV)/bin/python tools/lock.py write

nano: $(VENV)/.dev  ## train the embedded model anew (about 90 minutes on 2 cores; resumes where it stopped)
	$(PY) -m tools.nano.train --minutes 85

clean:  ## remove what was built here
	rm -rf $(VENV) $(LOWEST) $(NEWEST) $(UV) docs/_build docs/gallery docs/tutorial docs/api/generated docs/api/backreferences build *.egg-info .pytest_cache .mypy_cache .ruff_cache .coverage*

# --- set-up ----------------------------------------------------------------------------------------------------------

# An environment that a later line leaves unfinished is not mended but made anew.
define begin
	@if [ -e $(1)/.unfinished ]; then echo "$(1) was left unfinished: it is made anew"; rm -rf $(1); fi
	@mkdir -p $(1) && touch $(1)/.unfinished
	$(PYTHON) -m venv $(1)
endef

# $(call install,environment,compiled file,options,--lowest or nothing): that file and nothing else, torch, and the
# project in place. Wheels alone: what builds a source distribution stands in no lock. The project itself is built by the
# setuptools of the file. The lowest torch is taken where it is to be had.
define install
	$(1)/bin/python -m pip --disable-pip-version-check install --no-deps --only-binary :all: $(3) -r $(2)
	@pip="$(1)/bin/python -m pip --disable-pip-version-check install"; \
	range="$$($(PYTHON) tools/lock.py requirement torch)" torch="$$($(PYTHON) tools/lock.py requirement torch $(4))"; \
	if [ -n "$(strip $(TORCH))" ]; then $$pip "$(strip $(TORCH))"; \
	elif nvidia-smi >/dev/null 2>&1; then $$pip "$$torch"; \
	else \
	  PIP_CONFIG_FILE=/dev/null PIP_EXTRA_INDEX_URL= \
	    $$pip --no-deps --retries 0 --timeout 15 --index-url $(CPU_INDEX) "$$torch" \
	  || $$pip --no-deps --no-index "$$range" \
	  || $$pip "$$torch"; \
	fi
	$(1)/bin/python -m pip --disable-pip-version-check install --no-deps --no-build-isolation -e .
	@rm $(1)/.unfinished
endef

define pytest
OMP_NUM_THREADS=1 $(1)/bin/python -m pytest -n $(JOBS) --dist worksteal
endef

$(VENV)/.demo: requirements/demo.txt $(SET_UP)
	@$(PYTHON) tools/lock.py check
	$(call begin,$(VENV))
	$(call install,$(VENV),$<,--require-hashes)
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(SET_UP)
	@$(PYTHON) tools/lock.py check
	$(call begin,$(VENV))
	$(call install,$(VENV),$<,--require-hashes)
	@touch $@

$(LOWEST)/.done: $(UV)/.done requirements/uv.toml $(SET_UP)
	$(UV)/bin/python tools/lock.py resolve lowest-direct $(UV)/lowest.txt
	$(call begin,$(LOWEST))
	$(call install,$(LOWEST),$(UV)/lowest.txt,,--lowest)
	@touch $@

# resolved at every call, and made from nothing when there is anything newer
$(NEWEST)/.done: $(UV)/newest.txt $(SET_UP)
	rm -rf $(NEWEST)
	$(call begin,$(NEWEST))
	$(call install,$(NEWEST),$<)
	@touch $@

newest: $(UV)/newest.txt

$(UV)/newest.txt: $(UV)/.done FORCE
	$(UV)/bin/python tools/lock.py resolve highest $@

FORCE:

$(UV)/.done: Makefile
	$(call begin,$(UV))
	$(UV)/bin/python -m pip --disable-pip-version-check install uv==$(UV_VERSION)
	@rm $(UV)/.unfinished
	@touch $@
