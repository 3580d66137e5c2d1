"""Other makers' clients work with this server, and LangGraph's server with the graph."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from sam3i_agent.benchmarks.serving.process import free_port
from tests.agent.scripted_server import Body, Reply, say, serve
from tests.docs.pages import ROOT
from tests.interop.npm import FOLDER
from tests.tools.servers import EXAMPLE, SERVE, http_server

SDKS = FOLDER.parent / "sdks"
PYTHON = SDKS / "bin" / "python"
SAM3I = Path(sys.executable).with_name("sam3i")
ANSWER = "There is one."
LONGEST_S = 110
needs_sdks = pytest.mark.skipif(not PYTHON.exists(), reason="installed by `make interop`")


def _run(*arguments: str | Path, **variables: str) -> str:
    command = [str(PYTHON), *map(str, arguments)]
    environment = {**os.environ, **variables}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=LONGEST_S
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_sdks
@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_fastmcps_client_segments_corrects_measures_and_looks(transport: str):
    script = Path(__file__).parent / "fastmcp_client.py"
    if transport == "stdio":
        told = _run(script, EXAMPLE, SAM3I, "serve", "--device", "cpu")
    else:
        with http_server(*SERVE) as (url, _):
            told = _run(script, EXAMPLE, url)
    seen = json.loads(told)
    assert "segment" in seen["tools"] and seen["count"] == seen["measured"] == 1
    assert seen["refined"] >= 1 and seen["shown"] == "image/jpeg"
    assert seen["mask_bytes"] > 100 and seen["steps"] > 0


@needs_sdks
@pytest.mark.parametrize("example", ["openai_agents.py", "pydantic_ai_agent.py"])
def test_an_agent_sdks_example_uses_the_tools(example: str):
    heard: list[str] = []

    def script(body: Body, number: int) -> Reply:
        told = [one["content"] for one in body["messages"] if one["role"] == "tool"]
        if told:
            heard.append(json.dumps(told))
            return say(ANSWER)
        assert "segment" in {one["function"]["name"] for one in body["tools"]}
        arguments = {"image": str(EXAMPLE), "instruction": "the red square"}
        function = {"name": "segment", "arguments": json.dumps(arguments)}
        calls = [{"id": "1", "type": "function", "function": function}]
        return Reply({"role": "assistant", "tool_calls": calls})

    with serve(script) as server:
        told = _run(
            ROOT / "examples" / example, EXAMPLE, "How many red squares?",
            OPENAI_BASE_URL=server.url, OPENAI_API_KEY="none", SAM3I=str(SAM3I),
        )  # fmt: skip
    assert told.strip().endswith(ANSWER)
    assert "1 instance of 'the red square'" in heard[0]


@contextmanager
def _langgraph_dev() -> Iterator[str]:
    """LangGraph's development server, in memory, as this project's langgraph.json has it."""
    port = free_port()
    packages = next((SDKS / "lib").glob("python*/site-packages"))
    process = subprocess.Popen(
        [sys.executable, "-m", "langgraph_cli", "dev", "--no-browser", "--no-reload",
         "--port", str(port)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(packages)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + LONGEST_S
        while process.poll() is None and time.monotonic() < deadline:
            try:
                if httpx2.get(f"{url}/ok").is_success:
                    break
            except httpx2.TransportError:
                time.sleep(0.5)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=LONGEST_S)


@needs_sdks
@pytest.mark.timeout(2 * LONGEST_S)
def test_langgraph_dev_loads_draws_and_runs_the_graph(tmp_path: Path):
    picture = shutil.copy(EXAMPLE, tmp_path)
    with _langgraph_dev() as url, httpx2.Client(base_url=url, timeout=LONGEST_S) as client:
        (assistant,) = client.post("/assistants/search", json={}).json()
        id_ = assistant["assistant_id"]
        schema = client.get(f"/assistants/{id_}/schemas").json()["input_schema"]
        assert schema["required"] == ["image", "instruction"]
        drawn = client.get(f"/assistants/{id_}/graph").json()
        assert "segment" in {one["id"] for one in drawn["nodes"]}

        def ask(instruction: str, image: str) -> dict[str, Any]:
            question = {"image": image, "instruction": instruction}
            body = {"assistant_id": "segment", "input": question}
            return client.post("/runs/wait", json=body).json()

        assert ask("the red square", picture)["result"]["count"] == 1
        assert "there is no image file" in ask("the red square", "/nowhere.png")["error"]
