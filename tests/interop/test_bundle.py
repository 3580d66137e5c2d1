"""The bundle passes its own tool, and starts as that tool's configuration says."""

import json
import shutil
import sys
from pathlib import Path

import anyio
from mcp import Client, StdioServerParameters, stdio_client

from sam3i_agent.tools.mcp.hosts.bundle import write_bundle
from tests.interop.npm import FOLDER, needs_npm, run_node, run_npm
from tests.tools.servers import EXAMPLE


@needs_npm
def test_the_bundle_is_valid_and_starts_as_its_host_would_start_it(tmp_path: Path):
    write_bundle(tmp_path / "sam3i.mcpb")
    unpacked = tmp_path / "unpacked"
    assert run_npm("mcpb", "unpack", str(tmp_path / "sam3i.mcpb"), str(unpacked)).returncode == 0
    valid = run_npm("mcpb", "validate", str(unpacked / "manifest.json"))
    assert valid.returncode == 0 and "passes" in valid.stdout, valid.stdout + valid.stderr
    script = Path(shutil.copy(Path(__file__).parent / "bundle_config.mjs", FOLDER.parent))
    told = run_node(str(script), str(unpacked), str(EXAMPLE.parent), str(tmp_path))
    config = json.loads(told.stdout)
    assert config["command"] == "uv" and config["args"][:3] == ["run", "--directory", str(unpacked)]

    async def ask() -> str:
        # In place of uv, which would install everything anew, the Python that runs the tests.
        server = StdioServerParameters(
            command=sys.executable, args=config["args"][3:], env=config["env"], cwd=unpacked
        )
        async with Client(stdio_client(server)) as client:
            return json.dumps((await client.call_tool("describe_capabilities", {})).model_dump())

    answer = anyio.run(ask)
    assert '"tiny"' in answer and str(EXAMPLE.parent) in answer and str(tmp_path) in answer
