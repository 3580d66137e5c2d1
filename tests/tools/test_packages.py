"""What hosts install from: the bundle starts as its manifest says, server.json is what we are."""

import json
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import anyio
import jsonschema
import pytest
from mcp import Client, StdioServerParameters, stdio_client
from typer.main import get_command

from sam3i_agent.cli.app import app
from sam3i_agent.core.errors import InputError
from sam3i_agent.tools.mcp.hosts.bundle import write_bundle
from tests.conftest import DATA
from tests.docs.pages import ROOT
from tests.tools.servers import EXAMPLE

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REGISTRY = json.loads((ROOT / "server.json").read_text())


def _unpacked(tmp_path: Path, wheel: Path | None = None) -> Path:
    write_bundle(tmp_path / "sam3i.mcpb", wheel)
    with zipfile.ZipFile(tmp_path / "sam3i.mcpb") as bundle:
        bundle.extractall(tmp_path / "unpacked")
    return tmp_path / "unpacked"


def test_a_bundle_starts_with_the_settings_that_its_host_fills_in(tmp_path: Path):
    folder = _unpacked(tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    config, options = manifest["server"]["mcp_config"], manifest["user_config"]
    runner = ["uv", "run", "--directory", "${__dirname}"]
    assert [config["command"], *config["args"][:3]] == runner
    assert config["args"][3:] == [manifest["server"]["entry_point"], "${user_config.folders}"]
    filled = {
        name: options[value.removeprefix("${user_config.").removesuffix("}")]["default"]
        for name, value in config["env"].items()
    }
    assert filled["SAM3I_MODEL"] == "tiny" and filled["SAM3I_MLLM_API_KEY"] == ""

    async def ask() -> str:
        arguments = [str(folder / "server.py"), str(EXAMPLE.parent), str(tmp_path)]
        server = StdioServerParameters(command=sys.executable, args=arguments, env=filled)
        async with Client(stdio_client(server)) as client:
            answer = await client.call_tool("describe_capabilities", {})
            assert answer.structured_content is not None
            assert answer.structured_content["model"] == "tiny"
            return json.dumps(answer.structured_content)

    told = anyio.run(ask)
    assert str(EXAMPLE.parent) in told and str(tmp_path) in told


def test_a_bundle_keeps_the_key_as_a_secret(tmp_path: Path):
    manifest = json.loads((_unpacked(tmp_path) / "manifest.json").read_text())
    secret = [name for name, one in manifest["user_config"].items() if one.get("sensitive")]
    assert secret == ["mllm_key"]
    assert manifest["version"] == PROJECT["version"]
    assert manifest["compatibility"]["runtimes"]["python"] == PROJECT["requires-python"]


def test_a_bundle_carries_the_wheel_that_it_is_given(tmp_path: Path):
    wheel = tmp_path / f"sam3i_agent-{PROJECT['version']}-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    folder = _unpacked(tmp_path, wheel)
    wanted = tomllib.loads((folder / "pyproject.toml").read_text())
    source = wanted["tool"]["uv"]["sources"][PROJECT["name"]]["path"]
    assert (folder / source).read_bytes() == b"wheel"
    assert wanted["project"]["dependencies"] == [f"{PROJECT['name']}=={PROJECT['version']}"]


def test_a_wheel_of_something_else_is_refused(tmp_path: Path):
    other = tmp_path / "sam3i_agent-0.0.1-py3-none-any.whl"
    other.write_bytes(b"wheel")
    with pytest.raises(InputError, match="is no wheel of sam3i-agent"):
        write_bundle(tmp_path / "sam3i.mcpb", other)
    assert not (tmp_path / "sam3i.mcpb").exists()


def test_server_json_fits_the_registrys_schema():
    schema = json.loads((DATA / "mcp_registry" / "server.schema.json").read_text())
    assert REGISTRY["$schema"] == schema["$id"]
    jsonschema.validate(REGISTRY, schema)


def test_server_json_names_this_version_and_options_that_there_are():
    (package,) = REGISTRY["packages"]
    assert package["identifier"] == PROJECT["name"] in PROJECT["scripts"]
    assert package["version"] == REGISTRY["version"] == PROJECT["version"]
    command, *named = package["packageArguments"]
    root: Any = get_command(app)
    serve = root.commands[command["value"]]
    known = {option for one in serve.params for option in one.opts}
    assert {one["name"] for one in named} <= known


def test_the_readme_says_which_entry_of_the_registry_is_ours():
    assert f"mcp-name: {REGISTRY['name']}" in (ROOT / "README.md").read_text()
