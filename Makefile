# Two commands matter: `make demo` (a real chain with a real model) and `make test` (everything that is checked).
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PEERS  := .venv-peers
STAMPS := .stamps
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
# The constraints hold for `package[extra]`, too: without them an older pip takes its newest release and then refuses it.
PINNED := --require-hashes -c constraints.txt
MODEL  := smollm2-135m-instruct
QUICKSTART := examples/quickstart
PACKAGES := src/fmf_core+src/chatmodels+src/generative_ai_workflow+src/fmf

.PHONY: help demo test coverage check format bench pins clean
.DELETE_ON_ERROR:

help:
	@echo "make demo    install, fetch the embedded model, run the quickstart chain"
	@echo "make test    install the development extras, run every check and every test"
	@echo "make check   only the checks: lint, types, import contracts, shape"
	@echo "make bench   the speed and memory tables (minutes)"
	@echo "make clean   remove the environment and everything that was made"

demo: $(STAMPS)/demo
	@echo "Fetching the embedded model (98 MB, once) and reading 24 documents: one to two minutes on one core ..."
	@$(BIN)/fmf --quiet models pull $(MODEL) > $(STAMPS)/pull.txt
	@$(BIN)/fmf -c $(QUICKSTART)/fmf.yaml --set artefacts_dir="$(CURDIR)/artefacts" run > $(STAMPS)/run.txt
	@$(BIN)/python $(QUICKSTART)/table.py "$$(sed -n 's/^run_dir=//p' $(STAMPS)/run.txt)"

test: $(STAMPS)/test $(PEERS)/done check
	@$(BIN)/python tools/verdict.py

coverage: $(STAMPS)/test $(PEERS)/done
	@$(BIN)/python tools/verdict.py --coverage

check: $(STAMPS)/test
	$(BIN)/ruff check src tests tools benchmarks examples
	$(BIN)/ruff format --check src tests tools benchmarks examples
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/shape.py --check $(PACKAGES)

format: $(STAMPS)/test
	$(BIN)/ruff check --fix src tests tools benchmarks examples
	$(BIN)/ruff format src tests tools benchmarks examples

bench: $(STAMPS)/test
	$(BIN)/python -m benchmarks

# Renews constraints.txt from pyproject.toml (needs the network and uv).
pins:
	uv pip compile pyproject.toml --all-extras --group dev --group build --universal --generate-hashes \
		--python-version 3.11 --no-header --no-emit-index-url --upgrade --quiet -o constraints.txt

clean:
	rm -rf $(VENV) $(PEERS) $(STAMPS) artefacts build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage*
	find src tests tools benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; $(PYTHON) is older. Try: make demo PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -m venv $(VENV)

$(STAMPS)/demo: $(VENV)/pyvenv.cfg constraints.txt pyproject.toml
	@echo "Installing into $(VENV) ..."
	@mkdir -p $(STAMPS)
	@$(BIN)/python tools/pins.py local build > $(STAMPS)/demo.txt
	@$(PIP) install $(PINNED) -r $(STAMPS)/demo.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(STAMPS)/test: $(VENV)/pyvenv.cfg constraints.txt pyproject.toml
	@echo "Installing the development extras into $(VENV) ..."
	@mkdir -p $(STAMPS)
	@$(BIN)/python tools/pins.py '*' > $(STAMPS)/test.txt
	@$(PIP) install $(PINNED) -r $(STAMPS)/test.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $(STAMPS)/demo $@

# Servers that tests talk to want packages of their own; without them their tests do not run, and say so.
$(PEERS)/done: tests/peers/requirements.txt
	@echo "Installing the tests' servers into $(PEERS) ..."
	@$(PYTHON) -m venv --clear $(PEERS)
	@if $(PEERS)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r $<; then touch $@; \
		elif [ "$(CI)" = "true" ] || [ "$(CI)" = "1" ]; then exit 1; else rm -rf $(PEERS); echo "NOT INSTALLED: the tests' servers"; fi
