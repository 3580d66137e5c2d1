"""The MCP tool through the SDK's own client: in memory, and as a real process over stdio."""

import base64
import sys
from pathlib import Path

import anyio
import jsonschema
import pytest
from mcp import Client, StdioServerParameters, stdio_client
from mcp_types import ImageContent, TextContent

from sam3i_agent.tools.server import build_server
from sam3i_agent.tools.service import SegmentationService


@pytest.fixture(params=["legacy", "2026-07-28"])
def era(request: pytest.FixtureRequest) -> str:
    return request.param


def _run(function, *args):
    return anyio.run(function, *args)


async def _over_stdio(era: str, image: Path) -> None:
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "sam3i_agent.cli", "serve", "--device", "cpu"]
    )
    async with Client(stdio_client(server), mode=era) as client:
        (tool,) = (await client.list_tools()).tools
        assert tool.name == "segment"
        assert set(tool.input_schema["properties"]) == {"image", "instruction", "route", "level"}
        assert tool.input_schema["required"] == ["image", "instruction"]
        assert tool.annotations is not None and tool.annotations.read_only_hint

        arguments = {"image": str(image), "instruction": "red circle", "route": "direct"}
        answer = await client.call_tool("segment", arguments)
        assert not answer.is_error, answer.content
        jsonschema.validate(answer.structured_content, tool.output_schema)
        assert answer.structured_content["image"]["width"] == 256
        text, picture = answer.content
        assert isinstance(text, TextContent) and "red circle" in text.text
        assert isinstance(picture, ImageContent) and picture.mime_type == "image/png"
        assert base64.b64decode(picture.data).startswith(b"\x89PNG")

        missing = await client.call_tool("segment", {**arguments, "image": "/nowhere.png"})
        assert missing.is_error and "there is no image file" in missing.content[0].text
        again = await client.call_tool("segment", arguments)  # the server goes on
        assert not again.is_error


def test_round_trip_with_a_server_process(era: str, scene_file: Path):
    _run(_over_stdio, era, scene_file)


async def _in_memory(root: Path, outside: Path) -> None:
    server = build_server(SegmentationService(device="cpu"), (root,))
    async with Client(server) as client:

        async def refused(image: str, instruction: str = "star", **more: str) -> str:
            answer = await client.call_tool(
                "segment", {"image": image, "instruction": instruction, **more}
            )
            assert answer.is_error
            return answer.content[0].text

        assert "outside the folders" in await refused(str(outside))
        assert "outside the folders" in await refused(str(root / ".." / outside.name))
        link = root / "link.png"
        link.symlink_to(outside)
        assert "outside the folders" in await refused(str(link))
        assert "not valid base64" in await refused("data:image/png;base64,@@@")
        assert "must be data:image" in await refused("data:text/plain,hello")
        assert "NUL" in await refused("a\0b.png")
        inside = root / "inside.png"
        inside.write_bytes(outside.read_bytes())
        assert "empty" in await refused(str(inside), instruction=" ")
        assert "English" in await refused(str(inside), instruction="赤い丸")
        assert "route" in await refused(str(inside), route="teleport")
        data = base64.b64encode(outside.read_bytes()).decode()
        answer = await client.call_tool(
            "segment", {"image": f"data:image/png;base64,{data}", "instruction": "blue ring"}
        )
        assert not answer.is_error


def test_refusals_are_tool_errors(scene_file: Path, tmp_path: Path):
    _run(_in_memory, tmp_path, scene_file)
