# The two commands to begin with: `make demo` and `make test`. Both need Python 3.11 or newer and nothing else.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
DEMO   := runs/demo

.PHONY: demo test lint check slow clean

demo: $(VENV)/.installed
	$(BIN)/python run_eval.py run demo --checkpoint small-early --out $(DEMO)-early
	$(BIN)/python run_eval.py run demo --checkpoint small-final --out $(DEMO)-final
	$(BIN)/python run_eval.py compare $(DEMO)-early $(DEMO)-final --out $(DEMO)-comparison
	@rm -rf $(DEMO)-profile  # a profile is never written over: each demo measures anew
	$(BIN)/python run_eval.py profile --quick --seconds 0.3 --device cpu --checkpoint small-final --out $(DEMO)-profile
	@echo
	@echo "Open these in a browser:"
	@echo "  $(CURDIR)/$(DEMO)-final/report.html"
	@echo "  $(CURDIR)/$(DEMO)-comparison/comparison.html"
	@echo "  $(CURDIR)/$(DEMO)-profile/profile.html"

# One thread a worker: workers that share cores with each other's thread pools wait for them most of the time.
test: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint test

slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m slow
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --hypothesis-profile=explore

clean:
	rm -rf $(VENV) runs build dist *.egg-info

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than 3.11; call make with PYTHON=python3.11 or newer"; exit 2; }
	$(PYTHON) -m venv $(VENV)

# Pinned versions, so that the demo's numbers are the documented ones. On Linux without a GPU a smaller build of torch
# can be chosen by installing it first: $(BIN)/pip install torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu
$(VENV)/.installed: requirements.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --requirement requirements-dev.txt
	@touch $@
