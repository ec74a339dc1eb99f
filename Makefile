# One environment for everything, made on first use and again when what it should hold changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Two threads give the same timings on a laptop and on a build machine; override it to use more.
export OMP_NUM_THREADS ?= 2

.PHONY: help demo test test-gpu lint types bench bars pictures clean

help:
	@echo "make demo      learn to read handwritten digits, next to torch's own layer"
	@echo "make test      lint, types and the whole test suite"
	@echo "make test-gpu  what the kernels for GPUs compute, on a GPU"
	@echo "make lint      ruff alone"
	@echo "make types     mypy alone"
	@echo "make bench     time tatamu against torch, layer by layer"
	@echo "make bars      measure everything tatamu should reach (hours; go on by starting it again)"
	@echo "make pictures  draw the pictures of the documents anew"
	@echo "make clean     remove the environment and everything generated"

demo: $(READY)
	$(BIN)/python examples/digits.py

test: lint types
	$(BIN)/python -m pytest -q
	TRITON_INTERPRET=1 $(BIN)/python -m pytest -q tests/gpu

test-gpu: $(READY)
	$(BIN)/python -m pytest -q tests/gpu

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy --strict

bench: $(READY)
	$(BIN)/python -m benchmarks

bars: $(READY)
	$(BIN)/python -m benchmarks.suite --csv bars.csv

pictures: $(READY)
	$(BIN)/python docs/pictures.py

clean:
	rm -rf $(VENV) build dist src/tatamu.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[demo,bench,test,dev]"
	touch $@
