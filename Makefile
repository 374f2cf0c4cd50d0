# How to set up, try, test and check verifex. Every target sets up what it needs in .venv first.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check -qq
STAMP := $(VENV)/.installed
ARGS ?=

export OMP_NUM_THREADS ?= 1

.PHONY: demo test test-all test-newest lint types fuzz bench venv wheel clean distclean

demo: venv
	$(PY) examples/demo.py $(ARGS)

# Without the tests that are marked slow: some minutes.
test: venv
	$(PY) -m pytest -n 2 $(ARGS)

test-all: venv
	$(PY) -m pytest -n 2 -m "slow or not slow" $(ARGS)

# The quick tests against the newest versions that pyproject.toml allows, torch as it is pinned, in an
# environment of its own that every run brings up to date.
NEWEST := build/newest-venv
NEWEST_PIP := $(NEWEST)/bin/python -m pip --disable-pip-version-check -qq install
test-newest:
	$(PYTHON) -m venv $(NEWEST)
	$(NEWEST_PIP) "$$(grep '^torch==' requirements.lock)"
	grep '^torch==' requirements.lock > $(NEWEST)/torch.txt
	$(NEWEST_PIP) --upgrade --upgrade-strategy eager --constraint $(NEWEST)/torch.txt -e '.[dev]'
	$(NEWEST)/bin/python -m pytest -n 2 $(ARGS)

lint: venv
	$(PY) -m ruff check .

# solvers/ and specs/ are packages of verifex only once installed; mypy sees them in their installed
# places through a tree of links.
types: venv
	@rm -rf build/types && mkdir -p build/types
	@cp -rs "$(CURDIR)/verifex" build/types/
	@cp -rs "$(CURDIR)/solvers" "$(CURDIR)/specs" build/types/verifex/
	cd build/types && "$(CURDIR)/$(PY)" -m mypy --config-file "$(CURDIR)/pyproject.toml" \
		--cache-dir "$(CURDIR)/.mypy_cache" -p verifex

fuzz: venv
	$(PY) -m tests.soundness.fuzz --questions 2000 $(ARGS)

bench: venv
	$(PY) -m benchmarks.run_all $(ARGS)

wheel: venv
	rm -rf build/lib build/bdist.* dist
	$(PY) -m build --wheel --no-isolation --outdir dist

venv: $(STAMP)

# torch first and alone: a package that merely asks for torch must find the pinned build in place.
$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install "$$(grep '^torch==' requirements.lock)"
	$(PIP) install -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

clean:
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)
