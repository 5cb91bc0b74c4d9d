# make demo    the whole path in two minutes: corpus, training, evaluation, report
# make test    the tests             make check   the long ones too
# make lint    format and types      make bench   benchmarks → bench/RESULTS.md
# Every target sets up .venv by itself; PYTHON=python3.12 chooses another interpreter.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TESTS := OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist worksteal

.PHONY: demo test check lint bench setup
.DEFAULT_GOAL := demo

demo: setup
	@echo "== training a small CNN on the demo corpus (synthesised on first use)"
	@$(BIN)/python train.py

test: setup
	@echo "== tests (make check runs the long ones too)"
	@$(TESTS)

check: setup lint
	@echo "== all tests but those for a GPU or the internet"
	@$(TESTS) -m "not gpu and not net"

lint: setup
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

bench: setup
	@$(BIN)/python -m bench

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(not (3, 11) <= v < (3, 14) and f"dfad needs Python 3.11 to 3.13, {sys.executable} is {v[0]}.{v[1]}; try: make PYTHON=python3.12")'
	@echo "== setting up $(VENV) (downloads about 3 GB the first time)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' --constraint constraints.txt
	@touch $(READY)
