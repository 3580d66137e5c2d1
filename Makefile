# The two commands of the README, and the checks CI runs. PYTHON chooses the interpreter.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
IMAGE ?= examples/scene.png
INSTRUCTION ?= the red square left of the orange square
STAMP := $(VENV)/.installed

.PHONY: demo test slow check reference bundle view interop interop-tools
demo: $(STAMP)
	$(BIN)/sam3i segment "$(IMAGE)" "$(INSTRUCTION)"

# One process a core, each with one thread: torch's own threads would fight for the cores.
test: check
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --dist loadfile

# What starts Ray, half a minute each.
slow: $(STAMP)
	$(BIN)/pytest -m slow

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

# The reference of the command line, from the command line; a test compares them.
reference: $(STAMP)
	$(BIN)/python -m typer sam3i_agent.cli.app utils docs --name sam3i \
	    --title "The command sam3i" --output docs/cli.md

# One file that chat hosts install by a click, with this version in it.
bundle: $(STAMP)
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .
	$(BIN)/sam3i mcp bundle dist/sam3i.mcpb --wheel dist/sam3i_agent-*.whl

# The page that hosts show, from its sources; a test says when it is stale.
view:
	npm install --prefix .interop --no-save --no-package-lock --silent esbuild@0.28.2
	node tools/mcp/view/build.mjs "$(CURDIR)/.interop/node_modules"

# The public MCP suites, other makers' clients, and the pages in a browser; npm and pip fetch them.
interop: $(STAMP) interop-tools
	$(BIN)/pytest -m "slow or not slow" tests/interop

interop-tools:
	npm install --prefix .interop --no-save --no-package-lock --silent \
	    node@22 @modelcontextprotocol/conformance@0.2.0-alpha.12 @modelcontextprotocol/inspector@2.12 \
	    @sparticuz/chromium@147 puppeteer-core@24 @anthropic-ai/mcpb@2.1.2 \
	    @modelcontextprotocol/ext-apps@2.0.4 axe-core@4.14 esbuild@0.28.2
	test -d .interop/sdks || $(PYTHON) -m venv .interop/sdks
	.interop/sdks/bin/pip install --quiet openai-agents==0.24.0 "pydantic-ai-slim[mcp,openai]==2.68.0" \
	    fastmcp==4.2.3 "langgraph-cli[inmem]==0.4.40"

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable ".[dev]"
	touch $(STAMP)
