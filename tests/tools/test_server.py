"""The MCP tool through the SDK's own client: in memory, and as a real process over stdio."""

import base64
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import anyio
import httpx
import jsonschema
import pytest
from mcp import Client, stdio_client
from mcp_types import ImageContent, ResourceTemplateReference, TextContent
from PIL import Image

from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.tools.mcp.openai_schema import call_function, function_schemas
from sam3i_agent.tools.mcp.server import build_server
from sam3i_agent.tools.results.store import ResultStore
from sam3i_agent.tools.service import SegmentationService
from sam3i_agent.tools.serving.addresses import TOKEN_VARIABLE
from sam3i_agent.tools.sources.sources import ImageSource
from sam3i_agent.tools.toolbox import Toolbox
from tests.tools.servers import EXAMPLE, SERVE, http_server, stdio_server


def _toolbox(*roots: Path) -> Toolbox:
    source = ImageSource(ResultStore(), tuple(root.resolve() for root in roots))
    return Toolbox(SegmentationService(ModelChoice(device="cpu")), source)


@pytest.fixture(params=["legacy", "2026-07-28"])
def era(request: pytest.FixtureRequest) -> str:
    return request.param


def _run(function, *args):
    return anyio.run(function, *args)


async def _over_stdio(era: str, image: Path) -> None:
    async with Client(stdio_client(stdio_server(*SERVE)), mode=era) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {
            "segment", "segment_concepts", "refine", "view", "edit", "measure", "track",
            "describe_capabilities",
        }  # fmt: skip
        tool = tools["segment"]
        assert {"image", "instruction", "route", "level", "max_instances", "include"} == set(
            tool.input_schema["properties"]
        )
        assert tool.input_schema["required"] == ["image", "instruction"]
        assert tool.annotations is not None and tool.annotations.read_only_hint

        arguments = {"image": str(image), "instruction": "square", "route": "direct"}
        answer = await client.call_tool("segment", arguments)
        assert not answer.is_error, answer.content
        jsonschema.validate(answer.structured_content, tool.output_schema)
        assert answer.structured_content["image"]["width"] == 256
        text, picture = answer.content
        assert isinstance(text, TextContent) and "square" in text.text
        assert isinstance(picture, ImageContent) and picture.mime_type == "image/jpeg"
        assert base64.b64decode(picture.data).startswith(b"\xff\xd8")

        missing = await client.call_tool("segment", {**arguments, "image": "/nowhere.png"})
        assert missing.is_error and "there is no image file" in missing.content[0].text
        again = await client.call_tool("segment", arguments)  # the server goes on
        assert not again.is_error


def test_round_trip_with_a_server_process(era: str):
    _run(_over_stdio, era, EXAMPLE)


async def _in_memory(root: Path, outside: Path) -> None:
    server = build_server(_toolbox(root))
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


SQUARE = "the red square left of the orange square"


