# The two commands of the README, and the checks CI runs. PYTHON chooses the interpreter.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
IMAGE ?= examples/scene.png
INSTRUCTION ?= the red square left of the orange square
STAMP := $(VENV)/.installed

.PHONY: demo test check
demo: $(STAMP)
	$(BIN)/sam3i segment "$(IMAGE)" "$(INSTRUCTION)"

test: check
	$(BIN)/pytest

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable ".[dev]"
	touch $(STAMP)
