# Two commands do everything: `make demo` and `make test`. Both set up what they need in .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# one process per core; PYTEST="-m 'not slow'" runs the quick part, PYTEST=--cov=echomimic measures coverage
WORKERS ?= auto
PYTEST ?=
# lowest and newest: what to pin all the same, as in PINS=torch==2.13.0
PINS ?=

# the networks' own threads and the test processes would fight for the cores
test coverage quick lowest newest: export OMP_NUM_THREADS = 1

.PHONY: demo test quick coverage lint types types-page format docs serve-docs build check-build lowest newest audit bench clean

demo: $(VENV)/.preview
	$(BIN)/echomimic demo --output demo.mp4 --overwrite
	@echo "Watch demo.mp4"

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(WORKERS) $(PYTEST)

# what can be run between two edits: everything but the slow tests
quick: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(WORKERS) -m "not slow" $(PYTEST)

coverage: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(WORKERS) --cov=echomimic --cov-report=term:skip-covered $(PYTEST)

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: types-page $(VENV)/.dev
	$(BIN)/mypy

# the page's JSDoc types, where TypeScript is installed (npm install --global typescript); nothing is fetched
types-page:
	@if command -v tsc >/dev/null; then tsc --project jsconfig.json; \
	else echo "no tsc: the page's types are not checked"; fi

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# the site in site/, from docs/ and the docstrings; building it needs no network
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

serve-docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

build: $(VENV)/.build
	rm -rf dist
	$(BIN)/python -m build --outdir dist

# the wheel, installed alone in a fresh environment, makes a video
check-build: build
	rm -rf $(VENV)/wheel
	$(PYTHON) -m venv $(VENV)/wheel
	$(VENV)/wheel/bin/python -m pip install --quiet --disable-pip-version-check dist/*.whl
	cd $(VENV)/wheel && bin/echomimic demo --output demo.mp4 --overwrite && bin/echomimic --version

# the oldest releases that pyproject.toml allows, then the newest there are; each in an environment of its own
lowest:
	$(PYTHON) -m venv $(VENV)-lowest
	$(VENV)-lowest/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(VENV)-lowest/bin/uv pip install --quiet --python $(VENV)-lowest/bin/python \
		--resolution lowest-direct --editable ".[dev]" $(PINS)
	$(VENV)-lowest/bin/python -m pytest -n $(WORKERS) -m "not slow" $(PYTEST)

newest:
	$(PYTHON) -m venv $(VENV)-newest
	$(VENV)-newest/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]" $(PINS)
	$(VENV)-newest/bin/python -m pytest -n $(WORKERS) $(PYTEST)

# known weaknesses of what is installed
audit: $(VENV)/.dev
	$(PIP) pip-audit
	$(BIN)/pip-audit --skip-editable

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

$(VENV)/.docs: pyproject.toml | $(BIN)/python
	$(PIP) --editable ".[docs]"
	@touch $@

$(VENV)/.build: | $(BIN)/python
	$(PIP) build
	@touch $@

clean:
	rm -rf $(VENV) $(VENV)-lowest $(VENV)-newest build dist site *.egg-info demo.mp4