async def _resources(era: str) -> None:
    async with Client(build_server(_toolbox(EXAMPLE.parent)), mode=era) as client:
        steps: list[str] = []

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            steps.append(message or "")

        arguments = {"image": str(EXAMPLE), "instruction": SQUARE, "include": ["polygons", "links"]}
        answer = await client.call_tool("segment", arguments, progress_callback=on_progress)
        found = answer.structured_content
        assert found["count"] == 1
        links = [block.uri for block in answer.content if block.type == "resource_link"]
        assert answer.content[0].type == "text" and links == found["resources"]
        assert any(step.startswith("route") for step in steps)
        ring = found["instances"][0]["polygons"][0]
        x0, y0, x1, y1 = found["instances"][0]["box"]
        # The box is the model's, the outline the mask's: near each other, not equal.
        assert all(x0 - 9 <= x <= x1 + 9 and y0 - 9 <= y <= y1 + 9 for x, y in ring)

        for uri in [*found["resources"], found["instances"][0]["mask_uri"]]:
            (content,) = (await client.read_resource(uri)).contents
            text = getattr(content, "text", None)
            if uri.endswith((".png", ".jpg")):
                picture = Image.open(io.BytesIO(base64.b64decode(content.blob)))
                assert picture.size in ((256, 256), (512, 512))
            elif uri.endswith("json"):
                assert json.loads(text)
            else:
                assert text.startswith(("<svg", "0 ", "<?xml"))
        templates = (await client.list_resource_templates()).resource_templates
        assert len(templates) == 16
        id_ = found["result_id"]
        ref = ResourceTemplateReference(uri=templates[0].uri_template)
        completed = await client.complete(ref, {"name": "id", "value": id_[:3]})
        assert id_ in completed.completion.values

        measured = (await client.call_tool("measure", {"result_id": id_})).structured_content
        assert measured["instances"][0]["area"] == found["instances"][0]["area"]
        again = await client.call_tool("segment", {"image": id_, "instruction": "diamond"})
        assert not again.is_error  # an earlier result stands for its picture
        refused = await client.call_tool("refine", {"result_id": id_, "points": [[3, 4]]})
        assert refused.is_error and "takes no clicks" in refused.content[0].text
        phrases = {"image": id_, "phrases": ["diamond", "red square"]}
        several = (await client.call_tool("segment_concepts", phrases)).structured_content
        assert [one["phrase"] for one in several["concepts"]] == phrases["phrases"]
        assert sum(one["count"] for one in several["concepts"]) == several["count"] > 1
        able = (await client.call_tool("describe_capabilities", {})).structured_content
        assert able["model"] == "tiny" and able["takes_boxes"] and not able["takes_points"]


def test_results_are_resources_for_the_other_tools(era: str):
    _run(_resources, era)


async def _over_http(url: str, era: str) -> None:
    async def one(instruction: str, wanted: int) -> None:
        async with Client(url, mode=era) as client:
            arguments = {"image": str(EXAMPLE), "instruction": instruction}
            answer = await client.call_tool("segment", arguments)
            assert not answer.is_error, answer.content
            assert answer.structured_content["count"] == wanted

    async with anyio.create_task_group() as group:  # two clients at once, each its own answer
        group.start_soon(one, SQUARE, 1)
        group.start_soon(one, "the teapot", 0)


def test_two_clients_over_http(era: str):
    with http_server(*SERVE, "--root", str(EXAMPLE.parent)) as (url, _):
        _run(_over_http, url, era)
        for headers, status in (({"Host": "evil.example"}, 421), ({"Origin": "http://evil"}, 403)):
            answer = httpx.post(url, headers=headers, json={})
            assert answer.status_code == status


def test_a_token_is_asked_of_every_client():
    token = "a-long-enough-secret"
    with http_server(*SERVE, token=token) as (url, _):
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            assert httpx.post(url, headers=headers, json={}).status_code == 401
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        assert httpx.post(url, headers=headers, json={}).status_code != 401


@pytest.mark.parametrize(
    ("address", "said"),
    [("0.0.0.0:8765", "must show a token"), ("8765", "HOST:PORT"), ("localhost:x", "HOST:PORT")],
)
def test_unsafe_or_unreadable_addresses_are_refused(address: str, said: str):
    command = [sys.executable, "-m", "sam3i_agent.cli", "serve", "--http", address]
    environment = {**os.environ, TOKEN_VARIABLE: ""}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 2 and said in done.stderr


def test_the_same_tools_as_functions():
    async def run() -> None:
        server = build_server(_toolbox(EXAMPLE.parent))
        schemas = await function_schemas(server)
        assert schemas[0]["function"]["name"] == "segment"
        for one in schemas:
            jsonschema.Draft202012Validator.check_schema(one["function"]["parameters"])
            assert "\n  " not in one["function"]["description"]
        arguments = json.dumps({"image": str(EXAMPLE), "instruction": SQUARE})
        assert json.loads((await call_function(server, "segment", arguments)).text)["count"] == 1
        for bad in ("{", "[]", "{}", json.dumps({"image": "/nowhere", "instruction": "x"})):
            assert "error" in json.loads((await call_function(server, "segment", bad)).text)

    anyio.run(run)
