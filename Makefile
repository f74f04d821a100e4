# edgeseg: `make demo` and `make test` need Python 3.10 to 3.13 and make; the rest is installed into .venv.
PYTHON ?= python3
# Wheel index for torch; empty: chosen by ci/install-torch.sh, which never pulls CUDA packages onto a machine without a GPU.
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
WORKERS ?= 2

.PHONY: demo test test-all test-base lint format system-packages clean

demo: $(INSTALLED)
	$(BIN)/edgeseg demo --out demo

test: lint
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not long and not gpu"

test-all: lint
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not gpu"

# The base install alone, as on an edge box: no torch.
test-base:
	$(PYTHON) -m venv .venv-base
	.venv-base/bin/pip install --editable '.[dev-base]'
	.venv-base/bin/python -m pytest -m "not long and not gpu"

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(INSTALLED): pyproject.toml constraints.txt ci/install-torch.sh
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	ci/install-torch.sh $(BIN)/pip $(TORCH_INDEX)
	$(BIN)/pip install --constraint constraints.txt --editable '.[train,rtx,dev]'
	touch $@

system-packages:
	apt-get update
	apt-get install --yes --no-install-recommends $$(grep -v '^#' ci/apt.txt)

clean:
	rm -rf $(VENV) .venv-base demo build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
