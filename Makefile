# Two commands do everything: `make demo` and `make test`. Both set up what they need in .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test lint types format bench clean

demo: $(VENV)/.preview
	$(BIN)/echomimic demo --output demo.mp4 --overwrite
	@echo "Watch demo.mp4"

test: $(VENV)/.dev
	$(BIN)/python -m pytest

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.dev
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks.preview
	$(BIN)/python -m benchmarks.lipsync

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# what the preview needs, and no more
$(VENV)/.preview: pyproject.toml | $(BIN)/python
	@echo "Setting up in $(VENV) …"
	$(PIP) --editable .
	@touch $@

# everything for development: the pinned torch first, so that no other one is drawn in
$(VENV)/.dev: pyproject.toml requirements-dev.txt | $(BIN)/python
	@echo "Setting up for development in $(VENV) …"
	$(PIP) --requirement requirements-dev.txt
	$(PIP) --editable ".[dev]"
	@touch $@ $(VENV)/.preview

clean:
	rm -rf $(VENV) build dist *.egg-info demo.mp4
